/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-config.h"

G_BEGIN_DECLS

/*
 * A program that process.run may run, by its name: a group [program NAME] of node.conf. The command is split as a shell
 * would split it (quotes, no expansions); no shell takes part in running it. Immutable; thread: any.
 */
#define TL_NODE_MAX_PROGRAMS            64
#define TL_NODE_PROGRAM_MAX_NAME        32
#define TL_NODE_PROGRAM_MAX_DESCRIPTION 120

typedef struct
{
  char *name;
  char **command; /* [0]: an absolute path */
  char *directory;
  char *description; /* one line for people; NULL: none */
  gint64 timeout_ms; /* 0: the request's alone */
  gboolean appends_arguments;
} TlNodeProgram;

/* Rows of the table of node.conf. */
#define TL_NODE_PROGRAM_KEYS                                                                                           \
  { "program *", "command", TL_CONFIG_STRING, .help = "absolute path of the program, and arguments it always gets" },  \
      { "program *",                                                                                                   \
        "arguments",                                                                                                   \
        TL_CONFIG_CHOICE,                                                                                              \
        .fallback = "none",                                                                                            \
        .choices = "none|append",                                                                                      \
        .help = "whether a request may add arguments behind them" },                                                   \
      { "program *", "timeout",          TL_CONFIG_DURATION,                                                           \
        .min = 1000, .max = 3600 * 1000, .help = "longest run whatever the request allows (1s..1h)" },                 \
      { "program *", "directory", TL_CONFIG_STRING, .fallback = "/",                                                   \
        .help = "absolute path of its working directory" },                                                            \
  {                                                                                                                    \
    "program *", "description", TL_CONFIG_STRING, .help = "one line for operators"                                     \
  }

/* Appends what the configuration has; file is its name for messages. INVALID_ARGUMENT naming the line. */
gboolean tl_node_programs_load (TlConfig *config, const char *file, GPtrArray *programs, GError **error);
void tl_node_program_free (TlNodeProgram *program);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeProgram, tl_node_program_free)

G_END_DECLS

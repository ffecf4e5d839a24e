/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * A supervised background process, for computers without systemd: a child that detached itself holds the pid file, runs
 * the program, keeps what it prints in a bounded log, and starts it again when it dies, with the node's own jittered
 * back-off. It gives up when the program ends as asked (status 0), or with a status that only a person can mend (usage,
 * ambiguous, state, configuration, not paired). SIGTERM ends both; the program dies with its supervisor. Thread: main
 * of a process without other threads.
 */
#define TL_SUPERVISOR_LOG_LIMIT (1024u * 1024u) /* and as much again in the file before */

typedef struct
{
  const char *const *argv; /* NULL-terminated; argv[0] is a path */
  const char *pid_file;
  const char *log_file;
  gint64 restart_max_ms; /* longest wait between two starts */
} TlSupervisorOptions;

/* Returns in the caller when the program was started, with the supervisor's pid. IN_USE when one runs already. */
gboolean tl_supervisor_start (const TlSupervisorOptions *options, gint64 *pid, GError **error);
/* TRUE for exit statuses after which another start would end alike. */
gboolean tl_supervisor_is_final (int exit_status);

G_END_DECLS

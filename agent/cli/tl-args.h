/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlArgs: a parsed command line. Options may stand anywhere ("--name value" or "--name=value"), "--" ends them, "-" is
 * an argument. Names are not abbreviated, so that scripts do not break when options are added. Secrets are refused
 * here, before anything runs: arguments can be read by every user of the computer (STYLE rule 7). Thread: owner's.
 */
typedef enum
{
  TL_OPTION_FLAG,
  TL_OPTION_TEXT,
  TL_OPTION_LIST,     /* may be given several times */
  TL_OPTION_DURATION, /* tl_duration_parse(); min..max in milliseconds */
  TL_OPTION_INTEGER,  /* min..max */
  TL_OPTION_CHOICE,   /* value is "node|operator" */
} TlOptionKind;

typedef struct
{
  const char *name; /* without dashes */
  TlOptionKind kind;
  const char *value; /* placeholder in help; choices for CHOICE; NULL for FLAG */
  const char *help;  /* N_() */
  gint64 min, max;
} TlOption;

typedef struct _TlArgs TlArgs;
struct _TlVerb;

/* Errors: TL_ERROR_USAGE. The result keeps nothing of argv. */
TlArgs *tl_args_parse (int argc, const char *const *argv, GError **error);
void tl_args_free (TlArgs *args);

/* NULL when no verb was given (then the words, if any, are a group or empty). */
const struct _TlVerb *tl_args_verb (TlArgs *args);
const char *tl_args_words (TlArgs *args); /* "pairing mint", "pairing", "" */

guint tl_args_count (TlArgs *args);
const char *tl_args_argument (TlArgs *args, guint index); /* NULL beyond the last */

/* By option name; a name that neither the verb nor the globals have is a programming error. */
gboolean tl_args_flag (TlArgs *args, const char *name);
const char *tl_args_text (TlArgs *args, const char *name);               /* NULL when not given */
const char *const *tl_args_list (TlArgs *args, const char *name);        /* never NULL */
gint64 tl_args_number (TlArgs *args, const char *name, gint64 fallback); /* DURATION in ms, INTEGER */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlArgs, tl_args_free)

G_END_DECLS

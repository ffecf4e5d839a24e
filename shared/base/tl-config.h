/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlConfig: key-file (INI) configuration against a table. Unknown groups and keys, repeated keys and values out of
 * range are errors that name file and line; nothing is silently ignored. Thread: owner's; immutable after load.
 */
typedef enum
{
  TL_CONFIG_STRING,
  TL_CONFIG_STRING_LIST, /* separated by ';' or ',' ; blanks around trimmed; empty items refused */
  TL_CONFIG_INTEGER,     /* min..max of the row */
  TL_CONFIG_BOOLEAN,     /* true/false/yes/no/on/off */
  TL_CONFIG_DURATION,    /* tl_duration_parse(); min..max in milliseconds */
  TL_CONFIG_CHOICE,      /* choices: "a|b|c" */
} TlConfigType;

typedef struct
{
  const char *group; /* "gateway"; a trailing '*' matches groups such as "root *" -> [root documents] */
  const char *key;
  TlConfigType type;
  const char *fallback; /* textual default; NULL: unset */
  gint64 min, max;      /* INTEGER and DURATION */
  const char *choices;  /* CHOICE */
  const char *help;     /* one line for --help and the man page */
} TlConfigKey;

typedef struct _TlConfig TlConfig;

/* path NULL: defaults only. A missing file is an error unless optional. Errors: INVALID_ARGUMENT "FILE:LINE: ...". The
 * table ends with a row of NULL group and is borrowed for the life of the object. */
TlConfig *tl_config_load (const char *path, gboolean optional, const TlConfigKey *table, GError **error);
TlConfig *tl_config_load_from_data (const char *name, const char *data, const TlConfigKey *table, GError **error);
void tl_config_free (TlConfig *config);

/* group/key must be in the table (a programming error otherwise). Strings borrowed; may be NULL when unset. */
const char *tl_config_get_string (TlConfig *config, const char *group, const char *key);
const char *const *tl_config_get_strings (TlConfig *config, const char *group, const char *key); /* never NULL */
gint64 tl_config_get_integer (TlConfig *config, const char *group, const char *key); /* INTEGER, DURATION (ms) */
gboolean tl_config_get_boolean (TlConfig *config, const char *group, const char *key);
/* Names of the groups in the file that match a wildcard row ("root *"): g_strfreev(). */
char **tl_config_list_groups (TlConfig *config, const char *pattern);
/* "FILE:LINE" of a key that was set in the file, else NULL; for messages about values checked later. */
const char *tl_config_where (TlConfig *config, const char *group, const char *key);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlConfig, tl_config_free)

G_END_DECLS

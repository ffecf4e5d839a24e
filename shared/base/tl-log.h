/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Structured logging: journald when stderr is the journal ($JOURNAL_STREAM), else one line on stderr
 * ("time level message key=value ..."). Values are escaped, so that a stranger's bytes cannot forge a line. Secrets
 * never come here. Thread: any.
 */
typedef enum
{
  TL_LOG_ERROR,
  TL_LOG_WARNING,
  TL_LOG_NOTICE,
  TL_LOG_INFO,
  TL_LOG_DEBUG,
} TlLogLevel;

/* Once at start. Messages above `level` are dropped. GLib's own messages come this way too. */
void tl_log_init (const char *program, TlLogLevel level);
gboolean tl_log_level_parse (const char *text, TlLogLevel *level);

/* Pairs of (const char *key, const char *value) end with NULL; a NULL value is skipped. Keys: [a-z_]+; in journald they
 * become TWINLATCH_<KEY>. */
void tl_log (TlLogLevel level, const char *message, ...) G_GNUC_NULL_TERMINATED;
/* Logs "context: error->message" with reason=...; does not free. */
void tl_log_error (TlLogLevel level, const char *context, const GError *error);

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-json.h"
#include "rpc/tl-rpc-call.h"

G_BEGIN_DECLS

/*
 * TlDenialLog: what was refused becomes journal rows (tl-journal.h), but nobody fills the disk by being refused. Per
 * actor and kind: the first ones are rows of their own (one for strangers, TL_DENIALS_KNOWN_ROWS for devices and local
 * operators), then there is one row a minute with a count, until a minute passes without any. Strangers from more than
 * TL_DENIALS_SOURCES_MAX sources at a time are counted together as "source:*". Time is a parameter. Thread: main.
 */
typedef struct _TlDenialLog TlDenialLog;

#define TL_DENIALS_INTERVAL_MS (60 * 1000)
#define TL_DENIALS_KNOWN_ROWS  60
#define TL_DENIALS_SOURCES_MAX 32
#define TL_DENIALS_KNOWN_MAX   1024 /* actors and kinds at a time; the rest is counted together too */
#define TL_DENIALS_OTHERS      "*"

/* Where rows go; strings borrowed. */
typedef void (*TlDenialSink) (const char *kind, const char *actor, const char *subject, const char *detail,
                              gpointer user_data);

TlDenialLog *tl_denial_log_new (TlDenialSink sink, gpointer user_data);
/* What was counted and not written is lost; tl_denial_log_flush() before. */
void tl_denial_log_free (TlDenialLog *log);

/* kind: a literal of tl-journal.h. actor: "source:...", "device:...", "uid:...". subject: id of what it is about, or
 * NULL. reason: stable word. text: one line for people, or NULL; cut to 240 bytes. */
void tl_denial_log_add (TlDenialLog *log, const char *kind, const char *actor, gboolean stranger, const char *subject,
                        const char *reason, const char *text, gint64 now_us);
/* The same for a call: its peer is the actor. */
void tl_denial_log_add_call (TlDenialLog *log, const char *kind, TlRpcCall *call, const char *subject,
                             const GError *error, gint64 now_us);
/* Writes the counts whose minute is over. */
void tl_denial_log_tick (TlDenialLog *log, gint64 now_us);
/* Writes all counts: shutdown. */
void tl_denial_log_flush (TlDenialLog *log, gint64 now_us);

G_END_DECLS

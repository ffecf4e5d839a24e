/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-gateway.h"
#include "daemon/store/tl-journal.h"

G_BEGIN_DECLS

/*
 * TlJournalService: what the gateway writes into its journal beside the store's own rows (start, configuration,
 * denials), retention, and ReadJournal, VerifyJournal, GetJournalHead, WatchEvents. Thread: main.
 */

/* Rows are sent in messages of at most this many, and wait while a client does not read. */
#define TL_JOURNAL_READ_MAX    10000
#define TL_JOURNAL_SEND_ROWS   200
#define TL_JOURNAL_SEND_BYTES  (1024 * 1024)
#define TL_JOURNAL_FOLLOW_MS   200
#define TL_JOURNAL_READERS_MAX 32 /* calls at a time */
/* Of them over the network, so that there are always some for who is at the gateway. */
#define TL_JOURNAL_REMOTE_MAX     16
#define TL_JOURNAL_REMOTE_MAX_ONE 4 /* of one device */

TlJournalService *tl_journal_service_new (TlGateway *gateway);
void tl_journal_service_free (TlJournalService *service);
/* Start: gateway.created (the journal has no row yet), configuration.changed (against the last start), gateway.started.
 * Sync. */
gboolean tl_journal_service_started (TlJournalService *service, GError **error);
/* Every half second: counts of denials, retention. */
void tl_journal_service_tick (TlJournalService *service, gint64 now_ms);
/* Shutdown: streams end, counts of denials are written. */
void tl_journal_service_close_all (TlJournalService *service);

/* A call, connection or request was refused: see tl-denial-log.h for what becomes of it. service NULL (a gateway
 * without one, in tests): nothing, as with the next two. */
void tl_journal_service_denied (TlJournalService *service, const char *kind, TlRpcCall *call, const char *subject,
                                const GError *error);
void tl_journal_service_rpc_denied (TlJournalService *service, const TlRpcDenial *denial);
/* An admitted device did something that is on record though it changed nothing: a late result, a log that was reset. */
void tl_journal_service_noted (TlJournalService *service, const char *kind, const char *device_id, const char *subject,
                               const char *reason);

void tl_journal_on_read (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_journal_on_read_end (TlRpcCall *call, gpointer user_data);
void tl_journal_on_verify (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_journal_on_verify_end (TlRpcCall *call, gpointer user_data);
/* tl-journal-events.c */
void tl_journal_on_watch_events (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_journal_on_head (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);

G_END_DECLS

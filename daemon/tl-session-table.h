/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/store/tl-records.h"
#include "pairing/tl-gateway-session.h"

G_BEGIN_DECLS

/*
 * TlSessionTable: the open pairing sessions, bounded overall and per source; when full, the oldest one that has not
 * exchanged yet makes room (PROTOCOL 3.4). Pure: time is a parameter. Thread: owner's.
 */
typedef struct
{
  TlGatewaySession *session;
  char *source;
  char *code_id;
  char *attempt_id; /* ULID of the counted attempt; NULL before */
  TlRole role;
  gboolean auto_approve;
  char *label;
  char *code_minted_by;
  TlPairingRecord *record; /* verified, not stored yet; NULL before */
  TlPairingKeys *keys;     /* with record */
  gint64 opened_ms;
  gboolean busy; /* a store operation or KDF is under way for it: not evicted, no other message taken */
} TlOpenSession;

typedef struct _TlSessionTable TlSessionTable;

TlSessionTable *tl_session_table_new (guint max, guint max_per_source);
void tl_session_table_free (TlSessionTable *table);
/* Makes room if it can; FALSE (nothing changed) when the source or the table is full of sessions that exchanged. */
gboolean tl_session_table_make_room (TlSessionTable *table, const char *source);
/* Takes the entry over; its session's id is the key. */
void tl_session_table_add (TlSessionTable *table, TlOpenSession *entry);
TlOpenSession *tl_session_table_lookup (TlSessionTable *table, const char *session_id);
void tl_session_table_remove (TlSessionTable *table, const char *session_id);
/* Drops what ran out; returns how many went. */
guint tl_session_table_expire (TlSessionTable *table, gint64 now_ms);
guint tl_session_table_size (TlSessionTable *table);

void tl_open_session_free (TlOpenSession *entry);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlOpenSession, tl_open_session_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlSessionTable, tl_session_table_free)

G_END_DECLS

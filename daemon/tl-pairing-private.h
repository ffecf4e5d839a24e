/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-pairing-service.h"
#include "daemon/tl-rate-limit.h"
#include "daemon/tl-session-table.h"

G_BEGIN_DECLS

/* Shared by tl-pairing-service.c (sessions), tl-pairing-watch.c (decisions reach devices and operators),
 * tl-pairing-operator.c. */
struct _TlPairingService
{
  TlGateway *gateway;
  TlRateLimit *starts;
  TlSessionTable *sessions;
  GHashTable *waiting;   /* request id -> TlDeviceWatch*: the device's WatchPairing stream, the newest wins */
  GPtrArray *operators;  /* TlRpcCall*: WatchPairingRequests streams */
  GHashTable *deciding;  /* request ids with a decision under way */
  GHashTable *issuing;   /* request ids whose certificate is being committed */
  guint minting;         /* worker threads that derive a code's verifier */
  gint64 next_expiry_ms; /* earliest moment something in the store may run out; G_MAXINT64 when nothing is known */
  gboolean expiring;
};

/* A call that waits for the store. */
typedef struct
{
  TlPairingService *service;
  TlRpcCall *call;
  char *session_id;
  char *request_id;
} TlPairingWait;

TlPairingWait *tl_pairing_wait_new (TlPairingService *service, TlRpcCall *call, const char *session_id,
                                    const char *request_id);
void tl_pairing_wait_free (TlPairingWait *wait);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlPairingWait, tl_pairing_wait_free)

/* For strangers: what the store says of itself (paths, SQL) goes to the log, the caller is told to try again. */
void tl_pairing_finish_stranger (TlRpcCall *call, const GError *error);
void tl_pairing_note_expiry (TlPairingService *service, gint64 when_ms);
/* A request was made or changed: operators are told, the device's stream is served (issues when approved). */
void tl_pairing_changed (TlPairingService *service, const TlPairingRecord *record);
/* WatchPairing. */
void tl_pairing_on_watch (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_pairing_on_watch_cancelled (TlRpcCall *call, gpointer user_data);
/* Frees the device streams' table entries. */
void tl_pairing_device_watch_free (gpointer watch);

G_END_DECLS

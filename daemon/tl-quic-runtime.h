/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-clock.h"
#include "daemon/tl-node-stream.h"
#include "identity/tl-admitted-set.h"
#include "identity/tl-trust-bundle.h"
#include "quic/tl-quic-endpoint.h"
#include "quic/tl-quic-message.h"
#include "rpc/tl-rpc-server.h"

G_BEGIN_DECLS

/*
 * TlQuicRuntime: the gateway's QUIC side (PROTOCOL 5): a thread of its own with the endpoint and every connection.
 * `node.health` is answered there by itself; every other request comes to main as an immutable message, and answers go
 * back as finished frames. Both ways only through TlQueue, with one wake-up a batch. A connection is registered and
 * then checked once more against the admitted set, and every request re-checks. Thread: main (created, used, freed).
 */
/* Of one connection. What a request costs depends on who answers it. */
#define TL_QUIC_BUDGET_PER_SECOND 2000000
#define TL_QUIC_COST_HEALTH       1
#define TL_QUIC_COST_MAIN         100 /* 20 000 a second */
/* Of one connection, with main at a time: somebody who resets streams has room for new ones before main looked at the
 * old. Above what streams that wait for their answers make. */
#define TL_QUIC_REQUESTS_IN_HAND (2 * TL_QUIC_MAX_STREAMS)
/* A device that comes anew does not wait for its lost connections to become idle; beyond this the oldest goes (0x103).
 */
#define TL_QUIC_CONNECTIONS_PER_DEVICE 8
/* Ends that nobody announces (notAfter) are looked for this often. */
#define TL_QUIC_TICK_MS 500
/* Refused handshakes on their way to main; more are counted only. */
#define TL_QUIC_DENIALS_PENDING 64

typedef struct _TlQuicRuntime TlQuicRuntime;

/*
 * TlQuicChannel: one stream that a device opened, in the hands of main: answers go into it. The stream or its
 * connection may be gone: what is sent then is dropped. Reference-counted, any thread.
 */
typedef struct _TlQuicChannel TlQuicChannel;
TlQuicChannel *tl_quic_channel_ref (TlQuicChannel *channel);
void tl_quic_channel_unref (TlQuicChannel *channel);
const char *tl_quic_channel_device_id (const TlQuicChannel *channel);
/* Main. frame: taken over. last: and then the stream ends. FALSE: it is known to be gone. */
gboolean tl_quic_channel_send (TlQuicChannel *channel, GBytes *frame, gboolean last);
/* Main. The whole connection; reason: static, may be NULL. */
void tl_quic_channel_close_connection (TlQuicChannel *channel, guint64 code, const char *reason);
/* Main. Bytes that wait here or in the transport. */
gsize tl_quic_channel_queued_bytes (const TlQuicChannel *channel);
/* Main. As of the last report (tl_quic_runtime_report()). */
void tl_quic_channel_get_path (const TlQuicChannel *channel, TlNodePath *path);

/* Main context. */
typedef struct
{
  /* A connection with this certificate was registered. */
  void (*registered) (const char *fingerprint, gpointer user_data);
  /* Anything but health; the channel is borrowed. Answered now or later, STREAM_EVENTS with more than one frame. */
  void (*request) (TlQuicChannel *channel, const TlQuicRequest *request, gpointer user_data);
  /* The peer ended an event stream, or its connection went. */
  void (*ended) (TlQuicChannel *channel, gpointer user_data);
  /* What waited in an event stream went below TL_QUIC_STREAM_LOW bytes. */
  void (*drained) (TlQuicChannel *channel, gpointer user_data);
  /* A handshake was refused. */
  void (*denied) (const TlRpcDenial *denial, gpointer user_data);
} TlQuicRuntimeHandlers;

typedef struct
{
  const char *gateway_id;
  const guint8 *secret; /* TL_QUIC_SECRET_LENGTH bytes that outlive a restart */
  TlAdmittedSet *admitted;
  TlTrustBundle *bundle;
  const char *chain_pem;   /* server leaf, CA */
  const TlSecret *key_pem; /* of the leaf */
  TlClock *clock;
  guint max_connections; /* 0: the protocol's, as for what follows */
  guint retry_threshold;
  guint handshake_timeout_ms;
  const char *qlog_directory;            /* NULL: none */
  guint budget_per_second;               /* 0: TL_QUIC_BUDGET_PER_SECOND */
  const TlQuicRuntimeHandlers *handlers; /* static */
  gpointer user_data;
} TlQuicRuntimeOptions;

TlQuicRuntime *tl_quic_runtime_new (const TlQuicRuntimeOptions *options, GError **error);
/* host:port; a name is every address it has. Before start. *bound (GPtrArray of char*): is added to. IN_USE, IO,
 * NOT_FOUND. */
gboolean tl_quic_runtime_listen (TlQuicRuntime *runtime, const char *address, GPtrArray *bound, GError **error);
void tl_quic_runtime_start (TlQuicRuntime *runtime);
/* Every connection is closed with 0x100, the thread ends, questions under way are answered. */
void tl_quic_runtime_stop (TlQuicRuntime *runtime);
/* Stops it first. NULL allowed. */
void tl_quic_runtime_free (TlQuicRuntime *runtime);

/* Handshakes from now on show and accept this. */
gboolean tl_quic_runtime_set_identity (TlQuicRuntime *runtime, const char *chain_pem, const TlSecret *key_pem,
                                       TlTrustBundle *bundle, GError **error);
/* The newest event of the device's log: for health. */
void tl_quic_runtime_latest (TlQuicRuntime *runtime, const char *device_id, guint64 seq);

/* The admitted set was changed before. done, once: how many connections there were, after their CONNECTION_CLOSE was
 * sent (close 0: only counted). */
typedef void (*TlQuicCutFunc) (guint connections, gpointer user_data);
void tl_quic_runtime_cut_device (TlQuicRuntime *runtime, const char *device_id, guint64 close, const char *reason,
                                 TlQuicCutFunc done, gpointer user_data);
/* reason: static. */
void tl_quic_runtime_cut_certificate (TlQuicRuntime *runtime, const char *fingerprint, guint64 close,
                                      const char *reason);

/* What the endpoint and the channels of event streams say of themselves; at most this old, refreshed before it is
 * told. Borrowed during the call. done may come at once. runtime NULL (switched off): zeros. */
#define TL_QUIC_REPORT_MAX_AGE_US G_USEC_PER_SEC
typedef void (*TlQuicReportFunc) (const TlQuicEndpointStats *stats, gpointer user_data);
void tl_quic_runtime_report (TlQuicRuntime *runtime, TlQuicReportFunc done, gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQuicRuntime, tl_quic_runtime_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQuicChannel, tl_quic_channel_unref)

G_END_DECLS

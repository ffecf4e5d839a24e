/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-clock.h"
#include "daemon/tl-daemon-config.h"
#include "daemon/tl-gateway-identity.h"
#include "identity/tl-admitted-set.h"
#include "rpc/tl-rpc-health.h"
#include "rpc/tl-rpc.h"
#include "twinlatch/v1/common.pb-c.h"

G_BEGIN_DECLS

typedef struct _TlPairingService TlPairingService;
typedef struct _TlNodeRegistry TlNodeRegistry;
typedef struct _TlDispatcher TlDispatcher;
typedef struct _TlRenewalService TlRenewalService;
typedef struct _TlJournalService TlJournalService;
typedef struct _TlRuntimeSnapshot TlRuntimeSnapshot;
typedef struct _TlQuicRuntime TlQuicRuntime;

/*
 * TlGateway: what the services of one daemon share. Built by tl_gateway_open(), taken down by tl_gateway_close();
 * services borrow it and do not outlive it. Everything in it is used on the main thread.
 */
typedef struct
{
  TlDaemonConfig *config;
  TlClock *clock;
  TlRandom *random;
  TlStore *store;
  TlSecretStore *secrets;
  TlGatewayIdentity *identity;
  TlAdmittedSet *admitted;
  TlStoreAdmission *admission; /* how it is: counter, restored */
  GHashTable *seen;            /* fingerprints whose first use was recorded in this run */
  GQueue superseded;           /* certificates whose connections have a minute left */
  TlRpcLoop *loop;
  TlRpcServer *server;
  TlRpcHealth *health;
  TlQuicRuntime *quic; /* NULL: switched off */
  TlPairingService *pairing;
  TlNodeRegistry *registry;
  TlDispatcher *dispatcher;
  TlRenewalService *renewal;
  TlJournalService *journal;
  TlRuntimeSnapshot *snapshot;
  guint64 snapshot_generation; /* of the store, when a snapshot was last asked for */
  char *state_dir;
  char **listeners;      /* "127.0.0.1:40123", as bound */
  char **quic_listeners; /* the same, over UDP; NULL: none */
  char **advertised;     /* host:port for links */
  gint64 started_ms;
  guint tick_source;
  guint ticks;
  gboolean probing; /* a store probe is under way */
  gboolean damage_journalled;
} TlGateway;

typedef struct
{
  TlDaemonConfig *config; /* taken over on success */
  const char *state_dir;
  const char *admin_socket;
  gboolean user; /* admin socket 0600 without a group */
  TlStoreOpenFlags store_flags;
  TlSecret *secrets_key; /* 32 bytes from a systemd credential, or NULL */
} TlGatewayOptions;

/* Opens state, binds, starts serving. Nothing is left behind on failure. Errors: READ_ONLY, NEWER_VERSION, CORRUPT,
 * IN_USE, ... */
TlGateway *tl_gateway_open (const TlGatewayOptions *options, GError **error);
/* Refuses new calls, lets those under way end for grace_ms, closes the store. Iterates the main context. */
void tl_gateway_close (TlGateway *gateway, guint grace_ms);

/* A device's certificate takes part in a call for the first time: durable mark, the old ones end (PROTOCOL 4.3). */
void tl_gateway_certificate_seen (TlGateway *gateway, const char *fingerprint);

/* The connections of a certificate that was renewed end so long after the first use of the new one (PROTOCOL 4.3). */
#define TL_GATEWAY_SUPERSEDED_MS (60 * 1000)

/* These certificates are no longer admitted, newer ones are: out of the set, their connections closed. */
void tl_gateway_end_certificates (TlGateway *gateway, const GPtrArray *fingerprints);

/* ---- who is admitted: tl-gateway-devices.c (PROTOCOL 4.4) ---- */
typedef struct
{
  TlAdmissionKind kind;  /* REVOKE .. ROLE */
  const char *device_id; /* exact */
  TlRole role;           /* ROLE */
  const char *actor;
  const char *reason; /* may be NULL */
  gboolean dry_run;
} TlGatewayChangeRequest;

/* What a change did, or would do. Borrowed during the callback. */
typedef struct
{
  const TlDeviceChange *stored;
  guint certificates, calls, connections; /* of both transports */
  gint64 duration_us;                     /* from the request to the last closed connection */
} TlGatewayChange;
typedef void (*TlGatewayChanged) (const TlGatewayChange *change, const GError *error, gpointer user_data);

/* Durable first, then out of the admitted set, QUIC connections, gRPC calls, sockets, requests; told when all of it is
 * done. request: copied. */
void tl_gateway_change_device (TlGateway *gateway, const TlGatewayChangeRequest *request, TlGatewayChanged changed,
                               gpointer user_data);
/* Start-up, sync, before anybody is admitted: admission.log, and the admitted set, closed on a restored gateway. */
gboolean tl_gateway_open_admission (TlGateway *gateway, GError **error);
/* The operator confirmed the devices of a restored gateway: opens the set after the commit. callback's result:
 * TlStoreConfirmation */
void tl_gateway_confirm_devices (TlGateway *gateway, gint64 restored_at, const char *actor, const char *reason,
                                 TlStoreCallback callback, gpointer user_data);
/* One line for systemd's `status`; ready: and that we are. */
void tl_gateway_notify_status (TlGateway *gateway, gboolean ready);

/* Fills one message a CA generation (tl_trust_bundle_size() of them); what they borrow lives in the returned array. */
GPtrArray *tl_gateway_fill_cas (TlGateway *gateway, Twinlatch__V1__CaCertificate *messages);

G_END_DECLS

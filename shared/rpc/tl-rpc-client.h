/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>
#include <protobuf-c/protobuf-c.h>

#include "base/tl-clock.h"
#include "identity/tl-trust-bundle.h"
#include "rpc/tl-rpc-identity.h"
#include "rpc/tl-rpc-loop.h"

G_BEGIN_DECLS

/*
 * TlRpcClient: one channel. Kinds: local (admin socket), first contact (no trust yet: any server certificate is taken
 * for the handshake, and recorded; with ca_sha256 the server's chain must hold that CA and verify under it), trusted
 * (bundle, gateway name, optional client identity). Names are checked by gateway id, not by host. Thread: main context.
 */
typedef struct _TlRpcClient TlRpcClient;

typedef struct
{
  const char *const *addresses; /* "host:port" or literals; tried in order. TLS kinds. */
  const char *socket_path;      /* local kind */
  gboolean first_contact;
  const guint8 *ca_sha256;    /* first contact: 32 bytes, SHA-256 of the CA's DER (a link's `f`), or NULL */
  TlTrustBundle *bundle;      /* trusted */
  TlRpcIdentity *identity;    /* trusted: client certificate; its roots are the bundle's PEM; NULL = none */
  const char *server_pin;     /* trusted: hex SHA-256 of the only leaf, or its public key, that is taken; NULL: any */
  TlClock *clock;             /* NULL = system */
  guint connect_timeout_ms;   /* 0 = 10000: a call on a channel that cannot connect fails UNAVAILABLE after it */
  guint keepalive_ms;         /* 0 = 20000 */
  guint keepalive_timeout_ms; /* 0 = 10000 */
} TlRpcClientOptions;

TlRpcClient *tl_rpc_client_new (TlRpcLoop *loop, const TlRpcClientOptions *options, GError **error);
TlRpcClient *tl_rpc_client_ref (TlRpcClient *client);
/* The last reference closes the channel; calls under way end with CANCELLED. */
void tl_rpc_client_unref (TlRpcClient *client);

/* First contact: leaf and chain that the server presented (DER), of the connection the last finished call ran on; NULL
 * before. */
GBytes *tl_rpc_client_server_leaf (TlRpcClient *client);
/* First contact, after SPAKE2+ confirmed the CA: from now on the leaf only has to verify under this bundle and carry
 * the gateway name (PROTOCOL 3.3: so the channel may reconnect). Before that every handshake must show the first leaf
 * again. */
void tl_rpc_client_set_bundle (TlRpcClient *client, TlTrustBundle *bundle);

/* One unary call. deadline_ms from now (> 0). The answer is freed with protobuf_c_message_free_unpacked(). Errors are
 * TL_ERROR built from status and reason; a TLS refusal is UNAVAILABLE, or WRONG_CA when our verifier refused the
 * server. */
void tl_rpc_client_call_async (TlRpcClient *client, const char *path, const ProtobufCMessage *request,
                               const ProtobufCMessageDescriptor *response, guint deadline_ms, GCancellable *cancellable,
                               GAsyncReadyCallback callback, gpointer user_data);
ProtobufCMessage *tl_rpc_client_call_finish (TlRpcClient *client, GAsyncResult *result, GError **error);
/* For command lines: iterates the loop's main context until the answer is there. Never from within a callback of this
 * layer. */
ProtobufCMessage *tl_rpc_client_call_sync (TlRpcClient *client, const char *path, const ProtobufCMessage *request,
                                           const ProtobufCMessageDescriptor *response, guint deadline_ms,
                                           GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRpcClient, tl_rpc_client_unref)

G_END_DECLS

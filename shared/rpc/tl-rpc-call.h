/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <protobuf-c/protobuf-c.h>
#include <sys/types.h>

#include "identity/tl-admitted-set.h"

G_BEGIN_DECLS

typedef struct _TlRpcCall TlRpcCall;

typedef enum
{
  TL_RPC_UNARY,
  TL_RPC_SERVER_STREAM,
  TL_RPC_BIDI,
} TlRpcKind;

/* Who may call a method. Checked on the rpc thread before a message is parsed, and again for every message of a stream.
 */
typedef enum
{
  TL_RPC_AUTH_ANYONE,   /* also without a certificate */
  TL_RPC_AUTH_DEVICE,   /* admitted device, over TLS */
  TL_RPC_AUTH_OPERATOR, /* local socket, or admitted device with role operator */
  TL_RPC_AUTH_LOCAL,    /* local socket only */
  TL_RPC_AUTH_KNOWN,    /* admitted device or local socket */
} TlRpcAuth;

typedef enum
{
  TL_RPC_PEER_STRANGER, /* TLS, no certificate */
  TL_RPC_PEER_DEVICE,   /* TLS, admitted certificate */
  TL_RPC_PEER_LOCAL,    /* admin socket */
} TlRpcPeerKind;

/* Who is calling; immutable, lives as long as the call. */
typedef struct
{
  TlRpcPeerKind kind;
  const char *address;     /* "192.0.2.1:5555", "[2001:db8::1]:5555", "local" */
  const char *source;      /* rate-limit key: IPv4 address or IPv6 /64 ("192.0.2.1", "2001:db8::/64"), "local" */
  const char *fingerprint; /* certificate, DEVICE only */
  TlAdmission admission;   /* DEVICE only */
  uid_t uid;               /* LOCAL only */
  pid_t pid;
  const char *actor; /* "uid:1000", "device:<id>", "source:<source>": for journals */
} TlRpcPeer;

typedef struct
{
  const char *path; /* "/twinlatch.v1.NodeService/RegisterNode" */
  TlRpcKind kind;
  TlRpcAuth auth;
  const ProtobufCMessageDescriptor *request;
  const ProtobufCMessageDescriptor *response;
  guint32 max_request; /* bytes, 0 = 64 KiB; larger: RESOURCE_EXHAUSTED before it is parsed */
  /* Main context. The message is borrowed for the time of the call. Unary and server stream: once. The handler ends the
   * call now or later with tl_rpc_call_finish(); it keeps a reference if later. */
  void (*on_message) (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
  /* Bidi: the client sent its last message. NULL: the call is finished with OK. */
  void (*on_half_close) (TlRpcCall *call, gpointer user_data);
  /* The call ended before it was finished here (client gone, deadline, dropped, shutdown); may be NULL. Exactly once,
   * never after tl_rpc_call_finish() was called. */
  void (*on_cancelled) (TlRpcCall *call, gpointer user_data);
} TlRpcMethod;

TlRpcCall *tl_rpc_call_ref (TlRpcCall *call);
void tl_rpc_call_unref (TlRpcCall *call);
const TlRpcPeer *tl_rpc_call_peer (TlRpcCall *call);
const TlRpcMethod *tl_rpc_call_method (TlRpcCall *call);
/* Caller's data, e.g. a stream object; free_data at the end of the call object. Main context, and with data the last
 * reference is dropped there too. */
void tl_rpc_call_set_data (TlRpcCall *call, gpointer data, GDestroyNotify free_data);
gpointer tl_rpc_call_get_data (TlRpcCall *call);
/* Packs and queues; any thread. FALSE when the call ended already. */
gboolean tl_rpc_call_send (TlRpcCall *call, const ProtobufCMessage *message);
/* Bytes queued and not yet taken by the transport: for back-pressure on streams. Above 16 MiB the call is cancelled. */
gsize tl_rpc_call_queued_bytes (TlRpcCall *call);
/* Ends the call: error NULL = OK. Status, message and `twinlatch-reason` come from the error. Only the first counts. */
void tl_rpc_call_finish (TlRpcCall *call, const GError *error);
/* Unary: send + finish OK. */
void tl_rpc_call_reply (TlRpcCall *call, const ProtobufCMessage *message);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRpcCall, tl_rpc_call_unref)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "rpc/tl-rpc-private.h"

G_BEGIN_DECLS

/* Between server and call; both run on the rpc thread but where it says otherwise. */

/* What a call needs of its server; strings are copied. */
typedef struct
{
  TlRpcPeerKind kind;
  char *address; /* these three are taken over */
  char *source;
  char *fingerprint;
  TlAdmission admission;
  uid_t uid;
  pid_t pid;
} TlRpcCaller;

void tl_rpc_caller_clear (TlRpcCaller *caller);

/* Takes over `grpc` and the contents of caller. method NULL: only to be finished with an error. The first reference
 * belongs to gRPC's activity and is dropped on the main context when that ended. */
TlRpcCall *tl_rpc_call_new (TlRpcServer *server, grpc_call *grpc, const TlRpcMethod *method, gpointer user_data,
                            TlRpcCaller *caller);
/* Watches for the end and, with receive, for the first message. */
void tl_rpc_call_begin (TlRpcCall *call, gboolean receive);
/* Ends it with this status before or between the handler's turns; the handler is told by on_cancelled if it knows the
 * call. Any thread. */
void tl_rpc_call_refuse (TlRpcCall *call, const GError *error);
/* Ends it from our side; the peer sees this status if its connection lives. on_cancelled is called. Any thread. */
void tl_rpc_call_cancel (TlRpcCall *call, grpc_status_code status, const char *message);

/* ---- server, for calls */

TlRpcServer *tl_rpc_server_hold (TlRpcServer *server); /* memory only */
void tl_rpc_server_release (TlRpcServer *server);
TlRpcLoop *tl_rpc_server_loop (TlRpcServer *server);
/* FALSE once the owner has let go: handlers are not called any more. */
gboolean tl_rpc_server_is_open (TlRpcServer *server);
/* The gate, before every message: looks the certificate up again. *error says why not. */
gboolean tl_rpc_server_check (TlRpcServer *server, const TlRpcPeer *peer, const TlRpcMethod *method, GError **error);
void tl_rpc_server_request_arrived (TlRpcServer *server, TlRpcCall *call);
void tl_rpc_server_call_ended (TlRpcServer *server, TlRpcCall *call);
/* Main context: nothing more is told about the call. */
void tl_rpc_server_call_gone (TlRpcServer *server);

G_END_DECLS

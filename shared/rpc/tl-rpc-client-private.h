/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "rpc/tl-rpc-private.h"
#include "rpc/tl-rpc-verifier.h"

G_BEGIN_DECLS

/* Between client and its calls; every call, unary too, is a TlRpcStream. Main context. */

/* Takes over message and error. */
typedef struct
{
  void (*message) (TlRpcStream *stream, ProtobufCMessage *message, gpointer owner);
  void (*closed) (TlRpcStream *stream, GError *error, gpointer owner);
} TlRpcStreamSink;

/* The caller's reference; the sink's `closed` is called once, last, and never before this returned. */
TlRpcStream *tl_rpc_stream_start (TlRpcClient *client, const char *path, const ProtobufCMessage *request,
                                  const ProtobufCMessageDescriptor *response, guint deadline_ms,
                                  const TlRpcStreamSink *sink, gpointer owner);
/* From the client once it has a channel (or none: error). */
void tl_rpc_stream_open (TlRpcStream *stream, grpc_channel *channel, const GError *error);
/* Any thread. */
void tl_rpc_stream_end (TlRpcStream *stream, grpc_status_code status, const char *message);

/* ---- client, for its calls */
TlRpcClient *tl_rpc_client_hold (TlRpcClient *client); /* memory only */
void tl_rpc_client_release (TlRpcClient *client);
TlRpcLoop *tl_rpc_client_loop (TlRpcClient *client);
guint tl_rpc_client_connect_timeout (TlRpcClient *client);
gboolean tl_rpc_client_is_connected (TlRpcClient *client);
void tl_rpc_client_add (TlRpcClient *client, TlRpcStream *stream);
/* TRUE when it was still waiting for a channel; it then is opened by nobody. */
gboolean tl_rpc_client_stop_waiting (TlRpcClient *client, TlRpcStream *stream);
/* The call is over: leaf (may be NULL) is the server's certificate on its connection. */
void tl_rpc_client_remove (TlRpcClient *client, TlRpcStream *stream, GBytes *leaf);
/* What a failed call means, from the status and from what our verifier knows; connected: it had a TLS connection. */
void tl_rpc_client_explain (TlRpcClient *client, grpc_status_code status, const char *reason, const char *message,
                            gboolean connected, GError **error);

G_END_DECLS

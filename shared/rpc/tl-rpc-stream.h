/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "rpc/tl-rpc-client.h"

G_BEGIN_DECLS

typedef struct _TlRpcStream TlRpcStream;

typedef struct
{
  /* Borrowed message. */
  void (*on_message) (TlRpcStream *stream, const ProtobufCMessage *message, gpointer user_data);
  /* Once, last; error NULL = the server finished with OK. */
  void (*on_closed) (TlRpcStream *stream, const GError *error, gpointer user_data);
} TlRpcStreamHandlers;

/* Server-streaming (request given) or bidi (request NULL, tl_rpc_stream_send). deadline_ms 0 = none. handlers are
 * copied. */
TlRpcStream *tl_rpc_client_stream (TlRpcClient *client, const char *path, const ProtobufCMessage *request,
                                   const ProtobufCMessageDescriptor *response, guint deadline_ms,
                                   const TlRpcStreamHandlers *handlers, gpointer user_data);
TlRpcStream *tl_rpc_stream_ref (TlRpcStream *stream);
void tl_rpc_stream_unref (TlRpcStream *stream);
gboolean tl_rpc_stream_send (TlRpcStream *stream, const ProtobufCMessage *message);
void tl_rpc_stream_half_close (TlRpcStream *stream);
/* "192.0.2.1:7444": whom it talks to, once something came from there; NULL before, and for sockets without address.
 * g_free() */
char *tl_rpc_stream_peer (TlRpcStream *stream);
/* on_closed is still called, with CANCELLED, unless it was; no on_message after this. */
void tl_rpc_stream_cancel (TlRpcStream *stream);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRpcStream, tl_rpc_stream_unref)

G_END_DECLS

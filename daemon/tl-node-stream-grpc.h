/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-dispatcher.h"
#include "daemon/tl-node-stream.h"
#include "rpc/tl-rpc.h"

G_BEGIN_DECLS

/* The gRPC side of TlNodeStream: NodeService.StreamEvents. Thread: main. */

/* takes_events: the node understands several events in one message. */
TlNodeStream *tl_node_stream_grpc_new (TlRpcCall *call, const char *instance_id, gboolean takes_events);
/* NULL: a stream of another transport. */
TlRpcCall *tl_node_stream_grpc_get_call (TlNodeStream *stream);
/* To a result that came by the stream. */
void tl_node_stream_grpc_answer (TlNodeStream *stream, const char *request_id, TlResultVerdict verdict,
                                 const GError *error);

G_END_DECLS

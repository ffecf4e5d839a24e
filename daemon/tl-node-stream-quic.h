/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-node-stream.h"
#include "daemon/tl-quic-runtime.h"

G_BEGIN_DECLS

/* The QUIC side of TlNodeStream: the stream of `node.stream_events`. Thread: main. */

TlNodeStream *tl_node_stream_quic_new (TlQuicChannel *channel, const char *instance_id);
/* NULL: a stream of another transport. */
TlQuicChannel *tl_node_stream_quic_get_channel (TlNodeStream *stream);

/* What an error of the gateway's is to a QUIC client (PROTOCOL 5). */
TlQuicRefusal tl_quic_refusal_from_error (const GError *error);

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include "rpc/tl-rpc.h"

G_BEGIN_DECLS

/* What the files of shared/rpc share; nobody else includes this. */

/* Channel arguments that grpc_types.h has as text only in other headers. */
#define TL_RPC_ARG_COMPRESSION_ALGORITHMS "grpc.compression_enabled_algorithms_bitset"

#define TL_RPC_MAX_MESSAGE        (4u * 1024u * 1024u + 64u * 1024u)
#define TL_RPC_MAX_METADATA       8192
#define TL_RPC_MAX_STATUS_MESSAGE 1024
/* Bytes that may wait on one call or stream for a peer that does not read; beyond it the call ends. */
#define TL_RPC_MAX_QUEUED           (16u * 1024u * 1024u)
#define TL_RPC_KEEPALIVE_MS         20000
#define TL_RPC_KEEPALIVE_TIMEOUT_MS 10000

/* ---- loop */

/* What the completion queue gives back: embedded in the object that waits. `done` runs on the rpc thread. */
typedef struct _TlRpcTag TlRpcTag;
struct _TlRpcTag
{
  void (*done) (TlRpcTag *tag, gboolean ok);
};
#define TL_RPC_TAG_OWNER(tag, Type, member) ((Type *)(gpointer)((guint8 *)(tag)-G_STRUCT_OFFSET (Type, member)))

typedef void (*TlRpcEventFunc) (gpointer data);

grpc_completion_queue *tl_rpc_loop_cq (TlRpcLoop *loop);
GMainContext *tl_rpc_loop_context (TlRpcLoop *loop);
/* Runs func on the main context, in order. What is still waiting when the loop ends runs then: every event runs once.
 */
void tl_rpc_loop_post (TlRpcLoop *loop, TlRpcEventFunc func, gpointer data);
/* A gRPC object that still gives events: the loop does not end before it was released. Any thread. */
void tl_rpc_loop_hold (TlRpcLoop *loop);
void tl_rpc_loop_release (TlRpcLoop *loop);
/* A source on the loop's context: g_source_destroy() and unref by the caller. */
GSource *tl_rpc_loop_add_timeout (TlRpcLoop *loop, guint interval_ms, GSourceFunc func, gpointer data);

/* ---- messages */

/* A byte buffer with the packed message; *length (may be NULL) gets its size. */
grpc_byte_buffer *tl_rpc_message_pack (const ProtobufCMessage *message, gsize *length);
/* Size is checked before a byte is parsed. RESOURCE_EXHAUSTED, UNSUPPORTED (compressed), INVALID_ARGUMENT. */
ProtobufCMessage *tl_rpc_message_unpack (grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *descriptor,
                                         gsize max_length, GError **error);
/* Status message fit for the wire: at most TL_RPC_MAX_STATUS_MESSAGE bytes of UTF-8, control characters replaced. */
char *tl_rpc_message_clean (const char *text);
/* Slice contents as a NUL-terminated string. g_free() */
char *tl_rpc_slice_to_string (grpc_slice slice);
/* The value of a metadata key, NULL when there is none. g_free() */
char *tl_rpc_metadata_get (const grpc_metadata_array *metadata, const char *key);

/* ---- identity, TLS */

grpc_tls_certificate_provider *tl_rpc_identity_provider (TlRpcIdentity *identity); /* borrowed */
const char *tl_rpc_identity_gateway_id (TlRpcIdentity *identity); /* of the server leaf at its making; or NULL */
/* DER of the certificate the other end of the call showed, NULL when it showed none. */
GBytes *tl_rpc_call_peer_certificate (grpc_call *call);

G_END_DECLS

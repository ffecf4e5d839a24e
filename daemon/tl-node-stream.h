/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/store/tl-records.h"

G_BEGIN_DECLS

/*
 * TlNodeStream: the way to one node's event stream, whatever the transport (PROTOCOL 4.1): the gRPC call or the QUIC
 * stream that the node opened. The registry owns it; there is one a device. Thread: main.
 */
typedef struct _TlNodeStream TlNodeStream;

/* How the connection under it is doing. */
typedef struct
{
  char address[64]; /* of the node, now: a QUIC connection moves */
  gint64 rtt_us;    /* smoothed; 0: not known */
  guint64 packets_lost;
  guint migrations;
} TlNodePath;

typedef struct
{
  const char *transport; /* "grpc", "quic" */
  /* Each FALSE: the transport is gone. */
  gboolean (*send_event) (TlNodeStream *stream, const TlEventRecord *event);
  gboolean (*send_gap) (TlNodeStream *stream, guint64 oldest_seq, const char *oldest_id);
  gboolean (*send_reset) (TlNodeStream *stream, guint64 latest_seq);
  gboolean (*send_ready) (TlNodeStream *stream, guint64 latest_seq);
  /* Bytes that wait here and in the transport. */
  gsize (*queued_bytes) (TlNodeStream *stream);
  void (*get_path) (TlNodeStream *stream, TlNodePath *path);
  /* Tells the peer why. IN_USE: a newer stream of the device has taken over. Nothing is sent after it. */
  void (*end) (TlNodeStream *stream, const GError *error);
  /* What was not sent yet is dropped. */
  void (*free) (TlNodeStream *stream);
} TlNodeStreamClass;

/* The first member of each implementation. */
struct _TlNodeStream
{
  const TlNodeStreamClass *klass;
  char instance_id[27]; /* of the process that opened it */
};

static inline void
tl_node_stream_free (TlNodeStream *stream)
{
  if (stream != NULL)
    stream->klass->free (stream);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeStream, tl_node_stream_free)

G_END_DECLS

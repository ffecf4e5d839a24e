/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * node.status.json: what a running node says of itself, for `twinlatch node status`. Written on change, not durable; a
 * reader looks whether the process still lives. Thread: owner's.
 */
#define TL_NODE_STATUS_FILE "node.status.json"

typedef struct
{
  gint64 pid;
  gint64 started_ms;  /* of the process */
  gint64 start_ticks; /* the same as the kernel counts it (tl-pid-file.h); 0: not known. Written by write() */
  gint64 since_ms;    /* of the state */
  char *state;        /* tl_node_run_state_to_string() */
  char *detail;       /* one line for people */
  char *version;
  char *transport;           /* "quic" or "grpc" while connected, else "" */
  char *transport_reason;    /* why it is not QUIC; "" */
  char *address;             /* of the gateway, while connected; "" */
  gint64 connected_since_ms; /* over this transport; 0: not connected */
  gint64 rtt_us;             /* of QUIC, as of the last keep-alive; 0: not known */
  gint64 packets_lost;       /* the same */
  gint64 migrations;
  gint64 attempts;        /* to reach the gateway since the last connection */
  gint64 next_attempt_ms; /* wall time; 0: none is planned, or one is under way */
} TlNodeStatus;

void tl_node_status_free (TlNodeStatus *status);
/* NOT_FOUND when no node ever ran; CORRUPT. */
TlNodeStatus *tl_node_status_read (const char *directory, GError **error);
/* The process that wrote it lives: one of that pid that was started after it is another one. */
gboolean tl_node_status_is_alive (const TlNodeStatus *status);
gboolean tl_node_status_write (const TlNodeStatus *status, const char *directory, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeStatus, tl_node_status_free)

G_END_DECLS

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
  gint64 started_ms; /* of the process */
  gint64 since_ms;   /* of the state */
  char *state;       /* tl_node_run_state_to_string() */
  char *detail;      /* one line for people */
  char *version;
} TlNodeStatus;

void tl_node_status_free (TlNodeStatus *status);
/* NOT_FOUND when no node ever ran; CORRUPT. */
TlNodeStatus *tl_node_status_read (const char *directory, GError **error);
/* The process that wrote it lives. */
gboolean tl_node_status_is_alive (const TlNodeStatus *status);
gboolean tl_node_status_write (const TlNodeStatus *status, const char *directory, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeStatus, tl_node_status_free)

G_END_DECLS

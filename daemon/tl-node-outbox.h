/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/store/tl-records.h"
#include "daemon/tl-dispatcher.h"
#include "rpc/tl-rpc.h"

G_BEGIN_DECLS

/*
 * TlNodeOutbox: what goes down one node's stream over gRPC. Small events and answers to results that become due in one
 * turn of the main context go out in one message each: a message costs its sender and its reader more than what is in
 * it. Thread: main.
 */
typedef struct _TlNodeOutbox TlNodeOutbox;

/* takes_events: the node understands several in one message; else each goes out at once, by itself. */
TlNodeOutbox *tl_node_outbox_new (TlRpcCall *call, gboolean takes_events);
/* What was not sent yet is dropped. */
void tl_node_outbox_free (TlNodeOutbox *outbox);

/* FALSE: the stream is gone. */
gboolean tl_node_outbox_event (TlNodeOutbox *outbox, const TlEventRecord *event);
/* To a result that came by the stream. */
void tl_node_outbox_answer (TlNodeOutbox *outbox, const char *request_id, TlResultVerdict verdict, const GError *error);
/* Any other message, behind what waits. FALSE: the stream is gone. */
gboolean tl_node_outbox_send (TlNodeOutbox *outbox, Twinlatch__V1__StreamEventsResponse *response);
/* Bytes that wait here and in the transport. */
gsize tl_node_outbox_queued_bytes (TlNodeOutbox *outbox);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeOutbox, tl_node_outbox_free)

G_END_DECLS

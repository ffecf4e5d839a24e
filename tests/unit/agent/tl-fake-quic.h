/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "quic/tl-quic-endpoint.h"
#include "quic/tl-quic-message.h"
#include "tl-fake-gateway.h"

G_BEGIN_DECLS

/* A fake gateway's QUIC side: real TLS and UDP, on the port of its gRPC, for the device that it admits. Counts and
 * keeps what the node sends. */
typedef struct
{
  TlFakeGateway *gateway;
  TlQuicEndpoint *endpoint;
  TlQuicTls *tls;
  TlQuicConnection *connection; /* the newest; NULL: closed */
  TlQuicStream *stream;         /* of events; NULL */
  guint n_connections, n_closed;
  TlQuicClose why; /* of the last one that ended */

  guint n_streams, n_health, n_acks, n_results, n_events, n_requests;
  guint64 resume_from, ack_seq;
  char *instance_id;
  GPtrArray *events;  /* char*: "type data" */
  GPtrArray *outputs; /* char*, of results */

  gboolean mute;    /* answers nothing but the event stream */
  gboolean refuse;  /* results are answered rate_limited */
  guint64 reset_to; /* before ready; 0: none */
} TlFakeQuic;

TlFakeQuic *tl_fake_quic_new (TlFakeGateway *gateway);
void tl_fake_quic_free (TlFakeQuic *quic);
/* Ids of events are ULIDs that end in the number, four digits. */
void tl_fake_quic_send_event (TlFakeQuic *quic, guint64 seq, const char *type, const char *data, gboolean oversize);

G_END_DECLS

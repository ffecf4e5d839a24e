/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "rpc/tl-rpc.h"
#include "tl-node-fixture.h"
#include "twinlatch/v1/node.pb-c.h"
#include "twinlatch/v1/pairing.pb-c.h"

G_BEGIN_DECLS

/*
 * A gateway for one device that does what a test says: real TLS and gRPC, no store. Counts and keeps what the node
 * sends.
 */
typedef struct
{
  TlRpcLoop *loop;
  TlCertificateAuthority *ca;
  TlAdmittedSet *admitted;
  TlRpcIdentity *identity;
  char *chain_pem; /* the same, for other transports */
  TlSecret *key_pem;
  GBytes *leaf; /* DER */
  TlRpcHealth *health;
  TlRpcServer *server;
  guint16 port;
  char *address;

  /* what the node sent */
  guint n_registered;
  GPtrArray *announced; /* char*: "name consent available" */
  guint n_streams;
  guint64 resume_seq;
  char *resume_id;
  char *instance_id;
  TlRpcCall *stream;
  guint n_acks;
  guint64 ack_seq;
  char *ack_id;
  GPtrArray *node_events; /* char*: "type data" */
  gboolean takes_events;
  guint n_results;
  guint n_messages;   /* with results, by the stream */
  GPtrArray *results; /* SubmitCapabilityResultRequest */
  guint n_fetched;
  guint n_ended; /* streams that the node ended */

  /* what it answers */
  guint64 reset_to;             /* latest_seq of a Reset before Ready; 0: none */
  guint64 gap_to;               /* oldest of a Gap before Ready; 0: none */
  guint refuse_results;         /* so many are answered UNAVAILABLE first */
  gboolean takes_results;       /* said in Ready: results may come by the stream */
  gboolean unknown;             /* results are unknown */
  Twinlatch__V1__Event *stored; /* for FetchEvent; borrowed */
} TlFakeGateway;

TlFakeGateway *tl_fake_gateway_new (void);
void tl_fake_gateway_free (TlFakeGateway *gateway);
/* Before tl_fake_gateway_start(). */
void tl_fake_gateway_add_methods (TlFakeGateway *gateway, const TlRpcMethod *methods, guint n, gpointer user_data);
/* The same port again after tl_fake_gateway_stop(). */
void tl_fake_gateway_start (TlFakeGateway *gateway);
void tl_fake_gateway_stop (TlFakeGateway *gateway);
void tl_fake_gateway_admit (TlFakeGateway *gateway, TlDeviceIdentity *identity);

/* Ids of events are "event-<seq>". */
void tl_fake_gateway_send_event (TlFakeGateway *gateway, guint64 seq, const char *type, const char *data,
                                 gboolean oversize);
void tl_fake_gateway_dispatch (TlFakeGateway *gateway, guint64 seq, const char *request_id, const char *capability,
                               const char *input);
/* n dispatches of one capability in one message, from seq on. */
void tl_fake_gateway_dispatch_many (TlFakeGateway *gateway, guint64 seq, char *const *request_ids, guint n,
                                    const char *capability, const char *input);
char *tl_fake_gateway_dispatch_data (const char *request_id, const char *capability, const char *input);
void tl_fake_gateway_end_stream (TlFakeGateway *gateway, int code, const char *message);

G_END_DECLS

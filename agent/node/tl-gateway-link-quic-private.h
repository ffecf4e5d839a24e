/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-gateway-link-quic.h"
#include "agent/node/tl-node-calls.h"
#include "agent/node/tl-node-registration.h"
#include "agent/node/tl-quic-client.h"
#include "agent/node/tl-quic-requests.h"

G_BEGIN_DECLS

/*
 * Shared by tl-gateway-link-quic.c (the link), -registration.c (who we are, who the gateway is), -stream.c (the event
 * stream), -path.c (whether it still works) and -submit.c (handing things in). Thread: main context.
 */
#define TL_NODE_SERVICE     "/twinlatch.v1.NodeService/"
#define TL_QUIC_LINK_RPC_MS 15000 /* deadline of a gRPC call */

typedef enum
{
  TL_QUIC_LINK_NEW,
  TL_QUIC_LINK_DIALING,
  TL_QUIC_LINK_REACHED,     /* handshake confirmed; waits for the owner's word */
  TL_QUIC_LINK_REGISTERING, /* RegisterNode, and node.health when that does not come to an end */
  TL_QUIC_LINK_OPENING,     /* stream asked for, waits for `ready` */
  TL_QUIC_LINK_OPEN,
  TL_QUIC_LINK_CLOSING, /* what was sent is still answered */
  TL_QUIC_LINK_CLOSED,  /* the owner was told, or does not want to know */
} TlQuicLinkState;

typedef struct
{
  TlGatewayLink base;
  guint refs; /* owner, and whoever calls out */
  TlQuicLinkState state;
  TlQuicLinkFactory with;
  GMainContext *context;
  char *instance_id;
  TlQuicClient *client;
  TlQuicRequests *requests; /* from REGISTERING on */
  TlNodeCalls *calls;
  TlQuicStream *stream; /* of events; NULL when it ended */
  GSource *timer;       /* of the state */
  guint closing_ms;     /* CLOSING for so long */
  GSource *failure_source;
  GError *failure; /* told from failure_source */

  TlNodeRegistration *announcement; /* until the gateway has it */
  gboolean registering;
  gboolean asked_health;
  GSource *reregister;
  /* What the gateway says of itself. */
  char *gateway_name;
  char *gateway_version;
  char **addresses;
  guint64 latest_seq;
  gint64 server_time_ms;

  GQueue waiting;   /* TlQuicAnswer, behind an event that is being fetched */
  guint64 fetching; /* its number; 0: none */

  GSource *silence; /* looks for signs of life */
  GSource *path;    /* looks whether the path works after a change */
  gint64 path_us;   /* since when */
  TlLinkInfo told;  /* as of the last `changed` */
  char peer[64];
} TlQuicLink;

TlQuicLink *tl_quic_link_ref (TlQuicLink *link);
void tl_quic_link_unref (TlQuicLink *link);
/* Ends it and tells the owner, who may free it in there. */
void tl_quic_link_fail (TlQuicLink *link, const GError *error);
/* The same from the loop; takes over error. For failures found inside a call of the owner's, and for what the end of
 * the connection may explain better. */
void tl_quic_link_fail_later (TlQuicLink *link, GError *error);
void tl_quic_link_fail_protocol (TlQuicLink *link, const char *what);
/* This device's connection is dead: no sign of life. */
void tl_quic_link_fail_silent (TlQuicLink *link, gint64 for_us);
void tl_quic_link_clear_source (GSource **source);
void tl_quic_link_set_source (TlQuicLink *link, GSource **source, guint ms, GSourceFunc func);

/* -registration.c: RegisterNode and, if that takes too long, node.health; then tl_quic_link_open_stream(). */
void tl_quic_link_register (TlQuicLink *link);

/* -stream.c */
void tl_quic_link_open_stream (TlQuicLink *link);

/* -path.c */
void tl_quic_link_watch (TlQuicLink *link);
gboolean tl_quic_link_check_path (TlGatewayLink *base);
void tl_quic_link_get_info (TlGatewayLink *base, TlLinkInfo *info);
/* Tells the owner when it is news. */
void tl_quic_link_changed (TlQuicLink *link);

/* -submit.c: of the class. */
void tl_quic_link_send_event (TlGatewayLink *base, const char *type, const char *data);
void tl_quic_link_acknowledge (TlGatewayLink *base, guint64 seq, const char *event_id);
void tl_quic_link_submit (TlGatewayLink *base, const TlSubmission *submissions, guint n, TlSubmitFunc func,
                          gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQuicLink, tl_quic_link_unref)

G_END_DECLS

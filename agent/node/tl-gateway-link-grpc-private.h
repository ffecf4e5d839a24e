/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-gateway-link-grpc.h"
#include "twinlatch/v1/node.pb-c.h"

G_BEGIN_DECLS

/* Shared by tl-gateway-link-grpc.c (the link) and tl-gateway-link-results.c (handing results in). */
#define TL_NODE_SERVICE "/twinlatch.v1.NodeService/"

typedef enum
{
  LINK_NEW,
  LINK_REGISTERING, /* RegisterNode, and the probe when that fails */
  LINK_REACHED,     /* waits for the owner's word */
  LINK_OPENING,     /* stream made, waits for Ready */
  LINK_OPEN,
  LINK_CLOSING, /* half-closed by us */
  LINK_CLOSED,  /* the owner was told, or does not want to know */
} TlGrpcLinkState;

typedef struct
{
  TlGatewayLink base;
  guint refs; /* owner, and every call under way */
  TlGrpcLinkState state;
  TlGrpcLinkFactory with;
  GMainContext *context;
  GCancellable *cancellable;
  char **addresses;
  TlRpcClient *client;
  TlRpcClient *probe;
  TlRpcStream *stream;
  GSource *timer;
  GSource *failure_source;
  GError *failure; /* reported from failure_source or after the probe */
  Twinlatch__V1__RegisterNodeResponse *registration;
  char *instance_id;
  char *peer;
  GQueue waiting; /* StreamEventsResponse behind an event that is being fetched; packed GBytes */
  gboolean fetching;

  gboolean takes_results; /* the gateway understands results on the stream */
  TlSubmitFunc submit_func;
  gpointer submit_data;
} TlGrpcLink;

TlGrpcLink *tl_grpc_link_ref (TlGrpcLink *link);
void tl_grpc_link_unref (TlGrpcLink *link);

/* The link's `submit`: small results go together by the stream when the gateway understands that, others by calls of
 * their own. */
void tl_grpc_link_submit (TlGatewayLink *base, const TlSubmission *submissions, guint n, TlSubmitFunc func,
                          gpointer user_data);
/* To a result that went by the stream. The owner may free the link in here. */
void tl_grpc_link_handle_answer (TlGrpcLink *link, const Twinlatch__V1__StreamEventsResponse__Answer *answer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlGrpcLink, tl_grpc_link_unref)

G_END_DECLS

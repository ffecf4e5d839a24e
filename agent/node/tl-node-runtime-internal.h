/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-ack-tracker.h"
#include "agent/node/tl-node-capabilities.h"
#include "agent/node/tl-node-certificate.h"
#include "agent/node/tl-node-links.h"
#include "agent/node/tl-node-runtime-private.h"
#include "agent/node/tl-reconnect.h"
#include "agent/node/tl-request-runner.h"

G_BEGIN_DECLS

/*
 * What a TlNodeRuntime is made of, shared by tl-node-runtime.c (its life, the runner's host), tl-node-runtime-link.c
 * (the link to the gateway) and tl-node-runtime-state.c (what it says of itself). Thread: main context.
 */
struct _TlNodeRuntime
{
  TlNodeState *state;
  TlNodeConfig *config;
  TlNodeRuntimeParts with;
  TlNetworkMonitor *own_network;
  TlSuspendMonitor *own_suspend;
  TlPolicy *own_policy;
  GMainContext *context;

  TlDeviceIdentity *identity;
  TlNodeCertificate *certificate;
  TlNodeLinks *links;
  TlRenewal *renewal;
  TlFsRoots *roots;
  TlCapabilitySet *capabilities;
  TlRequestJournal *journal;
  TlRequestRunner *runner;
  TlAckTracker *tracker;
  TlReconnect *reconnect;
  int running;
  char *instance_id;
  gint64 started_ms;

  TlNodeRunState run_state;
  gboolean started;
  gboolean announced; /* node.started was sent */
  gboolean up;        /* the link is open */
  gboolean network_lost;
  guint refusals;
  char *refusal;      /* what the gateway said to the certificate, until a renewal by identity ended */
  gboolean renewed;   /* since the last open link: a refusal now is no reason to hurry */
  char *peer;         /* of the open link, NULL */
  char *source;       /* our address towards it, NULL */
  guint64 resume_seq; /* where the link asked to go on */
  guint64 link_seq;   /* the open link has sent the log up to here */
  gint64 connected_ms;
  gint64 connected_us; /* monotonic */
  gint64 state_since_ms;
  char *detail;
  char *failure;  /* of the last attempt; NULL: none, or it succeeded */
  guint attempts; /* since the last connection */
  gint64 next_attempt_ms;
  TlGatewayLink *link;
  GSource *retry;
  GSource *ack;
  guint64 cursor_seq; /* on disk: how far the log was dealt with */
  guint64 told_seq;   /* acknowledged over the open link */

  gboolean stopping;
  gboolean draining; /* stopping, and something still runs */
  GSource *grace;
  GFunc stopped;
  gpointer stopped_data;

  TlNodeStateFunc state_func;
  gpointer state_data;
};

/* ---- tl-node-runtime-state.c ---- */

/* Logs, writes node.status.json, tells the owner; also when only the detail is news. */
void tl_node_runtime_enter_state (TlNodeRuntime *runtime, TlNodeRunState state, const char *detail);
/* node.status.json anew: how the link is has changed, not the state. */
void tl_node_runtime_write_status (TlNodeRuntime *runtime);
void tl_node_runtime_clear_source (GSource **source);
/* One source in that place; 0 ms: as soon as the main context turns. */
void tl_node_runtime_set_source (TlNodeRuntime *runtime, GSource **source, guint ms, GSourceFunc func);

/* ---- tl-node-runtime.c ---- */

/* Writes the cursor and acknowledges what can be. */
void tl_node_runtime_flush (TlNodeRuntime *runtime);
void tl_node_runtime_flush_soon (TlNodeRuntime *runtime);
/* The event may be acknowledged as far as it is concerned. */
void tl_node_runtime_event_done (guint64 seq, gpointer runtime);
void tl_node_runtime_finish_stop (TlNodeRuntime *runtime);

/* ---- tl-node-runtime-link.c ---- */

extern const TlRenewalHandlers tl_node_runtime_renewal_handlers;

/* An attempt as soon as the main context turns. */
void tl_node_runtime_connect_soon (TlNodeRuntime *runtime);
void tl_node_runtime_drop_link (TlNodeRuntime *runtime);
/* Network and suspend monitors: listens from now on, or no longer. */
void tl_node_runtime_watch_world (TlNodeRuntime *runtime, gboolean watch);

G_END_DECLS

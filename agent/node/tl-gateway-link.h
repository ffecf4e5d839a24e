/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>
#include <string.h>

#include "agent/node/tl-capability.h"
#include "agent/node/tl-policy.h"
#include "agent/node/tl-request-result.h"

G_BEGIN_DECLS

/*
 * TlGatewayLink: one connection attempt to the gateway and, when it succeeds, the registered node's event stream. A
 * link is opened once and never again; a new attempt is a new link. Implementations: gRPC (tl-gateway-link-grpc.h),
 * QUIC (tl-gateway-link-quic.h), and the one that uses whichever gets through (tl-gateway-link-auto.h). Thread: main
 * context; every callback comes there, none after tl_gateway_link_free().
 */
typedef struct _TlGatewayLink TlGatewayLink;

/* What the gateway answered to the registration; borrowed during the callback. */
typedef struct
{
  const char *gateway_id;
  const char *gateway_name;
  const char *gateway_version;
  const char *const *addresses; /* NULL-terminated */
  guint64 latest_seq;
  gint64 server_time_ms;
  const char *peer;      /* address the link goes to; NULL when the transport does not know */
  const char *transport; /* "grpc", "quic" */
} TlLinkRegistration;

/* Where the event stream is to go on (PROTOCOL 4.1). */
typedef struct
{
  guint64 seq;
  const char *event_id; /* "" at 0; borrowed until the main context turns */
} TlLinkCursor;

/* How an open link is. */
typedef struct
{
  const char *transport; /* as in TlLinkRegistration; static */
  const char *reason;    /* why it is not QUIC; "". Borrowed until the link changes */
  char peer[64];         /* "": not known */
  gint64 rtt_us;         /* 0: not known, as for those that follow */
  guint64 packets_lost;
  guint migrations;
} TlLinkInfo;

typedef struct
{
  guint64 seq;
  const char *id;
  gint64 time_ms;
  const char *type;
  const char *data; /* JSON object, complete: an oversize event was fetched by the link */
} TlLinkEvent;

typedef struct
{
  /* The gateway is there and admits this device: the link goes on with tl_gateway_link_proceed() only. NULL: at once.
   */
  void (*reached) (TlGatewayLink *link, gpointer user_data);
  /* The event stream is about to be asked for. */
  void (*cursor) (TlGatewayLink *link, TlLinkCursor *cursor, gpointer user_data);
  /* Registered, stream open. After reset/gap when there is one. Comes again when the link went over to another
   * transport: results that were not answered before are not answered any more. */
  void (*opened) (TlGatewayLink *link, const TlLinkRegistration *registration, gpointer user_data);
  void (*event) (TlGatewayLink *link, const TlLinkEvent *event, gpointer user_data);
  /* Events before oldest_seq are no longer retained. */
  void (*gap) (TlGatewayLink *link, guint64 oldest_seq, gpointer user_data);
  /* The cursor is of another log: what follows starts at 1. */
  void (*reset) (TlGatewayLink *link, guint64 latest_seq, gpointer user_data);
  /* Once, last. error is never NULL: UNAVAILABLE (try again), UNAUTHENTICATED (this device is not admitted), REVOKED,
   * WRONG_CA, IN_USE (superseded by a newer stream), PROTOCOL, EXPIRED (own certificate), ... */
  void (*closed) (TlGatewayLink *link, const GError *error, gpointer user_data);
  /* tl_gateway_link_get_info() has news. NULL: nobody asks. */
  void (*changed) (TlGatewayLink *link, gpointer user_data);
} TlGatewayLinkHandlers;

/* What opening needs; borrowed during tl_gateway_link_open(), but for capabilities and policy, which outlive the link.
 */
typedef struct
{
  const char *const *addresses;
  const char *instance_id;
  const TlCapabilitySet *capabilities;
  TlPolicy *policy; /* consent level announced with each capability */
} TlGatewayLinkOpen;

typedef enum
{
  TL_SUBMIT_ACCEPTED,
  TL_SUBMIT_DUPLICATE, /* known already */
  TL_SUBMIT_UNKNOWN,   /* no such open request; dropped */
} TlSubmitOutcome;

/* Once for each result; error NULL: outcome counts. Not called after tl_gateway_link_free(), nor after `closed`. */
typedef void (*TlSubmitFunc) (TlGatewayLink *link, const char *request_id, TlSubmitOutcome outcome, const GError *error,
                              gpointer user_data);

typedef struct
{
  void (*open) (TlGatewayLink *link, const TlGatewayLinkOpen *what);
  void (*proceed) (TlGatewayLink *link);
  void (*send_event) (TlGatewayLink *link, const char *type, const char *data);
  void (*acknowledge) (TlGatewayLink *link, guint64 seq, const char *event_id);
  void (*submit) (TlGatewayLink *link, const TlSubmission *submissions, guint n, TlSubmitFunc func, gpointer user_data);
  gboolean (*check_path) (TlGatewayLink *link); /* NULL: never */
  void (*get_info) (TlGatewayLink *link, TlLinkInfo *info);
  void (*close) (TlGatewayLink *link);
  void (*free) (TlGatewayLink *link);
} TlGatewayLinkClass;

/* First member of every implementation. */
struct _TlGatewayLink
{
  const TlGatewayLinkClass *klass;
  const TlGatewayLinkHandlers *handlers; /* static */
  gpointer user_data;
  /* With `closed`: it is this device's connection alone that ended (silence, lost state), so that nothing speaks
   * against trying again at once. */
  gboolean alone;
};

static inline void
tl_gateway_link_open (TlGatewayLink *link, const TlGatewayLinkOpen *what)
{
  link->klass->open (link, what);
}

/* In or after `reached`. */
static inline void
tl_gateway_link_proceed (TlGatewayLink *link)
{
  link->klass->proceed (link);
}

/* A node event (PROTOCOL 4.1); lost when the link is not open or closes before it is sent. */
static inline void
tl_gateway_link_send_event (TlGatewayLink *link, const char *type, const char *data)
{
  link->klass->send_event (link, type, data);
}

/* Cumulative. */
static inline void
tl_gateway_link_acknowledge (TlGatewayLink *link, guint64 seq, const char *event_id)
{
  link->klass->acknowledge (link, seq, event_id);
}

/* user_data outlives the link. */
static inline void
tl_gateway_link_submit (TlGatewayLink *link, const TlSubmission *submissions, guint n, TlSubmitFunc func,
                        gpointer user_data)
{
  link->klass->submit (link, submissions, n, func, user_data);
}

/* The way to the gateway may be another one now, or none (network change, resume). TRUE: the link finds out by itself
 * within two seconds whether it still works, over another path if it has to, and is `closed` if not. FALSE: it cannot.
 */
static inline gboolean
tl_gateway_link_check_path (TlGatewayLink *link)
{
  return link->klass->check_path != NULL && link->klass->check_path (link);
}

/* Of an open link. */
static inline void
tl_gateway_link_get_info (TlGatewayLink *link, TlLinkInfo *info)
{
  memset (info, 0, sizeof *info);
  info->transport = info->reason = "";
  link->klass->get_info (link, info);
}

/* Ends it in good order: what was sent still goes out; `closed` follows with CANCELLED. */
static inline void
tl_gateway_link_close (TlGatewayLink *link)
{
  link->klass->close (link);
}

/* At any time, also within a callback; NULL allowed. */
static inline void
tl_gateway_link_free (TlGatewayLink *link)
{
  if (link != NULL)
    link->klass->free (link);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlGatewayLink, tl_gateway_link_free)

/* Makes links; the runtime asks it for one at each attempt. Test back end: any function. */
typedef TlGatewayLink *(*TlGatewayLinkFactory) (const TlGatewayLinkHandlers *handlers, gpointer user_data,
                                                gpointer factory_data, GError **error);

G_END_DECLS

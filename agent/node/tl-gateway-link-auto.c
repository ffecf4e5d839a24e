/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-gateway-link-auto.h"

#include "base/tl-error.h"
#include "base/tl-log.h"

typedef enum
{
  SIDE_OFF,
  SIDE_TRYING,  /* connecting */
  SIDE_REACHED, /* the gateway is there; may proceed */
  SIDE_GOING,   /* registering, asking for the event stream */
  SIDE_OPEN,
} SideState;

typedef struct _AutoLink AutoLink;

typedef struct
{
  AutoLink *owner;
  TlGatewayLink *link; /* NULL: off */
  SideState state;
  gboolean asked;    /* for the event stream */
  gboolean followed; /* the other side asked while this one had it: that ends this one, and maybe much later */
} Side;

struct _AutoLink
{
  TlGatewayLink base;
  guint refs; /* owner, and whoever calls out */
  gboolean over;
  TlAutoLinkFactory *with;
  GMainContext *context;
  char **addresses;
  char *instance_id;
  TlGatewayLinkOpen what;
  Side quic, grpc;
  Side *active; /* whose event stream counts; NULL: none yet, or it ended while another takes over */
  GSource *patience;
  GSource *retry;
  GSource *failure_source;
  GError *failure;
  TlSubmitFunc submit_func;
  gpointer submit_data;
};

static void start_quic (AutoLink *link);
static void start_grpc (AutoLink *link);

static AutoLink *
auto_ref (AutoLink *link)
{
  link->refs++;
  return link;
}

static void
auto_unref (AutoLink *link)
{
  if (--link->refs > 0)
    return;
  g_clear_error (&link->failure);
  g_main_context_unref (link->context);
  g_strfreev (link->addresses);
  g_free (link->instance_id);
  g_free (link);
}

static void
clear_source (GSource **source)
{
  if (*source == NULL)
    return;
  g_source_destroy (*source);
  g_source_unref (*source);
  *source = NULL;
}

static void
set_source (AutoLink *link, GSource **source, guint ms, GSourceFunc func)
{
  clear_source (source);
  *source = ms == 0 ? g_idle_source_new () : g_timeout_source_new (ms);
  g_source_set_callback (*source, func, link, NULL);
  g_source_attach (*source, link->context);
}

static void
side_off (Side *side)
{
  side->state = SIDE_OFF;
  side->asked = side->followed = FALSE;
  g_clear_pointer (&side->link, tl_gateway_link_free);
}

static void
shut (AutoLink *link)
{
  link->over = TRUE;
  link->active = NULL;
  clear_source (&link->patience);
  clear_source (&link->retry);
  clear_source (&link->failure_source);
  side_off (&link->quic);
  side_off (&link->grpc);
}

/* The owner may free the link in here. */
static void
fail (AutoLink *link, const GError *error, gboolean alone)
{
  g_autoptr (GError) copy = g_error_copy (error);

  if (link->over)
    return;
  auto_ref (link);
  shut (link);
  link->base.alone = alone;
  link->base.handlers->closed (&link->base, copy, link->base.user_data);
  auto_unref (link);
}

static gboolean
on_failure_source (gpointer data)
{
  AutoLink *link = data;

  fail (link, link->failure, FALSE);
  return G_SOURCE_REMOVE;
}

static void
fail_later (AutoLink *link, GError *error)
{
  if (link->over || link->failure_source != NULL)
    {
      g_error_free (error);
      return;
    }
  link->failure = error;
  set_source (link, &link->failure_source, 0, on_failure_source);
}

/* ---- what went wrong over QUIC --------------------------------------------------------------------------------- */

/* The gateway was met and does not want this device, or is not the gateway: the other transport hides nothing of it. */
static gboolean
is_refusal (AutoLink *link, const GError *error)
{
  return tl_error_is (error, TL_ERROR_REVOKED) || tl_error_is (error, TL_ERROR_SUSPENDED)
         || tl_error_is (error, TL_ERROR_EXPIRED) || tl_error_is (error, TL_ERROR_UNAUTHENTICATED)
         || tl_error_is (error, TL_ERROR_PERMISSION_DENIED) || tl_error_is (error, TL_ERROR_IN_USE)
         || (link->with->pinned && tl_error_is (error, TL_ERROR_WRONG_CA));
}

static void
note_quic_failure (AutoLink *link, const GError *error)
{
  link->with->blocked = TRUE;
  g_free (link->with->reason);
  link->with->reason = g_strdup (error->message);
}

static gboolean
on_retry (gpointer data)
{
  AutoLink *link = auto_ref (data);

  clear_source (&link->retry);
  start_quic (link);
  auto_unref (link);
  return G_SOURCE_REMOVE;
}

static void
retry_quic_later (AutoLink *link)
{
  guint least = link->with->retry_min_ms != 0 ? link->with->retry_min_ms : TL_AUTO_LINK_RETRY_MIN_MS;
  guint most = link->with->retry_max_ms != 0 ? link->with->retry_max_ms : TL_AUTO_LINK_RETRY_MAX_MS;

  set_source (link, &link->retry, least + tl_random_below (link->with->random, most - least + 1), on_retry);
}

static void
quic_failed (AutoLink *link, const GError *error)
{
  note_quic_failure (link, error);
  if (link->active == &link->grpc)
    {
      tl_log_error (TL_LOG_INFO, "still on gRPC", error);
      retry_quic_later (link);
      if (link->base.handlers->changed != NULL)
        link->base.handlers->changed (&link->base, link->base.user_data);
    }
  else if (is_refusal (link, error))
    fail (link, error, FALSE);
  else if (link->grpc.state == SIDE_OFF)
    start_grpc (link);
}

static void
grpc_failed (AutoLink *link, const GError *error)
{
  /* QUIC may still get there; it has its own timeout. */
  if (link->quic.state == SIDE_OFF || is_refusal (link, error))
    fail (link, error, FALSE);
}

/* ---- the two links' handlers ----------------------------------------------------------------------------------- */

static Side *
other_side (Side *side)
{
  return side == &side->owner->quic ? &side->owner->grpc : &side->owner->quic;
}

static void
proceed (Side *side)
{
  side->state = SIDE_GOING;
  tl_gateway_link_proceed (side->link);
}

/* One event stream at a time: while gRPC's is being opened QUIC waits, so that it is known which of them is newer. */
static void
on_reached (TlGatewayLink *inner, gpointer user_data)
{
  Side *side = user_data;
  AutoLink *link = side->owner;

  (void)inner;
  side->state = SIDE_REACHED;
  if (side == &link->quic)
    {
      clear_source (&link->patience);
      if (link->grpc.state == SIDE_TRYING)
        side_off (&link->grpc);
      if (link->grpc.state != SIDE_GOING)
        proceed (side);
    }
  else if (link->quic.state == SIDE_OFF || link->quic.state == SIDE_TRYING)
    proceed (side);
  else
    side_off (side);
}

static void
on_cursor (TlGatewayLink *inner, TlLinkCursor *cursor, gpointer user_data)
{
  Side *side = user_data;
  AutoLink *link = side->owner;

  (void)inner;
  side->asked = TRUE;
  other_side (side)->followed = link->active == other_side (side);
  link->base.handlers->cursor (&link->base, cursor, link->base.user_data);
}

/* The first thing that came over a new event stream: it is the one from now on. */
static void
take_over (Side *side)
{
  AutoLink *link = side->owner;

  if (link->active == side)
    return;
  if (link->active != NULL)
    side_off (link->active);
  link->active = side;
}

static void
on_opened (TlGatewayLink *inner, const TlLinkRegistration *registration, gpointer user_data)
{
  Side *side = user_data;
  AutoLink *link = auto_ref (side->owner);

  (void)inner;
  take_over (side);
  side->state = SIDE_OPEN;
  clear_source (&link->patience);
  if (side == &link->quic)
    {
      clear_source (&link->retry);
      side_off (&link->grpc);
      link->with->blocked = FALSE;
      g_clear_pointer (&link->with->reason, g_free);
      tl_log (TL_LOG_NOTICE, "connected over QUIC", "address", registration->peer, NULL);
    }
  else
    tl_log (TL_LOG_NOTICE, "connected over gRPC, not QUIC", "because",
            link->with->reason != NULL ? link->with->reason : "QUIC has not answered yet", NULL);
  link->base.handlers->opened (&link->base, registration, link->base.user_data);
  if (!link->over && side == &link->grpc)
    {
      if (link->quic.state == SIDE_REACHED)
        proceed (&link->quic);
      else if (link->quic.state == SIDE_OFF && link->retry == NULL)
        retry_quic_later (link);
    }
  auto_unref (link);
}

static void
on_event (TlGatewayLink *inner, const TlLinkEvent *event, gpointer user_data)
{
  Side *side = user_data;

  (void)inner;
  take_over (side);
  side->owner->base.handlers->event (&side->owner->base, event, side->owner->base.user_data);
}

static void
on_gap (TlGatewayLink *inner, guint64 oldest_seq, gpointer user_data)
{
  Side *side = user_data;

  (void)inner;
  take_over (side);
  side->owner->base.handlers->gap (&side->owner->base, oldest_seq, side->owner->base.user_data);
}

static void
on_reset (TlGatewayLink *inner, guint64 latest_seq, gpointer user_data)
{
  Side *side = user_data;

  (void)inner;
  take_over (side);
  side->owner->base.handlers->reset (&side->owner->base, latest_seq, side->owner->base.user_data);
}

/* Superseded by the other side, which is gone again: that was no other process, and nothing speaks against coming back.
 */
static void
fail_followed (AutoLink *link)
{
  g_autoptr (GError) error
      = g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE, "the connection that took over the event stream was lost");

  fail (link, error, TRUE);
}

static void
on_closed (TlGatewayLink *inner, const GError *error, gpointer user_data)
{
  Side *side = user_data;
  AutoLink *link = auto_ref (side->owner);
  gboolean was_active = link->active == side;
  gboolean alone = inner->alone;
  gboolean followed = side->followed && tl_error_is (error, TL_ERROR_IN_USE);

  side_off (side);
  if (was_active && other_side (side)->asked)
    link->active = NULL; /* ended by the stream that takes its place */
  else if (was_active && followed)
    fail_followed (link);
  else if (was_active)
    {
      if (side == &link->quic && tl_error_is (error, TL_ERROR_TIMED_OUT))
        note_quic_failure (link, error);
      fail (link, error, alone);
    }
  else if (side == &link->quic)
    quic_failed (link, error);
  else
    {
      grpc_failed (link, error);
      if (!link->over && link->quic.state == SIDE_REACHED)
        proceed (&link->quic);
    }
  auto_unref (link);
}

static void
on_changed (TlGatewayLink *inner, gpointer user_data)
{
  Side *side = user_data;
  AutoLink *link = side->owner;

  (void)inner;
  if (link->active == side && link->base.handlers->changed != NULL)
    link->base.handlers->changed (&link->base, link->base.user_data);
}

static const TlGatewayLinkHandlers side_handlers = {
  .reached = on_reached,
  .cursor = on_cursor,
  .opened = on_opened,
  .event = on_event,
  .gap = on_gap,
  .reset = on_reset,
  .closed = on_closed,
  .changed = on_changed,
};

/* ---- starting -------------------------------------------------------------------------------------------------- */

static gboolean
start (Side *side, TlGatewayLinkFactory factory, gpointer factory_data, GError **error)
{
  side->link = factory (&side_handlers, side, factory_data, error);
  if (side->link == NULL)
    return FALSE;
  side->state = SIDE_TRYING;
  tl_gateway_link_open (side->link, &side->owner->what);
  return TRUE;
}

static void
start_quic (AutoLink *link)
{
  g_autoptr (GError) error = NULL;

  if (link->quic.state == SIDE_OFF && !start (&link->quic, link->with->quic, link->with->quic_data, &error))
    quic_failed (link, error);
}

static void
start_grpc (AutoLink *link)
{
  GError *error = NULL;

  clear_source (&link->patience);
  if (link->grpc.state == SIDE_OFF && !start (&link->grpc, link->with->grpc, link->with->grpc_data, &error))
    fail_later (link, error);
}

static gboolean
on_impatient (gpointer data)
{
  AutoLink *link = data;

  tl_log (TL_LOG_INFO, "QUIC has not answered yet; trying gRPC beside it", NULL);
  if (link->with->reason == NULL)
    link->with->reason = g_strdup ("nothing was heard from the gateway over UDP yet");
  start_grpc (link);
  return G_SOURCE_REMOVE;
}

static guint
patience_ms (const TlAutoLinkFactory *with)
{
  if (with->blocked)
    return with->head_start_ms != 0 ? with->head_start_ms : TL_AUTO_LINK_HEAD_START_MS;
  return with->patience_ms != 0 ? with->patience_ms : TL_AUTO_LINK_PATIENCE_MS;
}

static void
auto_open (TlGatewayLink *base, const TlGatewayLinkOpen *what)
{
  AutoLink *link = (AutoLink *)base;

  link->addresses = g_strdupv ((char **)what->addresses);
  link->instance_id = g_strdup (what->instance_id);
  link->what = *what;
  link->what.addresses = (const char *const *)link->addresses;
  link->what.instance_id = link->instance_id;
  set_source (link, &link->patience, patience_ms (link->with), on_impatient);
  start_quic (link);
}

/* ---- open link ------------------------------------------------------------------------------------------------- */

static void
auto_send_event (TlGatewayLink *base, const char *type, const char *data)
{
  AutoLink *link = (AutoLink *)base;

  if (link->active != NULL)
    tl_gateway_link_send_event (link->active->link, type, data);
}

static void
auto_acknowledge (TlGatewayLink *base, guint64 seq, const char *event_id)
{
  AutoLink *link = (AutoLink *)base;

  if (link->active != NULL)
    tl_gateway_link_acknowledge (link->active->link, seq, event_id);
}

static void
on_submitted (TlGatewayLink *inner, const char *request_id, TlSubmitOutcome outcome, const GError *error,
              gpointer user_data)
{
  AutoLink *link = user_data;

  if (link->active != NULL && link->active->link == inner)
    link->submit_func (&link->base, request_id, outcome, error, link->submit_data);
}

/* While another stream takes over there is nobody to hand anything to: `opened` has it handed in again. */
static void
auto_submit (TlGatewayLink *base, const TlSubmission *submissions, guint n, TlSubmitFunc func, gpointer user_data)
{
  AutoLink *link = (AutoLink *)base;

  link->submit_func = func;
  link->submit_data = user_data;
  if (link->active != NULL)
    tl_gateway_link_submit (link->active->link, submissions, n, on_submitted, link);
}

static gboolean
auto_check_path (TlGatewayLink *base)
{
  AutoLink *link = (AutoLink *)base;

  return link->active == &link->quic && tl_gateway_link_check_path (link->active->link);
}

static void
auto_get_info (TlGatewayLink *base, TlLinkInfo *info)
{
  AutoLink *link = (AutoLink *)base;

  if (link->active == NULL)
    return;
  tl_gateway_link_get_info (link->active->link, info);
  if (link->active == &link->grpc && link->with->reason != NULL)
    info->reason = link->with->reason;
}

static void
auto_close (TlGatewayLink *base)
{
  AutoLink *link = (AutoLink *)base;

  clear_source (&link->patience);
  clear_source (&link->retry);
  if (link->active == NULL)
    {
      side_off (&link->quic);
      side_off (&link->grpc);
      fail_later (link, g_error_new_literal (TL_ERROR, TL_ERROR_CANCELLED, "the link was closed"));
      return;
    }
  side_off (other_side (link->active));
  tl_gateway_link_close (link->active->link);
}

static void
auto_free (TlGatewayLink *base)
{
  AutoLink *link = (AutoLink *)base;

  shut (link);
  auto_unref (link);
}

static const TlGatewayLinkClass auto_class = {
  .open = auto_open,
  .send_event = auto_send_event,
  .acknowledge = auto_acknowledge,
  .submit = auto_submit,
  .check_path = auto_check_path,
  .get_info = auto_get_info,
  .close = auto_close,
  .free = auto_free,
};

TlGatewayLink *
tl_gateway_link_new_auto (const TlGatewayLinkHandlers *handlers, gpointer user_data, gpointer factory_data,
                          GError **error)
{
  AutoLink *link = g_new0 (AutoLink, 1);

  (void)error;
  link->base.klass = &auto_class;
  link->base.handlers = handlers;
  link->base.user_data = user_data;
  link->refs = 1;
  link->with = factory_data;
  link->context = g_main_context_ref_thread_default ();
  link->quic = (Side){ .owner = link };
  link->grpc = (Side){ .owner = link };
  return &link->base;
}

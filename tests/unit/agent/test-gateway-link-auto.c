/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-gateway-link-auto.h"

#include "base/tl-error.h"
#include "tl-node-fixture.h"

/* Two links that do what the test says, and the one over them. */

#define SOON_MS 30 /* patience, retries */

typedef struct _Fixture Fixture;

typedef struct
{
  TlGatewayLink base;
  Fixture *f;
  gboolean is_quic;
  gboolean proceeded;
  guint n_events, n_acks, n_results, n_checked;
  TlSubmitFunc func;
  gpointer data;
} Fake;

struct _Fixture
{
  TlAutoLinkFactory factory;
  TlGatewayLink *link;
  Fake *quic, *grpc; /* alive */
  guint n_quic, n_grpc;

  guint n_opened, n_events, n_resets, n_closed, n_changed, n_answers;
  char *transport;
  GError *error;
  gboolean alone;
};

/* ---- the fakes ---- */

static void
fake_open (TlGatewayLink *base, const TlGatewayLinkOpen *what)
{
  g_assert_cmpstr (what->addresses[0], ==, "192.0.2.1:7444");
  g_assert_cmpstr (what->instance_id, ==, "instance");
}

static void
fake_proceed (TlGatewayLink *base)
{
  Fake *fake = (Fake *)base;
  TlLinkCursor cursor = { 0 };

  g_assert_false (fake->proceeded);
  fake->proceeded = TRUE;
  base->handlers->cursor (base, &cursor, base->user_data);
  g_assert_cmpuint (cursor.seq, ==, 7);
}

static void
fake_send_event (TlGatewayLink *base, const char *type, const char *data)
{
  (void)type, (void)data;
  ((Fake *)base)->n_events++;
}

static void
fake_acknowledge (TlGatewayLink *base, guint64 seq, const char *event_id)
{
  (void)seq, (void)event_id;
  ((Fake *)base)->n_acks++;
}

static void
fake_submit (TlGatewayLink *base, const TlSubmission *submissions, guint n, TlSubmitFunc func, gpointer user_data)
{
  Fake *fake = (Fake *)base;

  (void)submissions;
  fake->n_results += n;
  fake->func = func;
  fake->data = user_data;
}

static gboolean
fake_check_path (TlGatewayLink *base)
{
  ((Fake *)base)->n_checked++;
  return ((Fake *)base)->is_quic;
}

static void
fake_get_info (TlGatewayLink *base, TlLinkInfo *info)
{
  info->transport = ((Fake *)base)->is_quic ? "quic" : "grpc";
}

static void
fake_close (TlGatewayLink *base)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, TL_ERROR_CANCELLED, "closed");

  base->handlers->closed (base, error, base->user_data);
}

static void
fake_free (TlGatewayLink *base)
{
  Fake *fake = (Fake *)base;
  Fake **slot = fake->is_quic ? &fake->f->quic : &fake->f->grpc;

  g_assert_true (*slot == fake);
  *slot = NULL;
  g_free (fake);
}

static const TlGatewayLinkClass fake_class = {
  .open = fake_open,
  .proceed = fake_proceed,
  .send_event = fake_send_event,
  .acknowledge = fake_acknowledge,
  .submit = fake_submit,
  .check_path = fake_check_path,
  .get_info = fake_get_info,
  .close = fake_close,
  .free = fake_free,
};

static TlGatewayLink *
fake_new (Fixture *f, gboolean is_quic, const TlGatewayLinkHandlers *handlers, gpointer user_data)
{
  Fake *fake = g_new0 (Fake, 1);

  fake->base = (TlGatewayLink){ .klass = &fake_class, .handlers = handlers, .user_data = user_data };
  fake->f = f;
  fake->is_quic = is_quic;
  if (is_quic)
    f->quic = fake, f->n_quic++;
  else
    f->grpc = fake, f->n_grpc++;
  return &fake->base;
}

static TlGatewayLink *
new_quic (const TlGatewayLinkHandlers *handlers, gpointer user_data, gpointer factory_data, GError **error)
{
  (void)error;
  return fake_new (factory_data, TRUE, handlers, user_data);
}

static TlGatewayLink *
new_grpc (const TlGatewayLinkHandlers *handlers, gpointer user_data, gpointer factory_data, GError **error)
{
  (void)error;
  return fake_new (factory_data, FALSE, handlers, user_data);
}

static void
reach (Fake *fake)
{
  fake->base.handlers->reached (&fake->base, fake->base.user_data);
}

static void
open_stream (Fake *fake)
{
  TlLinkRegistration registration
      = { .gateway_id = "gateway", .gateway_name = "", .transport = fake->is_quic ? "quic" : "grpc" };

  g_assert_true (fake->proceeded);
  fake->base.handlers->opened (&fake->base, &registration, fake->base.user_data);
}

static void
send_event (Fake *fake)
{
  TlLinkEvent event = { .seq = 8, .id = "8", .type = "x", .data = "{}" };

  fake->base.handlers->event (&fake->base, &event, fake->base.user_data);
}

static void
fail (Fake *fake, TlErrorCode code)
{
  g_autoptr (GError) error = g_error_new (TL_ERROR, code, "failed for a test");

  fake->base.alone = code == TL_ERROR_TIMED_OUT;
  fake->base.handlers->closed (&fake->base, error, fake->base.user_data);
}

/* ---- the owner ---- */

static void
on_cursor (TlGatewayLink *link, TlLinkCursor *cursor, gpointer user_data)
{
  (void)link, (void)user_data;
  cursor->seq = 7;
  cursor->event_id = "7";
}

static void
on_opened (TlGatewayLink *link, const TlLinkRegistration *registration, gpointer user_data)
{
  Fixture *f = user_data;

  g_assert_true (link == f->link);
  f->n_opened++;
  g_free (f->transport);
  f->transport = g_strdup (registration->transport);
}

static void
on_event (TlGatewayLink *link, const TlLinkEvent *event, gpointer user_data)
{
  (void)link, (void)event;
  ((Fixture *)user_data)->n_events++;
}

static void
on_reset (TlGatewayLink *link, guint64 latest_seq, gpointer user_data)
{
  (void)link, (void)latest_seq;
  ((Fixture *)user_data)->n_resets++;
}

static void
on_closed (TlGatewayLink *link, const GError *error, gpointer user_data)
{
  Fixture *f = user_data;

  f->n_closed++;
  f->alone = link->alone;
  g_clear_error (&f->error);
  f->error = g_error_copy (error);
}

static void
on_changed (TlGatewayLink *link, gpointer user_data)
{
  (void)link;
  ((Fixture *)user_data)->n_changed++;
}

static void
on_answer (TlGatewayLink *link, const char *request_id, TlSubmitOutcome outcome, const GError *error,
           gpointer user_data)
{
  Fixture *f = user_data;

  (void)request_id, (void)outcome, (void)error;
  g_assert_true (link == f->link);
  f->n_answers++;
}

static const TlGatewayLinkHandlers handlers = {
  .cursor = on_cursor,
  .opened = on_opened,
  .event = on_event,
  .reset = on_reset,
  .closed = on_closed,
  .changed = on_changed,
};

static void
start (Fixture *f)
{
  const char *const addresses[] = { "192.0.2.1:7444", NULL };
  TlGatewayLinkOpen what = { .addresses = addresses, .instance_id = "instance" };

  f->link = tl_gateway_link_new_auto (&handlers, f, &f->factory, NULL);
  tl_gateway_link_open (f->link, &what);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  (void)data;
  f->factory = (TlAutoLinkFactory){ .quic = new_quic,
                                    .grpc = new_grpc,
                                    .quic_data = f,
                                    .grpc_data = f,
                                    .random = tl_random_system (),
                                    .patience_ms = 600 * 1000,
                                    .head_start_ms = SOON_MS,
                                    .retry_min_ms = SOON_MS,
                                    .retry_max_ms = 2 * SOON_MS };
  start (f);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_gateway_link_free (f->link);
  g_assert_null (f->quic);
  g_assert_null (f->grpc);
  g_free (f->transport);
  g_free (f->factory.reason);
  g_clear_error (&f->error);
}

static const char *
reason (Fixture *f)
{
  TlLinkInfo info;

  tl_gateway_link_get_info (f->link, &info);
  return info.reason;
}

/* QUIC did not get through; gRPC did. */
static void
come_to_grpc (Fixture *f)
{
  fail (f->quic, TL_ERROR_TIMED_OUT);
  g_assert_nonnull (f->grpc);
  reach (f->grpc);
  open_stream (f->grpc);
}

/* ---- tests ---- */

static void
test_quic (Fixture *f, gconstpointer data)
{
  (void)data;
  reach (f->quic);
  open_stream (f->quic);
  g_assert_cmpstr (f->transport, ==, "quic");
  g_assert_cmpstr (reason (f), ==, "");
  g_assert_cmpuint (f->n_grpc, ==, 0);
  send_event (f->quic);
  tl_gateway_link_send_event (f->link, "a", "{}");
  tl_gateway_link_acknowledge (f->link, 8, "8");
  g_assert_cmpuint (f->n_events, ==, 1);
  g_assert_cmpuint (f->quic->n_events, ==, 1);
  g_assert_cmpuint (f->quic->n_acks, ==, 1);
  g_assert_true (tl_gateway_link_check_path (f->link));
  g_assert_cmpuint (f->quic->n_checked, ==, 1);
  fail (f->quic, TL_ERROR_TIMED_OUT);
  g_assert_cmpuint (f->n_closed, ==, 1);
  g_assert_true (f->alone);
  g_assert_true (f->factory.blocked); /* the next link does not wait long for it */
}

/* Silence at first: gRPC is started beside QUIC, and used as long as QUIC does not come. */
static void
test_beside (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_gateway_link_free (f->link);
  f->factory.blocked = TRUE;
  start (f);
  tl_fixture_wait_count (&f->n_grpc, 1, "gRPC");
  g_assert_nonnull (f->quic);
  reach (f->grpc);
  open_stream (f->grpc);
  g_assert_cmpstr (f->transport, ==, "grpc");
  g_assert_cmpstr (reason (f), !=, "");
  g_assert_false (tl_gateway_link_check_path (f->link));
  reach (f->quic);
  open_stream (f->quic);
  g_assert_cmpstr (f->transport, ==, "quic");
  g_assert_null (f->grpc);
  g_assert_false (f->factory.blocked);
}

/* QUIC came while gRPC was being tried: gRPC is not needed. */
static void
test_quic_first (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_gateway_link_free (f->link);
  f->factory.blocked = TRUE;
  start (f);
  tl_fixture_wait_count (&f->n_grpc, 1, "gRPC");
  reach (f->quic);
  g_assert_null (f->grpc);
  open_stream (f->quic);
  g_assert_cmpuint (f->n_opened, ==, 1);
}

/* While gRPC's stream is being opened QUIC's is not asked for: which one is newer would be left to chance. */
static void
test_one_at_a_time (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_gateway_link_free (f->link);
  f->factory.blocked = TRUE;
  start (f);
  tl_fixture_wait_count (&f->n_grpc, 1, "gRPC");
  reach (f->grpc);
  g_assert_true (f->grpc->proceeded);
  reach (f->quic);
  g_assert_false (f->quic->proceeded);
  open_stream (f->grpc);
  g_assert_true (f->quic->proceeded);
  open_stream (f->quic);
  g_assert_cmpuint (f->n_opened, ==, 2);
  g_assert_cmpstr (f->transport, ==, "quic");
}

/* The gateway ends the old stream because of the new one: quietly. Results that nobody answered are not answered. */
static void
test_move (Fixture *f, gconstpointer data)
{
  TlSubmission submission = { .request_id = "one" };
  TlSubmitFunc func;
  gpointer func_data;

  (void)data;
  come_to_grpc (f);
  tl_gateway_link_submit (f->link, &submission, 1, on_answer, f);
  tl_gateway_link_submit (f->link, &submission, 1, on_answer, f);
  func = f->grpc->func, func_data = f->grpc->data;
  func (&f->grpc->base, "one", TL_SUBMIT_ACCEPTED, NULL, func_data);
  g_assert_cmpuint (f->n_answers, ==, 1);
  tl_fixture_wait_count (&f->n_quic, 2, "QUIC again");
  reach (f->quic);
  send_event (f->grpc); /* still counts */
  g_assert_cmpuint (f->n_events, ==, 1);
  fail (f->grpc, TL_ERROR_IN_USE);
  g_assert_cmpuint (f->n_closed, ==, 0);
  tl_gateway_link_submit (f->link, &submission, 1, on_answer, f); /* to nobody: comes again with `opened` */
  open_stream (f->quic);
  g_assert_cmpuint (f->n_opened, ==, 2);
  tl_gateway_link_submit (f->link, &submission, 1, on_answer, f);
  g_assert_cmpuint (f->quic->n_results, ==, 1);
}

/* A reset over the new stream: nothing more may come over the old one. */
static void
test_reset_while_moving (Fixture *f, gconstpointer data)
{
  (void)data;
  come_to_grpc (f);
  tl_fixture_wait_count (&f->n_quic, 2, "QUIC again");
  reach (f->quic);
  f->quic->base.handlers->reset (&f->quic->base, 3, f->quic->base.user_data);
  g_assert_cmpuint (f->n_resets, ==, 1);
  g_assert_null (f->grpc);
  open_stream (f->quic);
}

/* The new stream breaks after the old one was ended for it. */
static void
test_move_fails (Fixture *f, gconstpointer data)
{
  (void)data;
  come_to_grpc (f);
  tl_fixture_wait_count (&f->n_quic, 2, "QUIC again");
  reach (f->quic);
  fail (f->grpc, TL_ERROR_IN_USE);
  fail (f->quic, TL_ERROR_UNAVAILABLE);
  g_assert_cmpuint (f->n_closed, ==, 0);
  g_assert_nonnull (f->grpc);
  reach (f->grpc);
  open_stream (f->grpc);
  g_assert_cmpuint (f->n_opened, ==, 2);
}

/* Before anything was asked for over QUIC it is somebody else who took over. */
static void
test_superseded (Fixture *f, gconstpointer data)
{
  (void)data;
  come_to_grpc (f);
  tl_fixture_wait_count (&f->n_quic, 2, "QUIC again");
  fail (f->grpc, TL_ERROR_IN_USE);
  g_assert_cmpuint (f->n_closed, ==, 1);
  g_assert_true (tl_error_is (f->error, TL_ERROR_IN_USE));
  g_assert_null (f->quic);
}

/* QUIC asked for the event stream, was lost, and only then the gateway's word about gRPC's arrives: that was us. */
static void
test_superseded_by_itself (Fixture *f, gconstpointer data)
{
  (void)data;
  come_to_grpc (f);
  tl_fixture_wait_count (&f->n_quic, 2, "QUIC again");
  reach (f->quic);
  fail (f->quic, TL_ERROR_UNAVAILABLE);
  g_assert_cmpuint (f->n_closed, ==, 0);
  fail (f->grpc, TL_ERROR_IN_USE);
  g_assert_cmpuint (f->n_closed, ==, 1);
  g_assert_true (tl_error_is (f->error, TL_ERROR_UNAVAILABLE));
}

static void
test_again_and_again (Fixture *f, gconstpointer data)
{
  (void)data;
  come_to_grpc (f);
  for (guint i = 2; i < 6; i++)
    {
      tl_fixture_wait_count (&f->n_quic, i, "QUIC again");
      fail (f->quic, TL_ERROR_TIMED_OUT);
      g_assert_cmpuint (f->n_closed, ==, 0);
    }
  g_assert_cmpuint (f->n_opened, ==, 1);
  g_assert_cmpstr (reason (f), ==, "failed for a test");
}

/* Whoever refuses this device over QUIC has refused it. */
static void
test_refused (Fixture *f, gconstpointer data)
{
  fail (f->quic, GPOINTER_TO_INT (data));
  g_assert_cmpuint (f->n_grpc, ==, 0);
  g_assert_cmpuint (f->n_closed, ==, 1);
  g_assert_cmpint (f->error->code, ==, GPOINTER_TO_INT (data));
}

static void
test_pinned (Fixture *f, gconstpointer data)
{
  (void)data;
  f->factory.pinned = TRUE;
  fail (f->quic, TL_ERROR_WRONG_CA);
  g_assert_cmpuint (f->n_grpc, ==, 0);
  g_assert_true (tl_error_is (f->error, TL_ERROR_WRONG_CA));
}

static void
test_neither (Fixture *f, gconstpointer data)
{
  (void)data;
  fail (f->quic, TL_ERROR_UNAVAILABLE);
  g_assert_cmpuint (f->n_closed, ==, 0);
  fail (f->grpc, TL_ERROR_UNAVAILABLE);
  g_assert_cmpuint (f->n_closed, ==, 1);
  g_assert_true (tl_error_is (f->error, TL_ERROR_UNAVAILABLE));
}

static void
test_close (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_gateway_link_close (f->link);
  tl_fixture_wait_count (&f->n_closed, 1, "the end");
  g_assert_true (tl_error_is (f->error, TL_ERROR_CANCELLED));
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, data, func)                                                                                          \
  g_test_add ("/gateway-link-auto/" name, Fixture, GINT_TO_POINTER (data), set_up, func, tear_down)
  ADD ("quic", 0, test_quic);
  ADD ("beside", 0, test_beside);
  ADD ("quic-first", 0, test_quic_first);
  ADD ("one-at-a-time", 0, test_one_at_a_time);
  ADD ("move", 0, test_move);
  ADD ("reset-while-moving", 0, test_reset_while_moving);
  ADD ("move-fails", 0, test_move_fails);
  ADD ("superseded", 0, test_superseded);
  ADD ("superseded-by-itself", 0, test_superseded_by_itself);
  ADD ("again-and-again", 0, test_again_and_again);
  ADD ("refused/revoked", TL_ERROR_REVOKED, test_refused);
  ADD ("refused/suspended", TL_ERROR_SUSPENDED, test_refused);
  ADD ("refused/unauthenticated", TL_ERROR_UNAUTHENTICATED, test_refused);
  ADD ("refused/in-use", TL_ERROR_IN_USE, test_refused);
  ADD ("pinned", 0, test_pinned);
  ADD ("neither", 0, test_neither);
  ADD ("close", 0, test_close);
  return g_test_run ();
}

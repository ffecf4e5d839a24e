/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-gateway-link-quic.h"

#include <string.h>

#include "base/tl-error.h"
#include "tl-fake-quic.h"

/* The link over real QUIC, against a gateway that does what the test says. */

#define DAY_MS (G_GINT64_CONSTANT (86400) * 1000)

typedef struct
{
  TlFakeGateway *gateway;
  TlFakeQuic *quic;
  TlDeviceIdentity *identity;
  TlQuicLinkFactory factory;
  TlCapabilitySet *capabilities;
  TlPolicy *policy;
  TlGatewayLink *link;

  guint n_opened, n_events, n_resets, n_closed, n_answers;
  GPtrArray *seen; /* char*: "seq data" */
  char *name;
  gboolean alone;
  GError *error;
  GError *answer_error;
} Fixture;

static void
on_cursor (TlGatewayLink *link, TlLinkCursor *cursor, gpointer user_data)
{
  (void)link, (void)user_data;
  cursor->seq = 4;
  cursor->event_id = "01J00000000000000000000004";
}

static void
on_opened (TlGatewayLink *link, const TlLinkRegistration *registration, gpointer user_data)
{
  Fixture *f = user_data;

  (void)link;
  g_assert_cmpstr (registration->gateway_id, ==, TL_FIXTURE_GATEWAY);
  g_assert_cmpstr (registration->transport, ==, "quic");
  g_assert_cmpstr (registration->peer, ==, f->gateway->address);
  f->name = g_strdup (registration->gateway_name);
  f->n_opened++;
}

static void
on_event (TlGatewayLink *link, const TlLinkEvent *event, gpointer user_data)
{
  Fixture *f = user_data;

  (void)link;
  g_ptr_array_add (f->seen, g_strdup_printf ("%d %s", (int)event->seq, event->data));
  f->n_events++;
}

static void
on_gap (TlGatewayLink *link, guint64 oldest_seq, gpointer user_data)
{
  (void)link, (void)oldest_seq, (void)user_data;
  g_assert_not_reached ();
}

static void
on_reset (TlGatewayLink *link, guint64 latest_seq, gpointer user_data)
{
  (void)link;
  g_assert_cmpuint (latest_seq, ==, 2);
  ((Fixture *)user_data)->n_resets++;
}

static void
on_closed (TlGatewayLink *link, const GError *error, gpointer user_data)
{
  Fixture *f = user_data;

  f->alone = link->alone;
  f->error = g_error_copy (error);
  f->n_closed++;
}

static const TlGatewayLinkHandlers handlers = {
  .cursor = on_cursor, .opened = on_opened, .event = on_event, .gap = on_gap, .reset = on_reset, .closed = on_closed
};

static void
on_answer (TlGatewayLink *link, const char *request_id, TlSubmitOutcome outcome, const GError *error,
           gpointer user_data)
{
  Fixture *f = user_data;

  (void)link, (void)outcome;
  g_assert_cmpstr (request_id, ==, "01J00000000000000000000009");
  g_clear_error (&f->answer_error);
  f->answer_error = error != NULL ? g_error_copy (error) : NULL;
  f->n_answers++;
}

static void
set_up (Fixture *f, gconstpointer data)
{
  (void)data;
  f->gateway = tl_fake_gateway_new ();
  tl_fake_gateway_start (f->gateway);
  f->quic = tl_fake_quic_new (f->gateway);
  f->identity = tl_fixture_identity (f->gateway->ca, DAY_MS);
  tl_fake_gateway_admit (f->gateway, f->identity);
  f->factory = (TlQuicLinkFactory){ .rpc = { .identity = f->identity, .clock = tl_clock_system () } };
  f->capabilities = tl_capability_set_new ();
  f->seen = g_ptr_array_new_with_free_func (g_free);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_gateway_link_free (f->link);
  tl_fixture_settle ();
  tl_fake_quic_free (f->quic);
  tl_fake_gateway_free (f->gateway);
  tl_capability_set_free (f->capabilities);
  tl_device_identity_free (f->identity);
  g_ptr_array_unref (f->seen);
  g_free (f->name);
  g_clear_error (&f->error);
  g_clear_error (&f->answer_error);
}

static void
start_at (Fixture *f, const char *first, const char *second)
{
  const char *addresses[] = { first, second, NULL };
  TlGatewayLinkOpen what
      = { .addresses = addresses, .instance_id = "01J0000000000000000000000A", .capabilities = f->capabilities };
  g_autoptr (GError) error = NULL;

  f->link = tl_gateway_link_new_quic (&handlers, f, &f->factory, &error);
  g_assert_no_error (error);
  tl_gateway_link_open (f->link, &what);
}

static void
connect_link (Fixture *f)
{
  start_at (f, f->gateway->address, NULL);
  tl_fixture_wait_count (&f->n_opened, 1, "the link");
}

static void
assert_closed (Fixture *f, TlErrorCode code)
{
  tl_fixture_wait_count (&f->n_closed, 1, "the end of the link");
  g_assert_error (f->error, TL_ERROR, (int)code);
}

static void
submit (Fixture *f, const char *output)
{
  TlRequestResult *result = tl_request_result_new_success (output);
  TlReceipt *receipt = tl_receipt_new (TRUE, "policy", "{}", "uid:0", 1, 1);
  TlSubmission submission = { .request_id = "01J00000000000000000000009", .result = result, .receipt = receipt };

  tl_gateway_link_submit (f->link, &submission, 1, on_answer, f);
  tl_receipt_free (receipt);
  tl_request_result_free (result);
}

/* ---- tests ---- */

static void
test_open (Fixture *f, gconstpointer data)
{
  TlLinkInfo info;

  (void)data;
  connect_link (f);
  g_assert_cmpuint (f->gateway->n_registered, ==, 1);
  g_assert_cmpuint (f->quic->n_health, ==, 0);
  g_assert_cmpuint (f->quic->resume_from, ==, 4);
  g_assert_cmpstr (f->quic->instance_id, ==, "01J0000000000000000000000A");
  g_assert_cmpstr (f->name, ==, "Fake");
  tl_gateway_link_get_info (f->link, &info);
  g_assert_cmpstr (info.transport, ==, "quic");
  g_assert_cmpstr (info.peer, ==, f->gateway->address);
  g_assert_cmpint (info.rtt_us, >, 0);
}

/* gRPC is not there: the node works all the same. */
static void
test_without_grpc (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_fake_gateway_stop (f->gateway);
  connect_link (f);
  g_assert_cmpuint (f->quic->n_health, ==, 1);
  g_assert_cmpstr (f->name, ==, "");
  tl_fake_quic_send_event (f->quic, 5, "x", "{}", FALSE);
  tl_fixture_wait_count (&f->n_events, 1, "an event");
}

static void
test_second_address (Fixture *f, gconstpointer data)
{
  (void)data;
  start_at (f, "127.0.0.1:1", f->gateway->address);
  tl_fixture_wait_count (&f->n_opened, 1, "the link, at the second address");
}

static void
test_nobody (Fixture *f, gconstpointer data)
{
  (void)data;
  start_at (f, "127.0.0.1:1", NULL);
  assert_closed (f, TL_ERROR_UNAVAILABLE);
}

/* An event that is too large comes by gRPC, and those behind it wait for it. */
static void
test_events (Fixture *f, gconstpointer data)
{
  Twinlatch__V1__Event stored = TWINLATCH__V1__EVENT__INIT;

  (void)data;
  f->quic->reset_to = 2;
  stored.seq = 2;
  stored.id = (char *)"01J00000000000000000000002";
  stored.type = (char *)"x";
  stored.data = (char *)"{\"fetched\":1}";
  f->gateway->stored = &stored;
  connect_link (f);
  g_assert_cmpuint (f->n_resets, ==, 1);
  tl_fake_quic_send_event (f->quic, 1, "x", "{\"n\":1}", FALSE);
  tl_fake_quic_send_event (f->quic, 2, "x", "", TRUE);
  tl_fake_quic_send_event (f->quic, 3, "x", "{\"n\":3}", FALSE);
  tl_fixture_wait_count (&f->n_events, 3, "three events");
  g_assert_cmpstr (f->seen->pdata[0], ==, "1 {\"n\":1}");
  g_assert_cmpstr (f->seen->pdata[1], ==, "2 {\"fetched\":1}");
  g_assert_cmpstr (f->seen->pdata[2], ==, "3 {\"n\":3}");
  tl_gateway_link_acknowledge (f->link, 3, "01J00000000000000000000003");
  tl_fixture_wait_count (&f->quic->n_acks, 1, "the acknowledgement");
  g_assert_cmpuint (f->quic->ack_seq, ==, 3);
}

/* Of one request in their order, whatever happens to the streams. */
static void
test_node_events (Fixture *f, gconstpointer data)
{
  (void)data;
  connect_link (f);
  for (guint i = 0; i < 200; i++)
    {
      g_autofree char *text = g_strdup_printf ("{\"request_id\":\"r%u\",\"n\":%u}", i % 3, i);

      tl_gateway_link_send_event (f->link, "capability.progress", text);
    }
  tl_fixture_wait_count (&f->quic->n_events, 200, "the node's events");
  for (guint r = 0; r < 3; r++)
    {
      guint next = r;
      g_autofree char *mine = g_strdup_printf ("\"r%u\"", r);

      for (guint i = 0; i < f->quic->events->len; i++)
        {
          g_autofree char *wanted = g_strdup_printf ("\"n\":%u}", next);

          if (strstr (f->quic->events->pdata[i], mine) == NULL)
            continue;
          g_assert_nonnull (strstr (f->quic->events->pdata[i], wanted));
          next += 3;
        }
    }
}

static void
test_results (Fixture *f, gconstpointer data)
{
  g_autofree char *text = g_strnfill (600000, 'x');
  g_autofree char *large = g_strdup_printf ("\"%s\"", text);

  (void)data;
  connect_link (f);
  submit (f, "{\"a\":1}");
  tl_fixture_wait_count (&f->n_answers, 1, "an answer");
  g_assert_no_error (f->answer_error);
  g_assert_cmpstr (f->quic->outputs->pdata[0], ==, "{\"a\":1}");
  submit (f, large);
  tl_fixture_wait_count (&f->n_answers, 2, "an answer");
  g_assert_no_error (f->answer_error);
  g_assert_cmpuint (f->quic->n_results, ==, 1);
  g_assert_cmpuint (f->gateway->n_results, ==, 1);
  f->quic->refuse = TRUE;
  submit (f, "1");
  tl_fixture_wait_count (&f->n_answers, 3, "an answer");
  g_assert_nonnull (f->answer_error);
  for (guint i = 0; i < 100; i++) /* more than there are streams */
    submit (f, "2");
  tl_fixture_wait_count (&f->n_answers, 103, "all answers");
}

static void
test_refused (Fixture *f, gconstpointer data)
{
  g_autofree char *fingerprint = tl_certificate_fingerprint (tl_device_identity_certificate (f->identity));

  (void)data;
  tl_admitted_set_remove (f->gateway->admitted, fingerprint);
  start_at (f, f->gateway->address, NULL);
  assert_closed (f, TL_ERROR_REVOKED);
}

static void
test_another_gateway (Fixture *f, gconstpointer data)
{
  (void)data;
  f->factory.pin = "abababababababababababababababababababababababababababababababab";
  start_at (f, f->gateway->address, NULL);
  assert_closed (f, TL_ERROR_WRONG_CA);
  g_assert_cmpuint (f->quic->n_streams, ==, 0);
}

typedef struct
{
  guint64 code;
  TlErrorCode error;
  gboolean alone;
} Ending;

static void
test_ending (Fixture *f, gconstpointer data)
{
  const Ending *ending = data;

  connect_link (f);
  tl_quic_connection_close (f->quic->connection, ending->code, NULL);
  assert_closed (f, ending->error);
  g_assert_cmpint (f->alone, ==, ending->alone);
}

/* close(): what was sent still arrives. */
static void
test_close (Fixture *f, gconstpointer data)
{
  (void)data;
  connect_link (f);
  tl_gateway_link_send_event (f->link, "node.stopping", "{}");
  tl_gateway_link_close (f->link);
  assert_closed (f, TL_ERROR_CANCELLED);
  g_assert_cmpuint (f->quic->n_events, ==, 1);
  tl_fixture_wait_count (&f->quic->n_closed, 1, "the end at the gateway");
  g_assert_cmpuint (f->quic->why.code, ==, TL_QUIC_CLOSE_GOING_AWAY);
}

/* Freed at any moment of its life. */
static void
test_free (Fixture *f, gconstpointer data)
{
  (void)data;
  for (guint turns = 0; turns < 40; turns += 4)
    {
      start_at (f, f->gateway->address, NULL);
      for (guint i = 0; i < turns; i++)
        g_main_context_iteration (NULL, FALSE);
      g_clear_pointer (&f->link, tl_gateway_link_free);
      g_clear_pointer (&f->name, g_free);
      tl_fixture_settle ();
    }
  g_assert_cmpuint (f->n_closed, ==, 0);
}

int
main (int argc, char *argv[])
{
  static const Ending endings[] = { { TL_QUIC_CLOSE_GOING_AWAY, TL_ERROR_UNAVAILABLE, FALSE },
                                    { TL_QUIC_CLOSE_REVOKED, TL_ERROR_REVOKED, FALSE },
                                    { TL_QUIC_CLOSE_SUPERSEDED, TL_ERROR_IN_USE, FALSE },
                                    { TL_QUIC_CLOSE_LIMIT, TL_ERROR_RESOURCE_EXHAUSTED, FALSE },
                                    { TL_QUIC_CLOSE_CERTIFICATE_ENDED, TL_ERROR_EXPIRED, FALSE },
                                    { TL_QUIC_CLOSE_CERTIFICATE_SUPERSEDED, TL_ERROR_UNAVAILABLE, TRUE },
                                    { TL_QUIC_CLOSE_SUSPENDED, TL_ERROR_SUSPENDED, FALSE } };

  g_test_init (&argc, &argv, NULL);
#define ADD(name, func) g_test_add ("/gateway-link-quic/" name, Fixture, NULL, set_up, func, tear_down)
  ADD ("open", test_open);
  ADD ("without-grpc", test_without_grpc);
  ADD ("second-address", test_second_address);
  ADD ("nobody", test_nobody);
  ADD ("events", test_events);
  ADD ("node-events", test_node_events);
  ADD ("results", test_results);
  ADD ("refused", test_refused);
  ADD ("another-gateway", test_another_gateway);
  ADD ("close", test_close);
  ADD ("free", test_free);
  for (guint i = 0; i < G_N_ELEMENTS (endings); i++)
    {
      g_autofree char *name
          = g_strdup_printf ("/gateway-link-quic/ending/%s", tl_quic_close_code_to_string (endings[i].code));

      g_test_add (name, Fixture, &endings[i], set_up, test_ending, tear_down);
    }
  return g_test_run ();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

typedef struct
{
  TlCursorKind kind;
  guint64 latest_seq, oldest_seq;
  char *oldest_id;
  guint n;
  guint64 first, last;
} Range;

static void
range_callback (const GError *error, gpointer result, gpointer user_data)
{
  const TlEventRange *range = result;
  Range *copy = user_data;

  g_assert_no_error (error);
  *copy = (Range){ .kind = range->kind,
                   .latest_seq = range->latest_seq,
                   .oldest_seq = range->oldest_seq,
                   .oldest_id = g_strdup (range->oldest_id),
                   .n = range->events->len };
  for (guint i = 0; i < range->events->len; i++)
    {
      const TlEventRecord *event = range->events->pdata[i];

      if (i == 0)
        copy->first = event->seq;
      g_assert_cmpuint (event->seq, ==, copy->first + i);
      g_assert_cmpstr (event->type, ==, "test");
      copy->last = event->seq;
    }
}

static void
assert_range (Fixture *f, const char *device_id, guint64 seq, const char *event_id, guint limit, TlCursorKind kind,
              guint64 first, guint n)
{
  Range range = { 0 };

  tl_store_read_events (f->store, device_id, seq, event_id, limit, range_callback, &range);
  tl_store_flush (f->store);
  g_assert_cmpint (range.kind, ==, kind);
  g_assert_cmpuint (range.n, ==, n);
  g_assert_cmpuint (range.first, ==, n > 0 ? first : 0);
  g_assert_cmpint (range.oldest_seq != 0, ==, range.oldest_id != NULL);
  g_free (range.oldest_id);
}

static gpointer
copy_seq (gconstpointer result)
{
  const TlEventRecord *event = result;

  return g_memdup2 (&event->seq, sizeof event->seq);
}

/* The new event's id; its seq has to be `seq`. */
static char *
add_event (Fixture *f, const char *device_id, guint64 seq, gint64 now)
{
  char *event_id = fixture_id (f);
  Answer answer = ANSWER (copy_seq);
  g_autofree guint64 *got = NULL;

  tl_store_add_event (f->store, device_id, event_id, "test", "{}", now, answer_callback, &answer);
  assert_ok (f, &answer);
  got = answer.result;
  g_assert_cmpuint (*got, ==, seq);
  return event_id;
}

static void
ack (Fixture *f, const char *device_id, guint64 seq, const char *event_id)
{
  Answer answer = ANSWER (NULL);

  tl_store_ack_events (f->store, device_id, seq, event_id, answer_callback, &answer);
  assert_ok (f, &answer);
}

static void
assert_ack_fails (Fixture *f, const char *device_id, guint64 seq, const char *event_id)
{
  Answer answer = ANSWER (NULL);

  tl_store_ack_events (f->store, device_id, seq, event_id, answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_OUT_OF_RANGE);
}

static void
test_seq (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *a = fixture_id (f);
  g_autofree char *b = fixture_id (f);

  for (guint64 seq = 1; seq <= 20; seq++)
    {
      g_autofree char *ea = add_event (f, a, seq, STORE_NOW);
      g_autofree char *eb = seq % 2 == 0 ? add_event (f, b, seq / 2, STORE_NOW) : NULL;

      if (seq == 10)
        fixture_reopen (f);
      /* Acknowledging everything does not start again at 1. */
      if (seq == 15)
        ack (f, a, 15, ea);
    }
  assert_range (f, b, 0, "", 100, TL_CURSOR_OK, 1, 10);
  assert_range (f, b, 0, "", 3, TL_CURSOR_OK, 1, 3);
}

static void
test_cursors (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *other = fixture_id (f);
  char *ids[11] = { 0 };

  assert_range (f, device_id, 0, "", 100, TL_CURSOR_OK, 0, 0);
  assert_range (f, device_id, 1, other, 100, TL_CURSOR_RESET, 0, 0);
  for (guint seq = 1; seq <= 10; seq++)
    ids[seq] = add_event (f, device_id, seq, STORE_NOW);

  assert_range (f, device_id, 0, "", 100, TL_CURSOR_OK, 1, 10);
  assert_range (f, device_id, 4, ids[4], 100, TL_CURSOR_OK, 5, 6);
  assert_range (f, device_id, 10, ids[10], 100, TL_CURSOR_OK, 0, 0);
  /* Another id there, or never reached. */
  assert_range (f, device_id, 4, ids[5], 100, TL_CURSOR_RESET, 1, 10);
  assert_range (f, device_id, 0, other, 100, TL_CURSOR_RESET, 1, 10);
  assert_range (f, device_id, 11, other, 100, TL_CURSOR_RESET, 1, 10);
  assert_range (f, device_id, G_MAXUINT64, other, 100, TL_CURSOR_RESET, 1, 10);

  /* Acknowledged: the id at that seq is kept, what lies before is a gap. */
  ack (f, device_id, 4, ids[4]);
  fixture_reopen (f);
  assert_range (f, device_id, 4, ids[4], 100, TL_CURSOR_OK, 5, 6);
  assert_range (f, device_id, 4, ids[3], 100, TL_CURSOR_RESET, 5, 6);
  assert_range (f, device_id, 3, ids[3], 100, TL_CURSOR_GAP, 5, 6);
  assert_range (f, device_id, 0, "", 100, TL_CURSOR_GAP, 5, 6);
  ack (f, device_id, 10, ids[10]);
  assert_range (f, device_id, 10, ids[10], 100, TL_CURSOR_OK, 0, 0);
  assert_range (f, device_id, 10, ids[9], 100, TL_CURSOR_RESET, 0, 0);

  for (guint seq = 1; seq <= 10; seq++)
    g_free (ids[seq]);
}

static void
test_ack (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *unknown = fixture_id (f);
  g_autofree char *e1 = add_event (f, device_id, 1, STORE_NOW);
  g_autofree char *e2 = add_event (f, device_id, 2, STORE_NOW);
  g_autofree char *e3 = add_event (f, device_id, 3, STORE_NOW);

  assert_ack_fails (f, device_id, 4, e3);
  assert_ack_fails (f, device_id, 2, e3);
  assert_ack_fails (f, unknown, 1, e1);
  assert_range (f, device_id, 0, "", 100, TL_CURSOR_OK, 1, 3);
  ack (f, device_id, 2, e2);
  ack (f, device_id, 2, e2);
  ack (f, device_id, 1, e1); /* late */
  assert_ack_fails (f, device_id, 2, e1);
  assert_range (f, device_id, 2, e2, 100, TL_CURSOR_OK, 3, 1);
  ack (f, device_id, 3, e3);
  assert_range (f, device_id, 3, e3, 100, TL_CURSOR_OK, 0, 0);
}

static void
test_limit_count (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *fifth = NULL;

  for (guint i = 1; i <= TL_STORE_EVENTS_MAX + 5; i++)
    {
      char *event_id = fixture_id (f);

      tl_store_add_event (f->store, device_id, event_id, "test", "{}", STORE_NOW, NULL, NULL);
      if (i == 5)
        fifth = event_id;
      else
        g_free (event_id);
    }
  assert_range (f, device_id, 0, "", 100000, TL_CURSOR_GAP, 6, TL_STORE_EVENTS_MAX);
  assert_range (f, device_id, 5, fifth, 2, TL_CURSOR_OK, 6, 2);
}

static void
test_limit_age (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *young = fixture_id (f);
  g_autofree char *e1 = add_event (f, device_id, 1, STORE_NOW);
  g_autofree char *e2 = add_event (f, device_id, 2, STORE_NOW + MINUTE_MS);
  g_autofree char *e3 = add_event (f, device_id, 3, STORE_NOW + DAY_MS);
  g_autofree char *y1 = add_event (f, young, 1, STORE_NOW + DAY_MS);
  Answer answer = ANSWER (NULL);

  tl_store_expire (f->store, STORE_NOW + TL_STORE_EVENTS_AGE_MS + MINUTE_MS, answer_callback, &answer);
  assert_ok (f, &answer);
  assert_range (f, device_id, 0, "", 100, TL_CURSOR_GAP, 3, 1);
  assert_range (f, device_id, 2, e2, 100, TL_CURSOR_OK, 3, 1);
  assert_range (f, young, 0, "", 100, TL_CURSOR_OK, 1, 1);
}

static gpointer
copy_node (gconstpointer result)
{
  const TlNodeRecord *node = result;

  return g_strdup_printf ("%s %s %s %" G_GSIZE_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, node->device_id,
                          node->platform, node->node_version, g_bytes_get_size (node->registration), node->latest_seq,
                          node->acknowledged_seq);
}

static void
test_nodes (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *certificate = pair_device (f, device_id, 1, TL_ROLE_NODE);
  g_autoptr (GBytes) registration = g_bytes_new_static ("packed", 6);
  g_autofree char *e1 = NULL;
  g_autofree char *e2 = NULL;
  g_autofree char *text = NULL;
  g_autofree char *expected = NULL;
  g_autoptr (GPtrArray) nodes = NULL;
  TlNodeRecord node = { .device_id = device_id,
                        .platform = (char *)"linux",
                        .node_version = (char *)"1.0",
                        .registration = registration,
                        .registered_at = STORE_NOW };
  TlNodeRecord stranger = node;
  g_autofree char *unknown = fixture_id (f);
  Answer answer = ANSWER (NULL);

  tl_store_get_node (f->store, device_id, answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_NOT_FOUND);
  stranger.device_id = unknown;
  answer = ANSWER (NULL);
  tl_store_put_node (f->store, &stranger, answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_NOT_FOUND);

  answer = ANSWER (NULL);
  tl_store_put_node (f->store, &node, answer_callback, &answer);
  assert_ok (f, &answer);
  node.node_version = (char *)"1.1";
  tl_store_put_node (f->store, &node, NULL, NULL);
  e1 = add_event (f, device_id, 1, STORE_NOW);
  e2 = add_event (f, device_id, 2, STORE_NOW);
  ack (f, device_id, 1, e1);
  answer = ANSWER (copy_node);
  tl_store_get_node (f->store, device_id, answer_callback, &answer);
  assert_ok (f, &answer);
  text = answer.result;
  expected = g_strdup_printf ("%s linux 1.1 6 2 1", device_id);
  g_assert_cmpstr (text, ==, expected);
  nodes = tl_store_list_nodes (f->store, NULL);
  g_assert_cmpuint (nodes->len, ==, 1);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  store_test ("/store/events/seq", test_seq);
  store_test ("/store/events/cursors", test_cursors);
  store_test ("/store/events/ack", test_ack);
  store_test ("/store/events/limit-count", test_limit_count);
  store_test ("/store/events/limit-age", test_limit_age);
  store_test ("/store/events/nodes", test_nodes);
  return g_test_run ();
}

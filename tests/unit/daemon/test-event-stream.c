/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gstdio.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "daemon/tl-event-stream.h"

#define DEVICE "01ARZ3NDEKTSV4RRFFQ69G5FAV"

/* A transport that writes down what it is given. */
typedef struct
{
  GString *log;
  gsize queued;
  char *last_id;
  guint64 last_seq;
} FakeSink;

static gboolean
fake_event (gpointer sink, const TlEventRecord *event)
{
  FakeSink *self = sink;

  g_string_append_printf (self->log, "%" G_GUINT64_FORMAT " ", event->seq);
  g_free (self->last_id);
  self->last_id = g_strdup (event->id);
  self->last_seq = event->seq;
  return TRUE;
}

static gboolean
fake_gap (gpointer sink, guint64 seq, const char *id)
{
  g_string_append_printf (((FakeSink *)sink)->log, "gap%" G_GUINT64_FORMAT " ", seq);
  return TRUE;
}

static gboolean
fake_reset (gpointer sink, guint64 latest)
{
  g_string_append (((FakeSink *)sink)->log, "reset ");
  return TRUE;
}

static gboolean
fake_ready (gpointer sink, guint64 latest)
{
  g_string_append_printf (((FakeSink *)sink)->log, "ready%" G_GUINT64_FORMAT " ", latest);
  return TRUE;
}

static gsize
fake_queued (gpointer sink)
{
  return ((FakeSink *)sink)->queued;
}

static void
fake_close (gpointer sink, const GError *error)
{
  g_string_append_printf (((FakeSink *)sink)->log, "close:%s ", tl_error_to_reason (error));
}

static void
fake_sent (gpointer sink, const TlEventRecord *event)
{
}

static void
fake_acknowledged (gpointer sink, guint64 seq)
{
  g_string_append_printf (((FakeSink *)sink)->log, "ack%" G_GUINT64_FORMAT " ", seq);
}

static const TlEventSink fake
    = { fake_event, fake_gap, fake_reset, fake_ready, fake_queued, fake_close, fake_sent, fake_acknowledged };

typedef struct
{
  char *directory;
  TlStore *store;
  TlRandom *random;
  FakeSink sink;
  TlEventStream *stream;
  char *ids[500];
  guint n;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  f->directory = g_dir_make_tmp ("tl-test-XXXXXX", NULL);
  f->store = tl_store_open (f->directory, NULL, NULL);
  g_assert_nonnull (f->store);
  f->random = tl_random_new_test (1);
  f->sink.log = g_string_new (NULL);
  f->stream = tl_event_stream_new (f->store, DEVICE, &fake, &f->sink);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autofree char *command = g_strdup_printf ("rm -rf '%s'", f->directory);

  tl_event_stream_close (f->stream);
  tl_store_close (f->store);
  tl_random_free (f->random);
  g_string_free (f->sink.log, TRUE);
  g_free (f->sink.last_id);
  for (guint i = 0; i < f->n; i++)
    g_free (f->ids[i]);
  g_assert_cmpint (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL), ==, TRUE);
  g_free (f->directory);
}

static void
on_added (const GError *error, gpointer result, gpointer user_data)
{
  Fixture *f = user_data;

  g_assert_no_error (error);
  tl_event_stream_push (f->stream, result);
}

static void
add_events (Fixture *f, guint n)
{
  for (guint i = 0; i < n; i++)
    {
      f->ids[f->n] = tl_ulid_new (1000 + f->n, f->random);
      tl_store_add_event (f->store, DEVICE, f->ids[f->n], "test", "{}", 1000, on_added, f);
      f->n++;
    }
  tl_store_flush (f->store);
  tl_store_flush (f->store);
}

static void
expect (Fixture *f, const char *text)
{
  g_assert_cmpstr (f->sink.log->str, ==, text);
  g_string_truncate (f->sink.log, 0);
}

static void
test_catch_up_then_live (Fixture *f, gconstpointer data)
{
  add_events (f, 2);
  expect (f, "");
  tl_event_stream_resume (f->stream, 0, "");
  tl_store_flush (f->store);
  expect (f, "ready2 1 2 ");
  g_assert_true (tl_event_stream_is_live (f->stream));
  add_events (f, 1);
  expect (f, "3 ");
}

static void
test_no_event_twice_or_lost (Fixture *f, gconstpointer data)
{
  g_autoptr (GString) wanted = g_string_new ("ready0 ");

  tl_event_stream_resume (f->stream, 0, "");
  add_events (f, 300); /* pushed while the first read is under way */
  for (guint i = 1; i <= 300; i++)
    g_string_append_printf (wanted, "%u ", i);
  if (!g_str_has_prefix (f->sink.log->str, "ready0"))
    g_string_overwrite (wanted, 0, "");
  g_string_erase (f->sink.log, 0, (gssize)(strchr (f->sink.log->str, ' ') + 1 - f->sink.log->str));
  g_string_erase (wanted, 0, (gssize)strlen ("ready0 "));
  expect (f, wanted->str);
}

static void
test_resume_at_cursor (Fixture *f, gconstpointer data)
{
  add_events (f, 3);
  tl_event_stream_resume (f->stream, 2, f->ids[1]);
  tl_store_flush (f->store);
  expect (f, "ready3 3 ");
}

static void
test_reset_on_other_log (Fixture *f, gconstpointer data)
{
  add_events (f, 3);
  tl_event_stream_resume (f->stream, 2, f->ids[0]); /* another id at that seq */
  tl_store_flush (f->store);
  expect (f, "reset ready3 1 2 3 ");
}

static void
test_reset_beyond_end (Fixture *f, gconstpointer data)
{
  add_events (f, 1);
  tl_event_stream_resume (f->stream, 9, f->ids[0]);
  tl_store_flush (f->store);
  expect (f, "reset ready1 1 ");
  add_events (f, 1);
  expect (f, "2 ");
}

static void
test_gap (Fixture *f, gconstpointer data)
{
  add_events (f, 4);
  tl_event_stream_resume (f->stream, 0, "");
  tl_store_flush (f->store);
  tl_event_stream_acknowledge (f->stream, 2, f->ids[1], NULL, NULL);
  tl_store_flush (f->store);
  expect (f, "ready4 1 2 3 4 ack2 ");
  tl_event_stream_close (f->stream);
  f->stream = tl_event_stream_new (f->store, DEVICE, &fake, &f->sink);
  tl_event_stream_resume (f->stream, 0, "");
  tl_store_flush (f->store);
  expect (f, "gap3 ready4 3 4 ");
}

static void
test_ack_beyond_sent (Fixture *f, gconstpointer data)
{
  add_events (f, 1);
  tl_event_stream_resume (f->stream, 0, "");
  tl_store_flush (f->store);
  expect (f, "ready1 1 ");
  tl_event_stream_acknowledge (f->stream, 2, f->ids[0], NULL, NULL);
  expect (f, "close:out_of_range ");
}

static void
test_ack_wrong_id (Fixture *f, gconstpointer data)
{
  add_events (f, 2);
  tl_event_stream_resume (f->stream, 0, "");
  tl_store_flush (f->store);
  expect (f, "ready2 1 2 ");
  tl_event_stream_acknowledge (f->stream, 2, f->ids[0], NULL, NULL);
  tl_store_flush (f->store);
  expect (f, "close:out_of_range ");
}

/* A slow device keeps its events in the store, not in our memory. */
static void
test_back_pressure (Fixture *f, gconstpointer data)
{
  tl_event_stream_resume (f->stream, 0, "");
  tl_store_flush (f->store);
  expect (f, "ready0 ");
  add_events (f, 1);
  expect (f, "1 ");
  f->sink.queued = TL_EVENT_STREAM_MAX_QUEUED;
  add_events (f, 2);
  expect (f, "");
  f->sink.queued = 0;
  tl_event_stream_acknowledge (f->stream, 1, f->ids[0], NULL, NULL);
  tl_store_flush (f->store);
  tl_store_flush (f->store);
  g_assert_nonnull (strstr (f->sink.log->str, "ack1 "));
  add_events (f, 1);
  tl_store_flush (f->store);
  expect (f, "ack1 2 3 4 ");
}

static void
test_drained (Fixture *f, gconstpointer data)
{
  tl_event_stream_resume (f->stream, 0, "");
  tl_store_flush (f->store);
  f->sink.queued = TL_EVENT_STREAM_MAX_QUEUED;
  add_events (f, 2);
  expect (f, "ready0 ");
  tl_event_stream_drained (f->stream); /* not below the mark yet */
  tl_store_flush (f->store);
  expect (f, "");
  f->sink.queued = 0;
  tl_event_stream_drained (f->stream);
  tl_store_flush (f->store);
  expect (f, "1 2 ");
}

static void
on_told (const GError *error, gpointer user_data)
{
  g_string_append_printf (user_data, "told:%s ", error == NULL ? "ok" : tl_error_to_reason (error));
}

/* Who asks to be told decides himself what an error is worth: the stream goes on. */
static void
test_ack_told (Fixture *f, gconstpointer data)
{
  add_events (f, 2);
  tl_event_stream_resume (f->stream, 0, "");
  tl_store_flush (f->store);
  expect (f, "ready2 1 2 ");
  tl_event_stream_acknowledge (f->stream, 3, f->ids[0], on_told, f->sink.log);
  expect (f, "told:out_of_range ");
  tl_event_stream_acknowledge (f->stream, 2, f->ids[0], on_told, f->sink.log);
  tl_store_flush (f->store);
  expect (f, "told:out_of_range ");
  tl_event_stream_acknowledge (f->stream, 2, f->ids[1], on_told, f->sink.log);
  tl_store_flush (f->store);
  expect (f, "ack2 told:ok ");
}

#define ADD(name, func) g_test_add ("/event-stream/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("4.1-catch-up-then-live", test_catch_up_then_live);
  ADD ("4.1-no-event-twice-or-lost", test_no_event_twice_or_lost);
  ADD ("4.1-resume-at-cursor", test_resume_at_cursor);
  ADD ("4.1-reset-on-other-log", test_reset_on_other_log);
  ADD ("4.1-reset-beyond-end", test_reset_beyond_end);
  ADD ("4.1-gap", test_gap);
  ADD ("4.1-ack-beyond-sent", test_ack_beyond_sent);
  ADD ("4.1-ack-wrong-id", test_ack_wrong_id);
  ADD ("4.1-back-pressure", test_back_pressure);
  ADD ("4.1-drained", test_drained);
  ADD ("4.1-ack-told", test_ack_told);
  return g_test_run ();
}

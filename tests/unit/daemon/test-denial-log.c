/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-denial-log.h"

#include <string.h>

#include "base/tl-json.h"

#define SECOND ((gint64)1000 * 1000)
#define KIND   "call.denied"

/* What was written, as "kind actor subject detail". */
typedef struct
{
  GPtrArray *rows;
  TlDenialLog *log;
} Fixture;

static void
sink (const char *kind, const char *actor, const char *subject, const char *detail, gpointer user_data)
{
  Fixture *f = user_data;
  tl_json_auto parsed = tl_json_parse (detail, -1, 0, NULL);

  g_assert_nonnull (parsed);
  g_assert_cmpuint (strlen (detail), <=, 4096);
  g_assert_cmpuint (strlen (actor), <=, 128);
  g_assert_cmpuint (strlen (subject), <=, 128);
  g_ptr_array_add (f->rows, g_strdup_printf ("%s %s %s %s", kind, actor, subject, detail));
}

static void
set_up (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  f->rows = g_ptr_array_new_with_free_func (g_free);
  f->log = tl_denial_log_new (sink, f);
}

static void
tear_down (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  tl_denial_log_free (f->log);
  g_ptr_array_unref (f->rows);
}

static void
assert_last (Fixture *f, guint rows, const char *expected)
{
  g_assert_cmpuint (f->rows->len, ==, rows);
  g_assert_cmpstr (f->rows->pdata[rows - 1], ==, expected);
}

static void
stranger (Fixture *f, const char *source, gint64 now)
{
  tl_denial_log_add (f->log, KIND, source, TRUE, "/method", "unauthenticated", NULL, now);
}

static void
test_first_then_counts (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  stranger (f, "source:a", 0);
  assert_last (f, 1, "call.denied source:a /method {\"reason\":\"unauthenticated\"}");
  for (guint i = 0; i < 1000; i++)
    stranger (f, "source:a", SECOND);
  tl_denial_log_tick (f->log, 59 * SECOND);
  g_assert_cmpuint (f->rows->len, ==, 1);
  tl_denial_log_tick (f->log, 60 * SECOND);
  assert_last (f, 2, "call.denied source:a /method {\"reason\":\"unauthenticated\",\"count\":1000,\"seconds\":60}");
  /* It goes on: one row a minute, no more. */
  stranger (f, "source:a", 61 * SECOND);
  g_assert_cmpuint (f->rows->len, ==, 2);
  tl_denial_log_tick (f->log, 120 * SECOND);
  assert_last (f, 3, "call.denied source:a /method {\"reason\":\"unauthenticated\",\"count\":1,\"seconds\":60}");
  /* A quiet minute: the next one is told at once. */
  tl_denial_log_tick (f->log, 180 * SECOND);
  stranger (f, "source:a", 181 * SECOND);
  assert_last (f, 4, "call.denied source:a /method {\"reason\":\"unauthenticated\"}");
}

static void
test_apart (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  stranger (f, "source:a", 0);
  stranger (f, "source:b", 0);
  tl_denial_log_add (f->log, "code.refused", "source:a", TRUE, NULL, "code_invalid", "the code", 0);
  assert_last (f, 3, "code.refused source:a  {\"reason\":\"code_invalid\",\"error\":\"the code\"}");
}

/* However many sources there are: so many rows a minute. */
static void
test_many_sources (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  guint rows;

  for (guint i = 0; i < 10000; i++)
    {
      g_autofree char *source = g_strdup_printf ("source:%u", i);
      stranger (f, source, 0);
    }
  rows = TL_DENIALS_SOURCES_MAX + 1;
  assert_last (f, rows, "call.denied source:* /method {\"reason\":\"unauthenticated\",\"actor\":\"source:32\"}");
  tl_denial_log_tick (f->log, 60 * SECOND);
  assert_last (f, rows + 1,
               "call.denied source:* /method {\"reason\":\"unauthenticated\",\"count\":9967,\"seconds\":60}");
  /* Places become free again. */
  tl_denial_log_tick (f->log, 121 * SECOND);
  stranger (f, "source:new", 122 * SECOND);
  assert_last (f, rows + 2, "call.denied source:new /method {\"reason\":\"unauthenticated\"}");
}

/* Devices and local users: each is told, so many; and strangers do not take their places. */
static void
test_known (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  for (guint i = 0; i < 100; i++)
    {
      g_autofree char *source = g_strdup_printf ("source:%u", i);
      stranger (f, source, 0);
    }
  g_ptr_array_set_size (f->rows, 0);
  for (guint i = 0; i < 100; i++)
    {
      g_autofree char *request = g_strdup_printf ("R%u", i);
      tl_denial_log_add (f->log, "result.late", "device:D", FALSE, request, "failed", NULL, 0);
    }
  assert_last (f, TL_DENIALS_KNOWN_ROWS, "result.late device:D R59 {\"reason\":\"failed\"}");
  tl_denial_log_flush (f->log, 30 * SECOND);
  assert_last (f, TL_DENIALS_KNOWN_ROWS + 2,
               "result.late device:D R99 {\"reason\":\"failed\",\"count\":40,\"seconds\":30}");
}

static void
test_bounded_texts (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *text = g_strnfill (100000, '\x01');
  g_autofree char *wide = g_strnfill (1000, 'x');

  memcpy (wide + 239, "\xc3\xa9", 2); /* a character over the limit is not cut in two */
  tl_denial_log_add (f->log, KIND, text, TRUE, text, "reason", text, 0);
  tl_denial_log_add (f->log, KIND, "source:w", TRUE, NULL, "reason", wide, 0);
  tl_denial_log_add (f->log, KIND, "source:\xff\xfe", TRUE, "\xff", "reason", "\xff", 0);
  g_assert_cmpuint (f->rows->len, ==, 3);
  g_assert_true (g_utf8_validate (f->rows->pdata[1], -1, NULL));
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

#define add(path, function) g_test_add (path, Fixture, NULL, set_up, function, tear_down)
  add ("/daemon/denial-log/first-then-counts", test_first_then_counts);
  add ("/daemon/denial-log/apart", test_apart);
  add ("/daemon/denial-log/many-sources", test_many_sources);
  add ("/daemon/denial-log/known", test_known);
  add ("/daemon/denial-log/bounded-texts", test_bounded_texts);
  return g_test_run ();
}

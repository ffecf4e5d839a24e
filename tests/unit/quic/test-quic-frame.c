/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "quic/tl-quic-frame.h"

typedef struct
{
  GByteArray *bytes;
  guint frames;
  guint stop_after; /* 0: never */
  const guint8 *last_data;
} Seen;

static gboolean
on_frame (const guint8 *data, gsize length, gpointer user_data)
{
  Seen *seen = user_data;

  g_byte_array_append (seen->bytes, data, (guint)length);
  seen->last_data = data;
  return ++seen->frames != seen->stop_after;
}

static void
add_frame (GByteArray *wire, gsize length, guint8 fill)
{
  guint8 header[4] = { (guint8)(length >> 24), (guint8)(length >> 16), (guint8)(length >> 8), (guint8)length };
  guint start = wire->len + 4;

  g_byte_array_append (wire, header, 4);
  g_byte_array_set_size (wire, start + (guint)length);
  memset (wire->data + start, fill, length);
}

/* However the bytes are cut, the same frames come out. */
static void
test_pieces (void)
{
  g_autoptr (GByteArray) wire = g_byte_array_new ();
  const gsize pieces[] = { 1, 2, 3, 4, 5, 7, 100, 4096, 100000 };

  for (guint i = 1; i <= 40; i++)
    add_frame (wire, i * i, (guint8)i);
  add_frame (wire, 60000, 0xee);
  for (guint p = 0; p < G_N_ELEMENTS (pieces); p++)
    {
      g_autoptr (TlQuicFrameReader) reader = tl_quic_frame_reader_new (65536);
      g_autoptr (GByteArray) bytes = g_byte_array_new ();
      Seen seen = { .bytes = bytes };

      for (gsize at = 0; at < wire->len; at += pieces[p])
        g_assert_cmpint (tl_quic_frame_reader_feed (reader, wire->data + at, MIN (pieces[p], wire->len - at), on_frame,
                                                    &seen),
                         ==, TL_QUIC_FRAMES_OK);
      g_assert_cmpuint (seen.frames, ==, 41);
      g_assert_cmpuint (bytes->len, ==, wire->len - 41 * 4);
      g_assert_true (tl_quic_frame_reader_is_at_boundary (reader));
      g_assert_cmpuint (tl_quic_frame_reader_stored (reader), ==, 0);
    }
}

static void
test_no_copy (void)
{
  g_autoptr (TlQuicFrameReader) reader = tl_quic_frame_reader_new (100);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GByteArray) wire = g_byte_array_new ();
  Seen seen = { .bytes = bytes };

  add_frame (wire, 50, 1);
  tl_quic_frame_reader_feed (reader, wire->data, wire->len, on_frame, &seen);
  g_assert_true (seen.last_data == wire->data + 4);
}

static void
test_limit (void)
{
  g_autoptr (TlQuicFrameReader) reader = tl_quic_frame_reader_new (100);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GByteArray) wire = g_byte_array_new ();
  Seen seen = { .bytes = bytes };

  add_frame (wire, 100, 1);
  add_frame (wire, 101, 2);
  g_assert_cmpint (tl_quic_frame_reader_feed (reader, wire->data, wire->len, on_frame, &seen), ==,
                   TL_QUIC_FRAMES_TOO_LARGE);
  g_assert_cmpuint (seen.frames, ==, 1);
  g_assert_cmpuint (tl_quic_frame_reader_announced (reader), ==, 101);
  g_assert_cmpuint (tl_quic_frame_reader_stored (reader), ==, 0);
  /* And nothing more. */
  g_assert_cmpint (tl_quic_frame_reader_feed (reader, wire->data, 104, on_frame, &seen), ==, TL_QUIC_FRAMES_TOO_LARGE);
  g_assert_cmpuint (seen.frames, ==, 1);
}

static void
test_largest_number (void)
{
  g_autoptr (TlQuicFrameReader) reader = tl_quic_frame_reader_new (G_MAXUINT32 - 1);
  const guint8 wire[] = { 0xff, 0xff, 0xff, 0xff, 1 };
  Seen seen = { 0 };

  g_assert_cmpint (tl_quic_frame_reader_feed (reader, wire, sizeof wire, on_frame, &seen), ==,
                   TL_QUIC_FRAMES_TOO_LARGE);
}

static void
test_empty (void)
{
  g_autoptr (TlQuicFrameReader) reader = tl_quic_frame_reader_new (100);
  const guint8 wire[4] = { 0 };
  Seen seen = { 0 };

  g_assert_cmpint (tl_quic_frame_reader_feed (reader, wire, sizeof wire, on_frame, &seen), ==, TL_QUIC_FRAMES_EMPTY);
}

static void
test_stop (void)
{
  g_autoptr (TlQuicFrameReader) reader = tl_quic_frame_reader_new (100);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GByteArray) wire = g_byte_array_new ();
  Seen seen = { .bytes = bytes, .stop_after = 2 };

  for (int i = 0; i < 4; i++)
    add_frame (wire, 10, 1);
  g_assert_cmpint (tl_quic_frame_reader_feed (reader, wire->data, wire->len, on_frame, &seen), ==,
                   TL_QUIC_FRAMES_STOPPED);
  g_assert_cmpuint (seen.frames, ==, 2);
}

static void
test_boundary (void)
{
  g_autoptr (TlQuicFrameReader) reader = tl_quic_frame_reader_new (100);
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  const guint8 wire[] = { 0, 0, 0, 2, 'a', 'b' };
  Seen seen = { .bytes = bytes };

  g_assert_true (tl_quic_frame_reader_is_at_boundary (reader));
  for (gsize i = 0; i < sizeof wire; i++)
    {
      tl_quic_frame_reader_feed (reader, wire + i, 1, on_frame, &seen);
      g_assert_cmpint (tl_quic_frame_reader_is_at_boundary (reader), ==, i + 1 == sizeof wire);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quic/frame/pieces", test_pieces);
  g_test_add_func ("/quic/frame/no-copy", test_no_copy);
  g_test_add_func ("/quic/frame/limit", test_limit);
  g_test_add_func ("/quic/frame/largest-number", test_largest_number);
  g_test_add_func ("/quic/frame/empty", test_empty);
  g_test_add_func ("/quic/frame/stop", test_stop);
  g_test_add_func ("/quic/frame/boundary", test_boundary);
  return g_test_run ();
}

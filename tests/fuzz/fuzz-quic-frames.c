/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "fuzz.h"
#include "quic/tl-quic-frame.h"
#include "quic/tl-quic-message-private.h"
#include "quic/tl-quic-stream.h"

#define SMALL_LIMIT 48 /* so that frames that are too large are met often */

typedef struct
{
  GPtrArray *frames; /* GBytes, as the reader gave them out */
  guint stop_after;  /* 0: never */
} Taken;

/* ---- what is inside ---- */

static TlQuicRequest *
parse_request (GBytes *frame, TlQuicRefusal *refusal, GError **error)
{
  return tl_quic_request_parse (g_bytes_get_data (frame, NULL), g_bytes_get_size (frame), refusal, error);
}

static TlQuicAnswer *
parse_answer (GBytes *frame, gboolean *unknown_kind, GError **error)
{
  return tl_quic_answer_parse (g_bytes_get_data (frame, NULL), g_bytes_get_size (frame), unknown_kind, error);
}

/* Whatever a device sent, the refusal that goes back is a frame that it can read. */
static void
look_at_refusal (TlQuicRefusal refusal, const GError *error)
{
  g_autoptr (GBytes) frame = tl_quic_answer_format_refusal (refusal, error);
  g_autoptr (GError) none = NULL;
  gboolean unknown_kind;
  g_autoptr (TlQuicAnswer) answer = parse_answer (frame, &unknown_kind, &none);
  g_autoptr (GError) said = NULL;

  g_assert_no_error (none);
  g_assert_cmpint (answer->kind, ==, TL_QUIC_ANSWER_ERROR);
  g_assert_cmpstr (answer->error, ==, tl_quic_refusal_to_string (refusal));
  said = tl_quic_answer_to_error (answer);
  g_assert_nonnull (said);
}

/* What is taken without the parser is what the parser takes. */
static void
look_at_plain_health (GBytes *frame)
{
  const guint8 *data = g_bytes_get_data (frame, NULL);
  g_autoptr (GError) error = NULL;
  tl_json_auto json = NULL;

  if (!tl_quic_request_is_plain_health (data, g_bytes_get_size (frame)))
    return;
  json = tl_quic_message_parse (data, g_bytes_get_size (frame), &error);
  g_assert_no_error (error);
  g_assert_cmpstr (json_string_value (json_object_get (json, "method")), ==, "node.health");
  g_assert_true (json_is_integer (json_object_get (json, "protocol_version")));
  g_assert_cmpint (json_integer_value (json_object_get (json, "protocol_version")), ==, TL_QUIC_PROTOCOL_VERSION);
}

static void
look_at_request (GBytes *frame)
{
  g_autoptr (GError) error = NULL;
  TlQuicRefusal refusal = TL_QUIC_REFUSAL_INTERNAL;
  g_autoptr (TlQuicRequest) request = parse_request (frame, &refusal, &error);
  g_autoptr (TlQuicRequest) again = NULL;
  g_autoptr (GBytes) first = NULL;
  g_autoptr (GBytes) second = NULL;

  fuzz_assert_answer (request, error);
  look_at_plain_health (frame);
  if (request == NULL)
    {
      g_assert_cmpint (refusal, !=, TL_QUIC_REFUSAL_INTERNAL);
      look_at_refusal (refusal, error);
      return;
    }
  first = tl_quic_request_format (request, &error);
  g_assert_no_error (error);
  again = parse_request (first, &refusal, &error);
  g_assert_no_error (error);
  g_assert_cmpint (again->method, ==, request->method);
  g_assert_cmpuint (again->resume_from, ==, request->resume_from);
  g_assert_cmpuint (again->seq, ==, request->seq);
  g_assert_cmpstr (again->data, ==, request->data);
  g_assert_cmpstr (again->result.output, ==, request->result.output);
  g_assert_true ((again->result.receipt == NULL) == (request->result.receipt == NULL));
  second = tl_quic_request_format (again, &error);
  g_assert_true (g_bytes_equal (first, second));
}

static void
look_at_answer (GBytes *frame)
{
  g_autoptr (GError) error = NULL;
  gboolean unknown_kind = TRUE;
  g_autoptr (TlQuicAnswer) answer = parse_answer (frame, &unknown_kind, &error);
  g_autoptr (TlQuicAnswer) again = NULL;
  g_autoptr (GBytes) first = NULL;
  g_autoptr (GBytes) second = NULL;

  g_assert_true ((answer != NULL) + (error != NULL) + unknown_kind == 1);
  if (answer == NULL)
    return;
  first = tl_quic_answer_format (answer);
  again = parse_answer (first, &unknown_kind, &error);
  g_assert_no_error (error);
  g_assert_cmpint (again->kind, ==, answer->kind);
  g_assert_cmpuint (again->seq, ==, answer->seq);
  g_assert_cmpstr (again->data, ==, answer->data);
  second = tl_quic_answer_format (again);
  g_assert_true (g_bytes_equal (first, second));
}

/* ---- frames ---- */

static gboolean
take_frame (const guint8 *data, gsize length, gpointer user_data)
{
  Taken *taken = user_data;

  g_ptr_array_add (taken->frames, g_bytes_new (data, length));
  return taken->frames->len != taken->stop_after;
}

/* The same without pieces, to compare with. */
static TlQuicFrames
split (const guint8 *data, gsize size, gsize limit, Taken *taken)
{
  while (size >= 4)
    {
      gsize length = (gsize)data[0] << 24 | (gsize)data[1] << 16 | (gsize)data[2] << 8 | data[3];

      if (length > limit)
        return TL_QUIC_FRAMES_TOO_LARGE;
      if (length == 0)
        return TL_QUIC_FRAMES_EMPTY;
      if (length > size - 4)
        break;
      if (!take_frame (data + 4, length, taken))
        return TL_QUIC_FRAMES_STOPPED;
      data += 4 + length;
      size -= 4 + length;
    }
  return TL_QUIC_FRAMES_OK;
}

/* Pieces of pseudo-random lengths, short ones most of the time. Each is a copy of its own, so that reading beyond it is
 * seen. */
static TlQuicFrames
feed_in_pieces (TlQuicFrameReader *reader, const guint8 *data, gsize size, gsize limit, guint32 state, Taken *taken)
{
  TlQuicFrames verdict = TL_QUIC_FRAMES_OK;

  while (size > 0 && verdict == TL_QUIC_FRAMES_OK)
    {
      gsize n;
      g_autofree guint8 *piece = NULL;

      state = state * 1664525 + 1013904223;
      n = MIN (size, 1 + (state >> 16) % (state >> 30 == 0 ? 4096 : 24));
      piece = g_memdup2 (data, n);
      verdict = tl_quic_frame_reader_feed (reader, piece, n, take_frame, taken);
      g_assert_cmpuint (tl_quic_frame_reader_stored (reader), <=, limit);
      data += n;
      size -= n;
    }
  return verdict;
}

/* First byte: what the frames are and how large they may be; second: where the pieces end. Then a stream's bytes. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  if (size < 2)
    return 0;

  gboolean answers = data[0] & 1;
  gsize limit = data[0] & 2 ? SMALL_LIMIT : TL_QUIC_MAX_FRAME;
  guint stop_after = data[0] & 4 ? 2 : 0;
  g_autoptr (TlQuicFrameReader) reader = tl_quic_frame_reader_new (limit);
  Taken taken = { g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref), stop_after };
  Taken expected = { g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref), stop_after };
  TlQuicFrames verdict = feed_in_pieces (reader, data + 2, size - 2, limit, data[1], &taken);

  g_assert_cmpint (verdict, ==, split (data + 2, size - 2, limit, &expected));
  g_assert_cmpuint (taken.frames->len, ==, expected.frames->len);
  if (verdict != TL_QUIC_FRAMES_OK)
    g_assert_cmpuint (tl_quic_frame_reader_stored (reader), ==, 0);
  for (guint i = 0; i < taken.frames->len; i++)
    {
      g_assert_true (g_bytes_equal (taken.frames->pdata[i], expected.frames->pdata[i]));
      if (answers)
        look_at_answer (taken.frames->pdata[i]);
      else
        look_at_request (taken.frames->pdata[i]);
    }
  g_ptr_array_unref (taken.frames);
  g_ptr_array_unref (expected.frames);
  return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/tl-quic-message-private.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-ulid.h"
#include "crypto/tl-hash.h"
#include "quic/tl-quic-stream.h"

const char *
tl_quic_refusal_to_string (TlQuicRefusal refusal)
{
  switch (refusal)
    {
    case TL_QUIC_REFUSAL_INVALID_REQUEST:
      return "invalid_request";
    case TL_QUIC_REFUSAL_PROTOCOL_MISMATCH:
      return "protocol_mismatch";
    case TL_QUIC_REFUSAL_UNSUPPORTED_METHOD:
      return "unsupported_method";
    case TL_QUIC_REFUSAL_FRAME_TOO_LARGE:
      return "frame_too_large";
    case TL_QUIC_REFUSAL_RATE_LIMITED:
      return "rate_limited";
    case TL_QUIC_REFUSAL_INTERNAL:
      return "internal";
    }
  g_assert_not_reached ();
}

static gboolean
bad (const char *member, const char *expected, GError **error)
{
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "member '%s' must be %s", member, expected);
  return FALSE;
}

json_t *
tl_quic_message_parse (const guint8 *data, gsize length, GError **error)
{
  tl_json_auto object = tl_json_parse ((const char *)data, (gssize)length, TL_QUIC_MAX_FRAME, error);

  if (object == NULL)
    return NULL;
  if (!json_is_object (object))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the frame is not a JSON object");
      return NULL;
    }
  return g_steal_pointer (&object);
}

gboolean
tl_quic_message_text (const json_t *object, const char *member, gboolean required, gsize max, const char **value,
                      GError **error)
{
  const char *text;

  if (!tl_json_get_string (object, member, required, &text, error))
    return FALSE;
  if (text != NULL && strlen (text) > max)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "member '%s' has %" G_GSIZE_FORMAT " bytes, the limit is %" G_GSIZE_FORMAT, member, strlen (text),
                   max);
      return FALSE;
    }
  *value = text != NULL ? text : "";
  return TRUE;
}

gboolean
tl_quic_message_ulid (const json_t *object, const char *member, const char **value, GError **error)
{
  const char *text;

  if (!tl_json_get_string (object, member, TRUE, &text, error))
    return FALSE;
  if (!tl_ulid_is_valid (text))
    return bad (member, "a ULID", error);
  *value = text;
  return TRUE;
}

gboolean
tl_quic_message_uint (const json_t *object, const char *member, gboolean required, guint64 *value, GError **error)
{
  gint64 number;

  if (!tl_json_get_int (object, member, required, 0, TL_JSON_MAX_INTEGER - 1, 0, &number, error))
    return FALSE;
  *value = (guint64)number;
  return TRUE;
}

gboolean
tl_quic_message_time (const json_t *object, const char *member, gint64 *value, GError **error)
{
  return tl_json_get_int (object, member, TRUE, 0, TL_JSON_MAX_INTEGER - 1, 0, value, error);
}

gboolean
tl_quic_message_bool (const json_t *object, const char *member, gboolean required, gboolean *value, GError **error)
{
  if (required && !json_is_boolean (json_object_get (object, member)))
    return bad (member, "true or false", error);
  return tl_json_get_bool (object, member, FALSE, value, error);
}

gboolean
tl_quic_message_cursor (const json_t *object, const char *seq_member, const char *id_member, guint64 *seq,
                        const char **id, GError **error)
{
  const char *text;
  guint64 number;

  if (!tl_quic_message_uint (object, seq_member, TRUE, &number, error)
      || !tl_quic_message_text (object, id_member, number != 0, TL_ULID_LENGTH, &text, error))
    return FALSE;
  if (number == 0 ? text[0] != '\0' : !tl_ulid_is_valid (text))
    return bad (id_member, number == 0 ? "empty where nothing was received" : "a ULID", error);
  *seq = number;
  *id = text;
  return TRUE;
}

gboolean
tl_quic_message_bytes (const json_t *object, const char *member, gsize step, gsize max, guint8 **bytes, gsize *left,
                       ProtobufCBinaryData *value, GError **error)
{
  const char *text;
  gsize length;

  if (!tl_json_get_string (object, member, FALSE, &text, error))
    return FALSE;
  length = text != NULL ? strnlen (text, max * 2 + 4) * 6 / 8 : 0;
  if (length == 0 && (text == NULL || text[0] == '\0'))
    {
      *value = (ProtobufCBinaryData){ 0, NULL };
      return TRUE;
    }
  g_assert (max <= *left);
  if (length > max || (step == 0 ? length != max : length % step != 0) || !tl_base64url_decode (text, *bytes, length))
    return bad (member, "base64url of as many bytes as it has", error);
  *value = (ProtobufCBinaryData){ length, *bytes };
  *bytes += length;
  *left -= length;
  return TRUE;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-json-out.h"

#include <string.h>

/* Members that PROTOCOL 0 declares to be strings holding JSON. */
static const char *const json_members[]
    = { "input", "output", "data", "detail", "policy", "progress", "input_schema", "output_schema", NULL };

json_t *
tl_json_text (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text != NULL ? text : "", -1);

  return json_string (valid);
}

json_t *
tl_json_embed (const char *text)
{
  json_t *value;

  if (text == NULL || text[0] == '\0')
    return json_null ();
  value = tl_json_parse (text, -1, 0, NULL);
  return value != NULL ? value : tl_json_text (text);
}

/* "DeviceState" -> "DEVICE_STATE_": what protobuf style puts before every value. */
static char *
enum_prefix (const char *short_name)
{
  GString *prefix = g_string_new (NULL);

  for (const char *p = short_name; *p != '\0'; p++)
    {
      if (p != short_name && g_ascii_isupper (*p))
        g_string_append_c (prefix, '_');
      g_string_append_c (prefix, g_ascii_toupper (*p));
    }
  g_string_append_c (prefix, '_');
  return g_string_free (prefix, FALSE);
}

static char *
enum_word (const ProtobufCEnumDescriptor *descriptor, const ProtobufCEnumValue *value)
{
  g_autofree char *prefix = enum_prefix (descriptor->short_name);
  const char *name = value->name;

  if (g_str_has_prefix (name, prefix))
    name += strlen (prefix);
  return g_ascii_strdown (name, -1);
}

char *
tl_enum_to_text (const ProtobufCEnumDescriptor *descriptor, int value)
{
  const ProtobufCEnumValue *row = protobuf_c_enum_descriptor_get_value (descriptor, value);

  return row != NULL ? enum_word (descriptor, row) : g_strdup_printf ("%d", value);
}

gboolean
tl_enum_from_text (const ProtobufCEnumDescriptor *descriptor, const char *text, int *value)
{
  g_autofree char *word = g_ascii_strdown (text, -1);

  g_strdelimit (word, "-", '_');
  for (unsigned i = 0; i < descriptor->n_values; i++)
    {
      g_autofree char *candidate = enum_word (descriptor, &descriptor->values[i]);

      if (descriptor->values[i].value != 0 && g_str_equal (candidate, word))
        {
          *value = descriptor->values[i].value;
          return TRUE;
        }
    }
  return FALSE;
}

static json_t *
enum_to_json (const ProtobufCEnumDescriptor *descriptor, int value)
{
  const ProtobufCEnumValue *row = protobuf_c_enum_descriptor_get_value (descriptor, value);
  g_autofree char *word = NULL;

  if (row == NULL)
    return json_integer (value);
  word = enum_word (descriptor, row);
  return json_string (word);
}

static json_t *
bytes_to_json (const ProtobufCBinaryData *bytes)
{
  g_autofree char *hex = g_malloc (2 * bytes->len + 1);

  hex[0] = '\0';
  for (size_t i = 0; i < bytes->len; i++)
    g_snprintf (hex + 2 * i, 3, "%02x", bytes->data[i]);
  return json_string (hex);
}

static json_t *
string_to_json (const ProtobufCFieldDescriptor *field, const char *text)
{
  return g_strv_contains (json_members, field->name) ? tl_json_embed (text) : tl_json_text (text);
}

/* One value; p points at it (at its slot in the array for repeated fields). */
static json_t *
value_to_json (const ProtobufCFieldDescriptor *field, const void *p)
{
  switch (field->type)
    {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
      return json_integer (*(const gint32 *)p);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
      return json_integer (*(const guint32 *)p);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
      return json_integer (*(const gint64 *)p);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
      return json_integer ((json_int_t)MIN (*(const guint64 *)p, (guint64)G_MAXINT64));
    case PROTOBUF_C_TYPE_FLOAT:
      return json_real ((double)*(const float *)p);
    case PROTOBUF_C_TYPE_DOUBLE:
      return json_real (*(const double *)p);
    case PROTOBUF_C_TYPE_BOOL:
      return json_boolean (*(const protobuf_c_boolean *)p);
    case PROTOBUF_C_TYPE_ENUM:
      return enum_to_json (field->descriptor, *(const int *)p);
    case PROTOBUF_C_TYPE_STRING:
      return string_to_json (field, *(const char *const *)p);
    case PROTOBUF_C_TYPE_BYTES:
      return bytes_to_json (p);
    case PROTOBUF_C_TYPE_MESSAGE:
      {
        const ProtobufCMessage *message = *(const ProtobufCMessage *const *)p;

        return message != NULL ? tl_json_from_message (message) : json_null ();
      }
    }
  g_assert_not_reached ();
}

static gsize
slot_size (ProtobufCType type)
{
  switch (type)
    {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
      return 4;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
      return 8;
    case PROTOBUF_C_TYPE_BOOL:
      return sizeof (protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES:
      return sizeof (ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
      return sizeof (void *);
    }
  g_assert_not_reached ();
}

static json_t *
repeated_to_json (const ProtobufCFieldDescriptor *field, const ProtobufCMessage *message)
{
  size_t n = *(const size_t *)((const char *)message + field->quantifier_offset);
  const char *slots = *(const char *const *)((const char *)message + field->offset);
  json_t *array = json_array ();

  for (size_t i = 0; i < n; i++)
    json_array_append_new (array, value_to_json (field, slots + i * slot_size (field->type)));
  return array;
}

json_t *
tl_json_from_message (const ProtobufCMessage *message)
{
  json_t *object = json_object ();

  for (unsigned i = 0; i < message->descriptor->n_fields; i++)
    {
      const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
      const char *base = (const char *)message;

      if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0
          && *(const guint32 *)(base + field->quantifier_offset) != field->id)
        continue;
      json_object_set_new (object, field->name,
                           field->label == PROTOBUF_C_LABEL_REPEATED ? repeated_to_json (field, message)
                                                                     : value_to_json (field, base + field->offset));
    }
  return object;
}

json_t *
tl_json_from_messages (const GPtrArray *messages)
{
  json_t *items = json_array ();

  for (guint i = 0; i < messages->len; i++)
    json_array_append_new (items, tl_json_from_message (g_ptr_array_index (messages, i)));
  return json_pack ("{s:o}", "items", items);
}

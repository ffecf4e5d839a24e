/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#include "base/tl-error.h"
#include "rpc/tl-rpc-private.h"

grpc_byte_buffer *
tl_rpc_message_pack (const ProtobufCMessage *message, gsize *length)
{
  gsize size = protobuf_c_message_get_packed_size (message);
  grpc_slice slice = grpc_slice_malloc (size);
  grpc_byte_buffer *buffer;

  protobuf_c_message_pack (message, GRPC_SLICE_START_PTR (slice));
  buffer = grpc_raw_byte_buffer_create (&slice, 1);
  grpc_slice_unref (slice);
  if (length != NULL)
    *length = size;
  return buffer;
}

ProtobufCMessage *
tl_rpc_message_unpack (grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *descriptor, gsize max_length,
                       GError **error)
{
  gsize length = grpc_byte_buffer_length (buffer);
  grpc_byte_buffer_reader reader;
  grpc_slice slice;
  ProtobufCMessage *message;

  if (length > max_length)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
                   "a message of %" G_GSIZE_FORMAT " bytes is above the limit of %" G_GSIZE_FORMAT, length, max_length);
      return NULL;
    }
  /* Decompression is off in the transport: 4 MiB of gzip could be 4 GiB of message. */
  if (buffer->type != GRPC_BB_RAW || buffer->data.raw.compression != GRPC_COMPRESS_NONE)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_UNSUPPORTED, "compressed messages are not accepted");
      return NULL;
    }
  if (!grpc_byte_buffer_reader_init (&reader, buffer))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the message cannot be read");
      return NULL;
    }
  slice = grpc_byte_buffer_reader_readall (&reader);
  grpc_byte_buffer_reader_destroy (&reader);

  message = protobuf_c_message_unpack (descriptor, NULL, GRPC_SLICE_LENGTH (slice), GRPC_SLICE_START_PTR (slice));
  grpc_slice_unref (slice);
  if (message == NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the message is not a %s", descriptor->name);
  return message;
}

char *
tl_rpc_message_clean (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *clean = g_string_new (NULL);

  for (const char *at = valid; *at != '\0'; at = g_utf8_next_char (at))
    {
      gunichar character = g_utf8_get_char (at);

      if (clean->len + (gsize)(g_utf8_next_char (at) - at) > TL_RPC_MAX_STATUS_MESSAGE)
        break;
      g_string_append_unichar (clean, g_unichar_iscntrl (character) ? ' ' : character);
    }
  return g_string_free (clean, FALSE);
}

char *
tl_rpc_slice_to_string (grpc_slice slice)
{
  return g_strndup ((const char *)GRPC_SLICE_START_PTR (slice), GRPC_SLICE_LENGTH (slice));
}

char *
tl_rpc_metadata_get (const grpc_metadata_array *metadata, const char *key)
{
  for (gsize i = 0; i < metadata->count; i++)
    {
      if (grpc_slice_str_cmp (metadata->metadata[i].key, key) == 0)
        return tl_rpc_slice_to_string (metadata->metadata[i].value);
    }
  return NULL;
}

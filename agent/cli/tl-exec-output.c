/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-exec-output.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-json.h"

#define MAX_INPUT_BYTES (4u * 1024u * 1024u) /* PROTOCOL 4.2 */
#define READ_CHUNK      65536

static char *
read_stdin (GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autofree guint8 *chunk = g_malloc (READ_CHUNK);

  for (;;)
    {
      gssize n = read (STDIN_FILENO, chunk, READ_CHUNK);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          tl_error_set_errno (error, errno, _ ("cannot read standard input"));
          return NULL;
        }
      if (n == 0)
        break;
      g_byte_array_append (bytes, chunk, (guint)n);
      if (bytes->len > MAX_INPUT_BYTES)
        {
          g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED, _ ("the input is larger than %u bytes"),
                       MAX_INPUT_BYTES);
          return NULL;
        }
    }
  if (memchr (bytes->data != NULL ? bytes->data : (guint8 *)"", 0, bytes->len) != NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           _ ("the input is not JSON: it holds a NUL byte"));
      return NULL;
    }
  return g_strndup ((const char *)bytes->data, bytes->len);
}

char *
tl_exec_input (const char *argument, GError **error)
{
  g_autofree char *text = NULL;
  tl_json_auto value = NULL;

  if (argument == NULL)
    return g_strdup ("{}");
  text = g_str_equal (argument, "-") ? read_stdin (error) : g_strdup (argument);
  if (text == NULL)
    return NULL;
  value = tl_json_parse (text, -1, MAX_INPUT_BYTES, error);
  if (value == NULL)
    {
      g_prefix_error (error, "%s", _ ("the input is "));
      return NULL;
    }
  return g_steal_pointer (&text);
}

static GBytes *
bytes_of_text (const char *text)
{
  return g_bytes_new (text, strlen (text));
}

/* fs.read's output, by its "encoding"; NULL when the value is something else. */
static GBytes *
file_content (const json_t *value, GError **error)
{
  const char *content = json_string_value (json_object_get (value, "data"));
  const char *encoding = json_string_value (json_object_get (value, "encoding"));
  g_autofree guchar *data = NULL;
  gsize length = 0;

  if (content == NULL)
    return NULL;
  if (encoding == NULL || g_str_equal (encoding, "utf-8"))
    return bytes_of_text (content);
  if (!g_str_equal (encoding, "base64"))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_UNSUPPORTED, _ ("the output's encoding '%s' is unknown; leave --raw out"),
                   encoding);
      return NULL;
    }
  data = g_base64_decode (content, &length);
  return g_bytes_new_take (g_steal_pointer (&data), length);
}

GBytes *
tl_exec_raw_output (const char *output, GError **error)
{
  tl_json_auto value = tl_json_parse (output, -1, 0, NULL);
  g_autoptr (GError) problem = NULL;
  GBytes *content;

  if (json_is_string (value))
    return bytes_of_text (json_string_value (value));
  content = file_content (value, &problem);
  if (content == NULL && problem == NULL)
    return bytes_of_text (output);
  if (problem != NULL)
    g_propagate_error (error, g_steal_pointer (&problem));
  return content;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-json-writer.h"

#include <string.h>

#include "base/tl-json.h"

static void
assert_written (TlJsonWriter *writer, const char *expected)
{
  g_autoptr (GBytes) bytes = tl_json_writer_end (writer);

  g_assert_nonnull (bytes);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), expected, strlen (expected));
}

static void
test_members (void)
{
  TlJsonWriter writer;

  tl_json_writer_init (&writer, 8);
  assert_written (&writer, "{}");
  tl_json_writer_init (&writer, 8);
  tl_json_writer_string (&writer, "s", "a\"b\\c/\b\t\n\f\r\x01\x1f\x7f\xc3\xa4\xf0\x9f\x98\x80");
  tl_json_writer_string (&writer, "none", NULL);
  tl_json_writer_int (&writer, "i", -9007199254740991);
  tl_json_writer_uint (&writer, "u", 9007199254740991);
  tl_json_writer_uint (&writer, "zero", 0);
  tl_json_writer_open (&writer, "o");
  tl_json_writer_bool (&writer, "t", TRUE);
  tl_json_writer_bool (&writer, "f", FALSE);
  tl_json_writer_close (&writer);
  tl_json_writer_open (&writer, "empty");
  tl_json_writer_close (&writer);
  tl_json_writer_raw (&writer, "r", "[1]");
  assert_written (&writer,
                  "{\"s\":\"a\\\"b\\\\c/\\b\\t\\n\\f\\r\\u0001\\u001f\x7f\xc3\xa4\xf0\x9f\x98\x80\",\"none\":\"\","
                  "\"i\":-9007199254740991,\"u\":9007199254740991,\"zero\":0,"
                  "\"o\":{\"t\":true,\"f\":false},\"empty\":{},\"r\":[1]}");
}

/* RFC 4648, 10, without padding; and the two characters that base64url has of its own. */
static void
test_bytes (void)
{
  static const struct
  {
    const char *data;
    const char *text;
  } rows[] = { { "", "" },           { "f", "Zg" },          { "fo", "Zm8" },          { "foo", "Zm9v" },
               { "foob", "Zm9vYg" }, { "fooba", "Zm9vYmE" }, { "foobar", "Zm9vYmFy" }, { "\xfb\xff", "-_8" } };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *expected = g_strdup_printf ("{\"b\":\"%s\"}", rows[i].text);
      TlJsonWriter writer;

      tl_json_writer_init (&writer, 8);
      tl_json_writer_bytes (&writer, "b", rows[i].data, strlen (rows[i].data));
      assert_written (&writer, expected);
    }
}

/* Every code point of one and two bytes comes back from the parser as it went in. */
static void
test_round_trip (void)
{
  for (gunichar c = 1; c < 0x800; c++)
    {
      char text[8] = "";
      TlJsonWriter writer;
      g_autoptr (GBytes) bytes = NULL;
      tl_json_auto value = NULL;

      g_unichar_to_utf8 (c, text);
      tl_json_writer_init (&writer, 8);
      tl_json_writer_string (&writer, "s", text);
      bytes = tl_json_writer_end (&writer);
      value = tl_json_parse (g_bytes_get_data (bytes, NULL), (gssize)g_bytes_get_size (bytes), 0, NULL);
      g_assert_nonnull (value);
      g_assert_cmpstr (json_string_value (json_object_get (value, "s")), ==, text);
    }
}

static void
test_malformed (void)
{
  TlJsonWriter writer;

  tl_json_writer_init (&writer, 8);
  tl_json_writer_string (&writer, "s", "caf\xe9");
  tl_json_writer_string (&writer, "fine", "text");
  g_assert_null (tl_json_writer_end (&writer));
  tl_json_writer_init (&writer, 8);
  tl_json_writer_uint (&writer, "u", (guint64)1 << 53);
  g_assert_null (tl_json_writer_end (&writer));
  tl_json_writer_init (&writer, 8);
  tl_json_writer_int (&writer, "i", G_MININT64);
  g_assert_null (tl_json_writer_end (&writer));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json-writer/members", test_members);
  g_test_add_func ("/json-writer/bytes", test_bytes);
  g_test_add_func ("/json-writer/round-trip", test_round_trip);
  g_test_add_func ("/json-writer/malformed", test_malformed);
  return g_test_run ();
}

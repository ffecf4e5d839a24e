/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz-memory-file.h"
#include "fuzz.h"

#include "daemon/store/tl-admission-line.c"
#include "daemon/store/tl-admission-log.c"

#define GATEWAY "01ARZ3NDEKTSV4RRFFQ69G5FAV"

static TlSecret *
fuzz_key (void)
{
  static const guint8 bytes[32] = { 9 };

  return tl_secret_new_copy (bytes, sizeof bytes);
}

/* Nothing that was not written with the key is a log, unless the MACs are put right. */
static void
look_at_bytes (const guint8 *data, gsize size)
{
  g_autoptr (TlSecret) key = fuzz_key ();
  g_autoptr (GError) error = NULL;
  g_autoptr (TlAdmissionLog) log = NULL;

  fuzz_file_set (data, size);
  log = tl_admission_log_open ("/nowhere", GATEWAY, key, &error);
  fuzz_assert_answer (log, error);
  g_assert_null (log);
}

/* The input's lines as the bodies of lines that verify: what the parsers behind the MAC make of them. */
static void
look_at_bodies (const guint8 *data, gsize size)
{
  g_autoptr (TlSecret) key = fuzz_key ();
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlAdmissionLog) log = NULL;
  guint8 mac[TL_SHA256_LENGTH] = { 0 };
  const char *line = (const char *)data, *end = line + size;

  while (line < end)
    {
      const char *feed = memchr (line, '\n', (gsize)(end - line));
      gsize length = (gsize)((feed != NULL ? feed : end) - line);
      g_autofree char *hex = NULL;

      compute_mac (line, length, key, mac);
      hex = tl_hex_encode (mac, sizeof mac);
      g_string_append_len (text, line, (gssize)length);
      g_string_append_printf (text, MAC_MEMBER "%s\"}\n", hex);
      line += length + 1;
    }
  fuzz_file_set (text->str, text->len);
  log = tl_admission_log_open ("/nowhere", GATEWAY, key, &error);
  fuzz_assert_answer (log, error);
  if (log == NULL)
    return;
  /* Written anew it says the same. */
  {
    guint64 counter = tl_admission_log_counter (log);
    guint n = tl_admission_log_entries (log)->len;
    g_autoptr (TlAdmissionLog) again = NULL;

    g_assert_true (rewrite (log, &error));
    again = tl_admission_log_open ("/nowhere", GATEWAY, key, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (tl_admission_log_counter (again), ==, counter);
    g_assert_cmpuint (tl_admission_log_entries (again)->len, ==, n);
  }
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  look_at_bytes (data, size);
  look_at_bodies (data, size);
  g_clear_pointer (&fuzz_file, g_bytes_unref);
  return 0;
}

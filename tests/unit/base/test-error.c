/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"

#include <gio/gio.h>
#include <string.h>

static void
test_table (void)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (int i = 0; i < TL_N_ERRORS; i++)
    {
      const char *reason = tl_error_code_to_reason ((TlErrorCode)i);
      g_autoptr (GError) error = g_error_new (TL_ERROR, i, "x");
      TlErrorCode back = TL_N_ERRORS;

      g_assert_nonnull (reason);
      for (const char *p = reason; *p != '\0'; p++)
        g_assert_true (g_ascii_islower (*p) || *p == '_');
      g_assert_true (g_hash_table_add (seen, (gpointer)reason));
      g_assert_true (tl_error_code_from_reason (reason, &back));
      g_assert_cmpint (back, ==, i);
      g_assert_cmpint (tl_error_to_grpc_status (error), >=, 1);
      g_assert_cmpint (tl_error_to_grpc_status (error), <=, 16);
      g_assert_cmpint (tl_error_to_exit_code (error), >=, TL_EXIT_FAILURE);
      g_assert_cmpint (tl_error_to_exit_code (error), <=, TL_EXIT_NOT_PAIRED);
      g_assert_cmpstr (tl_error_to_reason (error), ==, reason);
    }
}

/* The names and numbers other programs rely on. */
static void
test_stable (void)
{
  static const struct
  {
    TlErrorCode code;
    const char *reason;
    int status;
    int exit_code;
  } rows[] = {
    { TL_ERROR_CODE_INVALID, "code_invalid", 5, 6 },
    { TL_ERROR_WRONG_CODE, "wrong_code", 7, 6 },
    { TL_ERROR_WRONG_CA, "wrong_ca", 9, 7 },
    { TL_ERROR_REVOKED, "revoked", 7, 5 },
    { TL_ERROR_NOT_OPERATOR, "not_operator", 7, 5 },
    { TL_ERROR_LOCAL_ONLY, "local_only", 7, 5 },
    { TL_ERROR_UNAVAILABLE, "unavailable", 14, 3 },
    { TL_ERROR_TIMED_OUT, "timed_out", 4, 3 },
    { TL_ERROR_NOT_FOUND, "not_found", 5, 4 },
    { TL_ERROR_NOT_PAIRED, "not_paired", 9, 11 },
    { TL_ERROR_CAPABILITY_UNKNOWN, "capability_unknown", 9, 4 },
    { TL_ERROR_CORRUPT, "corrupt", 15, 9 },
    { TL_ERROR_UNAUTHENTICATED, "unauthenticated", 16, 5 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (GError) error = g_error_new (TL_ERROR, (int)rows[i].code, "x");

      g_assert_cmpstr (tl_error_code_to_reason (rows[i].code), ==, rows[i].reason);
      g_assert_cmpint (tl_error_to_grpc_status (error), ==, rows[i].status);
      g_assert_cmpint (tl_error_to_exit_code (error), ==, rows[i].exit_code);
    }
}

static void
test_foreign (void)
{
  g_autoptr (GError) io = g_error_new (G_IO_ERROR, G_IO_ERROR_BUSY, "x");
  g_autoptr (GError) cancelled = g_error_new (G_IO_ERROR, G_IO_ERROR_CANCELLED, "x");
  TlErrorCode code = TL_ERROR_IO;

  g_assert_cmpint (tl_error_to_grpc_status (io), ==, 13);
  g_assert_cmpstr (tl_error_to_reason (io), ==, "internal");
  g_assert_cmpint (tl_error_to_exit_code (io), ==, TL_EXIT_FAILURE);
  g_assert_cmpint (tl_error_to_grpc_status (cancelled), ==, 1);
  g_assert_cmpint (tl_error_to_exit_code (NULL), ==, TL_EXIT_OK);
  g_assert_false (tl_error_code_from_reason ("from_the_future", &code));
  g_assert_false (tl_error_code_from_reason (NULL, &code));
  g_assert_cmpint (code, ==, TL_ERROR_IO);
}

static void
assert_from_grpc (int status, const char *reason, const char *message, TlErrorCode code, const char *text)
{
  g_autoptr (GError) error = NULL;

  tl_error_set_from_grpc (&error, status, reason, message);
  g_assert_error (error, TL_ERROR, (int)code);
  if (text != NULL)
    g_assert_cmpstr (error->message, ==, text);
  else
    g_assert_cmpuint (strlen (error->message), >, 10);
}

static void
test_from_grpc (void)
{
  g_autofree char *long_text = g_strnfill (100000, 'a');
  g_autoptr (GError) error = NULL;

  assert_from_grpc (7, "revoked", "no", TL_ERROR_REVOKED, "no");
  assert_from_grpc (7, NULL, "no", TL_ERROR_PERMISSION_DENIED, "no");
  assert_from_grpc (14, "from_the_future", "down", TL_ERROR_UNAVAILABLE, "down");
  assert_from_grpc (0, NULL, "odd", TL_ERROR_PROTOCOL, "odd");
  assert_from_grpc (2, NULL, "x", TL_ERROR_INTERNAL, "x");
  assert_from_grpc (99, NULL, "x", TL_ERROR_INTERNAL, "x");
  assert_from_grpc (5, NULL, NULL, TL_ERROR_NOT_FOUND, NULL);
  assert_from_grpc (5, NULL, " \n", TL_ERROR_NOT_FOUND, NULL);
  assert_from_grpc (5, NULL,
                    "a\nb\x1b[31mc\xe2\x80\xae"
                    "d",
                    TL_ERROR_NOT_FOUND, "a b [31mc d");
  assert_from_grpc (5, NULL, "bad \xff byte", TL_ERROR_NOT_FOUND, "bad \xef\xbf\xbd byte");

  tl_error_set_from_grpc (&error, 5, NULL, long_text);
  g_assert_cmpuint (strlen (error->message), <=, 1024);

  /* Every status a server of ours sends without its reason gives a sensible code again. */
  for (int status = 1; status <= 16; status++)
    {
      g_autoptr (GError) from = NULL;

      tl_error_set_from_grpc (&from, status, NULL, "x");
      if (status != 2 && status != 10)
        g_assert_cmpint (tl_error_to_grpc_status (from), ==, status);
    }
}

static void
test_predicates (void)
{
  g_autoptr (GError) locked = g_error_new (TL_ERROR, TL_ERROR_LOCKED, "x");
  g_autoptr (GError) revoked = g_error_new (TL_ERROR, TL_ERROR_REVOKED, "x");
  g_autoptr (GError) late = g_error_new (TL_ERROR, TL_ERROR_TIMED_OUT, "x");

  g_assert_true (tl_error_is_locked (locked));
  g_assert_false (tl_error_is_locked (revoked));
  g_assert_true (tl_error_is_final (revoked));
  g_assert_false (tl_error_is_final (late));
  g_assert_true (tl_error_is_unavailable (late));
  g_assert_false (tl_error_is_unavailable (locked));
  g_assert_false (tl_error_is_not_found (NULL));
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/error/table", test_table);
  g_test_add_func ("/base/error/stable", test_stable);
  g_test_add_func ("/base/error/foreign", test_foreign);
  g_test_add_func ("/base/error/from-grpc", test_from_grpc);
  g_test_add_func ("/base/error/predicates", test_predicates);
  return g_test_run ();
}

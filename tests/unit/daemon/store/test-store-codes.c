/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static TlErrorCode
take (Fixture *f, const char *code_id, gint64 now, TlCodeRecord **code)
{
  g_autofree char *attempt = fixture_id (f);
  Answer answer = ANSWER (tl_code_record_copy);
  TlErrorCode failure;

  tl_store_take_attempt (f->store, code_id, attempt, "source:192.0.2.1", now, answer_callback, &answer);
  tl_store_flush (f->store);
  g_assert_true (answer.called);
  if (answer.error == NULL)
    {
      if (code != NULL)
        *code = answer.result;
      else
        tl_code_record_free (answer.result);
      return REQUEST_OK;
    }
  g_assert_true (answer.error->domain == TL_ERROR);
  failure = (TlErrorCode)answer.error->code;
  /* Strangers see one answer: not even the words differ. */
  if (failure == TL_ERROR_CODE_INVALID)
    g_assert_cmpstr (answer.error->message, ==, "the pairing code is not valid; ask for a new one");
  g_clear_error (&answer.error);
  return failure;
}

static TlErrorCode
find (Fixture *f, guint slot, const char *code_id, gint64 now)
{
  Answer answer = ANSWER (tl_code_record_copy);
  g_autoptr (TlCodeRecord) code = NULL;
  g_autoptr (GError) error = NULL;

  tl_store_find_live_code (f->store, slot, code_id, now, answer_callback, &answer);
  tl_store_flush (f->store);
  code = answer.result;
  error = answer.error;
  if (error != NULL)
    g_assert_cmpstr (error->message, ==, "the pairing code is not valid; ask for a new one");
  else
    g_assert_nonnull (code->verifier);
  return error != NULL ? (TlErrorCode)error->code : REQUEST_OK;
}

static gpointer
copy_count (gconstpointer result)
{
  return g_memdup2 (result, sizeof (guint32));
}

static guint32
count_failures (Fixture *f, gint64 now)
{
  Answer answer = ANSWER (copy_count);
  g_autofree guint32 *count = NULL;

  tl_store_count_pin_failures (f->store, now, answer_callback, &answer);
  assert_ok (f, &answer);
  count = answer.result;
  return *count;
}

static TlCodeRecord *
mint_until (Fixture *f, TlPairingMethod method, guint attempts, gint64 now, gint64 expires_at)
{
  g_autoptr (TlCodeRecord) code = make_code (f, method, TL_ROLE_NODE);
  Answer answer = ANSWER (tl_code_record_copy);

  code->attempts = attempts;
  code->expires_at = expires_at;
  tl_store_add_code (f->store, code, now, answer_callback, &answer);
  assert_ok (f, &answer);
  return answer.result;
}

/* ---- minting and finding ---- */

static void
test_mint (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlCodeRecord) made = make_code (f, TL_PAIRING_PIN, TL_ROLE_NODE);
  g_autoptr (TlCodeRecord) stored = NULL;
  g_autoptr (TlCodeRecord) link = mint (f, TL_PAIRING_LINK, TL_ROLE_OPERATOR);
  Answer answer = ANSWER (tl_code_record_copy);

  made->label = g_strdup ("Küche");
  tl_store_add_code (f->store, made, STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);
  stored = answer.result;
  g_assert_cmpuint (stored->slot, >=, 1);
  g_assert_cmpuint (stored->slot, <=, 999);
  g_assert_cmpstr (stored->label, ==, "Küche");
  g_assert_cmpuint (stored->attempts_left, ==, 3);
  g_assert_cmpint (stored->state, ==, TL_CODE_LIVE);
  g_assert_cmpstr (stored->verifier->kdf.name, ==, "scrypt");
  g_assert_cmpuint (stored->verifier->kdf.n, ==, TL_PAIRING_SCRYPT_N);
  g_assert_true (tl_secret_equal (stored->verifier->w0, made->verifier->w0));
  g_assert_cmpmem (stored->verifier->point, 65, made->verifier->point, 65);
  g_assert_cmpmem (stored->verifier->salt, 16, made->verifier->salt, 16);
  g_assert_cmpuint (link->slot, ==, 0);
  g_assert_cmpint (link->role, ==, TL_ROLE_OPERATOR);

  /* A slot means PINs, an id means links: anything else is no code. */
  g_assert_cmpint (find (f, stored->slot, NULL, STORE_NOW), ==, REQUEST_OK);
  g_assert_cmpint (find (f, 0, link->code_id, STORE_NOW), ==, REQUEST_OK);
  g_assert_cmpint (find (f, 0, stored->code_id, STORE_NOW), ==, TL_ERROR_CODE_INVALID);
  g_assert_cmpint (find (f, 0, NULL, STORE_NOW), ==, TL_ERROR_CODE_INVALID);
  g_assert_cmpint (find (f, stored->slot % 999 + 1, NULL, STORE_NOW), ==, TL_ERROR_CODE_INVALID);
  g_assert_cmpint (find (f, stored->slot, NULL, stored->expires_at), ==, TL_ERROR_CODE_INVALID);
}

static void
test_automatic_is_for_node_links (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  const struct
  {
    TlPairingMethod method;
    TlRole role;
    gboolean ok;
  } rows[] = {
    { TL_PAIRING_PIN, TL_ROLE_NODE, FALSE },
    { TL_PAIRING_LINK, TL_ROLE_OPERATOR, FALSE },
    { TL_PAIRING_LINK, TL_ROLE_NODE, TRUE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autoptr (TlCodeRecord) code = make_code (f, rows[i].method, rows[i].role);
      Answer answer = ANSWER (NULL);

      code->auto_approve = TRUE;
      tl_store_add_code (f->store, code, STORE_NOW, answer_callback, &answer);
      if (rows[i].ok)
        assert_ok (f, &answer);
      else
        assert_failed (f, &answer, TL_ERROR_INVALID_ARGUMENT);
    }
}

static void
test_live_codes_limit (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlCodeRecord) first = mint (f, TL_PAIRING_PIN, TL_ROLE_NODE);
  g_autoptr (GHashTable) slots = g_hash_table_new (NULL, NULL);
  g_autoptr (TlCodeRecord) more = make_code (f, TL_PAIRING_PIN, TL_ROLE_NODE);
  Answer answer = ANSWER (NULL);

  g_hash_table_add (slots, GUINT_TO_POINTER (first->slot));
  for (guint i = 1; i < TL_STORE_MAX_LIVE_CODES; i++)
    {
      g_autoptr (TlCodeRecord) code = mint (f, TL_PAIRING_PIN, TL_ROLE_NODE);

      g_assert_true (g_hash_table_add (slots, GUINT_TO_POINTER (code->slot)));
    }
  tl_store_add_code (f->store, more, STORE_NOW, answer_callback, &answer);
  assert_failed (f, &answer, TL_ERROR_RESOURCE_EXHAUSTED);

  /* One that is not live any more makes room; so does time, without anybody calling expire. */
  tl_code_record_free (cancel_code (f, first->code_id, STORE_NOW));
  answer = ANSWER (NULL);
  tl_store_add_code (f->store, more, STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);
  g_autoptr (TlCodeRecord) later = make_code (f, TL_PAIRING_PIN, TL_ROLE_NODE);
  later->expires_at = STORE_NOW + HOUR_MS;
  answer = ANSWER (NULL);
  tl_store_add_code (f->store, later, STORE_NOW + 10 * MINUTE_MS, answer_callback, &answer);
  assert_ok (f, &answer);
}

/* ---- attempts (P) ---- */

static void
test_three_attempts (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  for (int method = TL_PAIRING_PIN; method <= TL_PAIRING_LINK; method++)
    {
      g_autoptr (TlCodeRecord) code = mint (f, (TlPairingMethod)method, TL_ROLE_NODE);

      for (guint left = 3; left-- > 0;)
        {
          g_autoptr (TlCodeRecord) taken = NULL;

          g_assert_cmpint (take (f, code->code_id, STORE_NOW, &taken), ==, REQUEST_OK);
          g_assert_cmpuint (taken->attempts_left, ==, left);
          g_assert_cmpint (taken->state, ==, left > 0 ? TL_CODE_LIVE : TL_CODE_EXHAUSTED);
          g_assert_true ((taken->verifier != NULL) == (left > 0));
        }
      g_assert_cmpint (take (f, code->code_id, STORE_NOW, NULL), ==, TL_ERROR_CODE_INVALID);
      g_assert_cmpint (find (f, code->slot, method == TL_PAIRING_LINK ? code->code_id : NULL, STORE_NOW), ==,
                       TL_ERROR_CODE_INVALID);
    }
}

static void
test_parallel_attempts (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlCodeRecord) code = mint (f, TL_PAIRING_PIN, TL_ROLE_NODE);
  Answer answers[50];
  guint taken = 0;

  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      g_autofree char *attempt = fixture_id (f);

      answers[i] = ANSWER (NULL);
      tl_store_take_attempt (f->store, code->code_id, attempt, "source:192.0.2.1", STORE_NOW, answer_callback,
                             &answers[i]);
    }
  tl_store_flush (f->store);
  for (guint i = 0; i < G_N_ELEMENTS (answers); i++)
    {
      taken += answers[i].error == NULL;
      g_assert_true (answers[i].error == NULL || tl_error_is (answers[i].error, TL_ERROR_CODE_INVALID));
      g_clear_error (&answers[i].error);
    }
  g_assert_cmpuint (taken, ==, 3);
  g_assert_cmpuint (count_failures (f, STORE_NOW), ==, 3);
}

static void
test_dead_codes_take_nothing (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlCodeRecord) expired = mint (f, TL_PAIRING_PIN, TL_ROLE_NODE);
  g_autoptr (TlCodeRecord) cancelled = mint (f, TL_PAIRING_PIN, TL_ROLE_NODE);
  g_autoptr (TlCodeRecord) used = mint (f, TL_PAIRING_PIN, TL_ROLE_NODE);
  g_autoptr (TlCodeRecord) after = NULL;
  g_autofree char *device_id = fixture_id (f);
  g_autofree char *attempt = fixture_id (f);
  g_autofree char *unknown = fixture_id (f);
  g_autoptr (TlPairingRecord) request = make_request (f, used, device_id, 1, "key");
  Answer answer = ANSWER (NULL);

  after = cancel_code (f, cancelled->code_id, STORE_NOW);
  g_assert_cmpint (after->state, ==, TL_CODE_CANCELLED);
  g_assert_null (after->verifier);
  tl_store_take_attempt (f->store, used->code_id, attempt, "source:192.0.2.1", STORE_NOW, NULL, NULL);
  tl_store_add_pairing (f->store, request, attempt, STORE_NOW, answer_callback, &answer);
  assert_ok (f, &answer);

  g_assert_cmpint (take (f, expired->code_id, expired->expires_at, NULL), ==, TL_ERROR_CODE_INVALID);
  g_assert_cmpint (take (f, cancelled->code_id, STORE_NOW, NULL), ==, TL_ERROR_CODE_INVALID);
  g_assert_cmpint (take (f, used->code_id, STORE_NOW, NULL), ==, TL_ERROR_CODE_INVALID);
  g_assert_cmpint (take (f, unknown, STORE_NOW, NULL), ==, TL_ERROR_CODE_INVALID);
  g_assert_cmpuint (count_failures (f, STORE_NOW), ==, 0);
  g_assert_cmpint (take (f, expired->code_id, expired->expires_at - 1, NULL), ==, REQUEST_OK);
}

static void
die_callback (const GError *error, gpointer result G_GNUC_UNUSED, gpointer user_data G_GNUC_UNUSED)
{
  if (error == NULL)
    kill (getpid (), SIGKILL);
  _exit (3);
}

/* Whoever saw the callback (and may have answered message 2) cannot be undone by a kill -9. */
static void
test_attempt_survives_kill (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlCodeRecord) code = mint (f, TL_PAIRING_PIN, TL_ROLE_NODE);

  for (guint left = 3; left-- > 1;)
    {
      g_autofree char *attempt = fixture_id (f);
      int status;
      pid_t child;

      g_clear_pointer (&f->store, tl_store_close);
      child = fork ();
      g_assert_cmpint (child, >=, 0);
      if (child == 0)
        {
          TlStore *store = tl_store_open (f->directory, NULL, NULL);

          if (store == NULL)
            _exit (2);
          tl_store_take_attempt (store, code->code_id, attempt, "source:192.0.2.1", STORE_NOW, die_callback, NULL);
          tl_store_flush (store);
          _exit (4);
        }
      g_assert_cmpint (waitpid (child, &status, 0), ==, child);
      g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
      f->store = tl_store_open (f->directory, NULL, NULL);
      g_assert_nonnull (f->store);
      g_assert_cmpuint (count_failures (f, STORE_NOW), ==, 3 - left);
    }
  g_assert_cmpint (take (f, code->code_id, STORE_NOW, NULL), ==, REQUEST_OK);
  g_assert_cmpint (take (f, code->code_id, STORE_NOW, NULL), ==, TL_ERROR_CODE_INVALID);
}

/* ---- slowing down (PROTOCOL 3.4) ---- */

static void
test_slow_down (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  gint64 now = STORE_NOW;
  g_autoptr (TlCodeRecord) pin = mint_until (f, TL_PAIRING_PIN, 50, now, now + DAY_MS);
  g_autoptr (TlCodeRecord) link = mint_until (f, TL_PAIRING_LINK, 50, now, now + DAY_MS);
  g_autoptr (TlCodeRecord) after = NULL;

  for (guint i = 0; i < TL_STORE_PIN_FAILURES_MAX; i++)
    {
      g_assert_cmpint (take (f, pin->code_id, now, NULL), ==, REQUEST_OK);
      g_assert_cmpint (take (f, link->code_id, now, NULL), ==, REQUEST_OK);
    }
  g_assert_cmpuint (count_failures (f, now), ==, TL_STORE_PIN_FAILURES_MAX);

  g_assert_cmpint (take (f, pin->code_id, now, NULL), ==, TL_ERROR_RESOURCE_EXHAUSTED);
  g_assert_cmpint (take (f, pin->code_id, now + MINUTE_MS - 1, NULL), ==, TL_ERROR_RESOURCE_EXHAUSTED);
  g_assert_cmpuint (count_failures (f, now), ==, TL_STORE_PIN_FAILURES_MAX);
  /* Links are neither counted nor slowed. */
  g_assert_cmpint (take (f, link->code_id, now, NULL), ==, REQUEST_OK);

  g_assert_cmpint (take (f, pin->code_id, now + MINUTE_MS, &after), ==, REQUEST_OK);
  g_assert_cmpuint (after->attempts_left, ==, 50 - TL_STORE_PIN_FAILURES_MAX - 1);
  g_assert_cmpint (take (f, pin->code_id, now + MINUTE_MS + 1, NULL), ==, TL_ERROR_RESOURCE_EXHAUSTED);
  /* It is about all PINs together, and survives a restart. */
  fixture_reopen (f);
  g_autoptr (TlCodeRecord) other = mint_until (f, TL_PAIRING_PIN, 3, now, now + DAY_MS);
  g_assert_cmpint (take (f, other->code_id, now + MINUTE_MS + 1, NULL), ==, TL_ERROR_RESOURCE_EXHAUSTED);
  /* An hour later the ten are forgotten: no waiting between exchanges. */
  g_assert_cmpint (take (f, pin->code_id, now + HOUR_MS + 2 * MINUTE_MS, NULL), ==, REQUEST_OK);
  g_assert_cmpint (take (f, pin->code_id, now + HOUR_MS + 2 * MINUTE_MS, NULL), ==, REQUEST_OK);
}

static void
test_clock_set_back (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  gint64 future = STORE_NOW + 365 * DAY_MS;
  g_autoptr (TlCodeRecord) pin = mint_until (f, TL_PAIRING_PIN, 50, STORE_NOW, future + DAY_MS);

  for (guint i = 0; i < TL_STORE_PIN_FAILURES_MAX; i++)
    g_assert_cmpint (take (f, pin->code_id, future, NULL), ==, REQUEST_OK);
  g_assert_cmpint (take (f, pin->code_id, future - 10, NULL), ==, TL_ERROR_RESOURCE_EXHAUSTED);
  g_assert_cmpint (take (f, pin->code_id, future - 30 * MINUTE_MS, NULL), ==, REQUEST_OK);
  g_assert_cmpint (take (f, pin->code_id, STORE_NOW, NULL), ==, REQUEST_OK);
  g_assert_cmpint (take (f, pin->code_id, STORE_NOW, NULL), ==, REQUEST_OK);
}

static void
test_give_back (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlCodeRecord) pin = mint_until (f, TL_PAIRING_PIN, 50, STORE_NOW, STORE_NOW + DAY_MS);
  g_autofree char *attempt = fixture_id (f);
  g_autoptr (TlCodeRecord) after = NULL;
  Answer answer = ANSWER (NULL);

  for (guint i = 1; i < TL_STORE_PIN_FAILURES_MAX; i++)
    g_assert_cmpint (take (f, pin->code_id, STORE_NOW, NULL), ==, REQUEST_OK);
  tl_store_take_attempt (f->store, pin->code_id, attempt, "source:192.0.2.1", STORE_NOW, NULL, NULL);
  g_assert_cmpint (take (f, pin->code_id, STORE_NOW, NULL), ==, TL_ERROR_RESOURCE_EXHAUSTED);
  tl_store_give_back_failure (f->store, attempt, pin->code_id, NULL, "source:192.0.2.1", "protocol", STORE_NOW,
                              answer_callback, &answer);
  assert_ok (f, &answer);
  g_assert_cmpuint (count_failures (f, STORE_NOW), ==, TL_STORE_PIN_FAILURES_MAX - 1);
  /* The failure comes back, the attempt does not. */
  g_assert_cmpint (take (f, pin->code_id, STORE_NOW, &after), ==, REQUEST_OK);
  g_assert_cmpuint (after->attempts_left, ==, 50 - TL_STORE_PIN_FAILURES_MAX - 1);
}

/* ---- operators ---- */

static void
assert_cancel_fails (Fixture *f, const char *text, TlErrorCode code)
{
  Answer answer = ANSWER (NULL);

  tl_store_cancel_code (f->store, text, "uid:0", STORE_NOW, answer_callback, &answer);
  assert_failed (f, &answer, code);
}

static void
test_cancel (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlCodeRecord) pin = mint (f, TL_PAIRING_PIN, TL_ROLE_NODE);
  g_autoptr (TlCodeRecord) link = mint (f, TL_PAIRING_LINK, TL_ROLE_NODE);
  g_autofree char *slot = g_strdup_printf ("%u", pin->slot);
  g_autofree char *common = g_strndup (pin->code_id, 6);
  g_autofree char *lower = g_ascii_strdown (link->code_id, -1);
  g_autoptr (TlCodeRecord) by_slot = NULL;
  g_autoptr (TlCodeRecord) by_id = NULL;
  g_autoptr (TlCodeRecord) again = NULL;

  assert_cancel_fails (f, common, TL_ERROR_AMBIGUOUS);
  assert_cancel_fails (f, "7ZZZZ", TL_ERROR_NOT_FOUND);
  assert_cancel_fails (f, "%", TL_ERROR_NOT_FOUND);
  assert_cancel_fails (f, "", TL_ERROR_NOT_FOUND);

  by_slot = cancel_code (f, slot, STORE_NOW);
  g_assert_cmpstr (by_slot->code_id, ==, pin->code_id);
  g_assert_cmpint (by_slot->state, ==, TL_CODE_CANCELLED);
  assert_cancel_fails (f, slot, TL_ERROR_NOT_FOUND);
  by_id = cancel_code (f, lower, STORE_NOW);
  g_assert_cmpint (by_id->state, ==, TL_CODE_CANCELLED);
  again = cancel_code (f, link->code_id, STORE_NOW + 1);
  g_assert_cmpint (again->state, ==, TL_CODE_CANCELLED);
}

static void
test_list (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *token = g_strdup ("");
  g_autofree char *last = g_strdup ("~");
  guint rows = 0;
  guint pages = 0;
  gboolean more = TRUE;

  for (guint i = 0; i < 250; i++)
    {
      g_autoptr (TlCodeRecord) code = mint (f, TL_PAIRING_LINK, TL_ROLE_NODE);

      if (i % 5 != 0)
        tl_code_record_free (cancel_code (f, code->code_id, STORE_NOW));
    }
  while (more)
    {
      Answer answer = ANSWER (g_ptr_array_ref);
      g_autoptr (GPtrArray) codes = NULL;

      tl_store_list_codes (f->store, TRUE, token, 100, STORE_NOW, answer_callback, &answer);
      assert_ok (f, &answer);
      codes = answer.result;
      more = codes->len == 101;
      for (guint i = 0; i < MIN (codes->len, 100); i++)
        {
          TlCodeRecord *code = codes->pdata[i];

          g_assert_cmpstr (code->code_id, <, last);
          g_assert_null (code->verifier);
          g_free (last);
          last = g_strdup (code->code_id);
          rows++;
        }
      g_free (token);
      token = g_strdup (last);
      pages++;
    }
  g_assert_cmpuint (rows, ==, 250);
  g_assert_cmpuint (pages, ==, 3);

  for (int expired = 0; expired <= 1; expired++)
    {
      Answer answer = ANSWER (g_ptr_array_ref);

      tl_store_list_codes (f->store, FALSE, "", 100, STORE_NOW + expired * 10 * MINUTE_MS, answer_callback, &answer);
      assert_ok (f, &answer);
      g_assert_cmpuint (((GPtrArray *)answer.result)->len, ==, expired ? 0 : 50);
      g_ptr_array_unref (answer.result);
    }
}

/* ---- erasing w0 ---- */

static gboolean
files_contain (Fixture *f, const TlSecret *secret)
{
  static const char *const names[] = { TL_STORE_FILE, TL_STORE_FILE "-wal" };
  gboolean found = FALSE;

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_build_filename (f->directory, names[i], NULL);
      g_autofree char *contents = NULL;
      gsize length;

      if (g_file_get_contents (path, &contents, &length, NULL))
        found = found || memmem (contents, length, tl_secret_data (secret), tl_secret_length (secret)) != NULL;
    }
  return found;
}

/* However a code ends, its w0 is nowhere in the files soon after; those of live codes stay (or the search finds nothing
 * at all). */
static void
test_secrets_are_erased (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  enum
  {
    N = TL_STORE_MAX_LIVE_CODES
  };
  TlCodeRecord *codes[N];
  Answer expired = ANSWER (NULL);

  for (guint i = 0; i < N; i++)
    codes[i] = mint_until (f, TL_PAIRING_LINK, 1, STORE_NOW, STORE_NOW + (i % 4 == 0 ? MINUTE_MS : HOUR_MS));
  for (guint i = 0; i < N; i++)
    {
      g_assert_true (files_contain (f, codes[i]->verifier->w0));
      if (i % 4 == 1)
        tl_code_record_free (cancel_code (f, codes[i]->code_id, STORE_NOW));
      else if (i % 4 == 2)
        g_assert_cmpint (take (f, codes[i]->code_id, STORE_NOW, NULL), ==, REQUEST_OK);
    }
  tl_store_expire (f->store, STORE_NOW + MINUTE_MS, answer_callback, &expired);
  assert_ok (f, &expired);
  fixture_reopen (f);
  for (guint i = 0; i < N; i++)
    {
      g_assert_cmpint (files_contain (f, codes[i]->verifier->w0), ==, i % 4 == 3);
      tl_code_record_free (codes[i]);
    }
}

/* The same without a restart: within seconds (the store's own housekeeping). */
static void
test_secrets_are_erased_live (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlCodeRecord) code = mint (f, TL_PAIRING_PIN, TL_ROLE_NODE);
  gint64 give_up = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;

  tl_code_record_free (cancel_code (f, code->code_id, STORE_NOW));
  while (files_contain (f, code->verifier->w0) && g_get_monotonic_time () < give_up)
    g_usleep (20 * 1000);
  g_assert_false (files_contain (f, code->verifier->w0));
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  store_test ("/store/codes/mint", test_mint);
  store_test ("/store/codes/automatic-is-for-node-links", test_automatic_is_for_node_links);
  store_test ("/store/codes/live-codes-limit", test_live_codes_limit);
  store_test ("/store/codes/three-attempts", test_three_attempts);
  store_test ("/store/codes/parallel-attempts", test_parallel_attempts);
  store_test ("/store/codes/dead-codes-take-nothing", test_dead_codes_take_nothing);
  store_test ("/store/codes/attempt-survives-kill", test_attempt_survives_kill);
  store_test ("/store/codes/slow-down", test_slow_down);
  store_test ("/store/codes/clock-set-back", test_clock_set_back);
  store_test ("/store/codes/give-back", test_give_back);
  store_test ("/store/codes/cancel", test_cancel);
  store_test ("/store/codes/list", test_list);
  store_test ("/store/codes/secrets-are-erased", test_secrets_are_erased);
  store_test ("/store/codes/secrets-are-erased-live", test_secrets_are_erased_live);
  return g_test_run ();
}

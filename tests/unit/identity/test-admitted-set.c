/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-secret.h"
#include "identity/tl-admitted-set.h"

#define END      G_GINT64_CONSTANT (1000000)
#define DEVICE_A "01JD800000000000000000000A"
#define DEVICE_B "01JD800000000000000000000B"

static char *
fingerprint (guint number)
{
  return g_strdup_printf ("%064x", number);
}

static void
add (TlAdmittedSet *set, guint number, const char *device_id, TlRole role)
{
  g_autofree char *text = fingerprint (number);
  TlAdmission admission = { .role = role, .not_after_ms = END, .ca_generation = number };

  g_strlcpy (admission.device_id, device_id, sizeof admission.device_id);
  tl_admitted_set_add (set, text, &admission);
}

static gboolean
is_admitted (TlAdmittedSet *set, guint number, gint64 now_ms)
{
  g_autofree char *text = fingerprint (number);

  return tl_admitted_set_lookup (set, text, now_ms, NULL);
}

static void
test_lookup (void)
{
  g_autoptr (TlAdmittedSet) set = tl_admitted_set_new ();
  g_autofree char *first = fingerprint (1);
  g_autofree char *upper = g_strdup (first);
  TlAdmission admission = { .device_id = "untouched" };

  g_assert_false (tl_admitted_set_lookup (set, first, 0, &admission));
  add (set, 1, DEVICE_A, TL_ROLE_OPERATOR);
  g_assert_false (is_admitted (set, 2, 0));
  g_assert_false (tl_admitted_set_lookup (set, NULL, 0, &admission));
  upper[0] = 'A';
  g_assert_false (tl_admitted_set_lookup (set, upper, 0, &admission));
  g_assert_false (tl_admitted_set_lookup (set, first, END, &admission));
  g_assert_cmpstr (admission.device_id, ==, "untouched");

  g_assert_true (tl_admitted_set_lookup (set, first, END - 1, &admission));
  g_assert_cmpstr (admission.device_id, ==, DEVICE_A);
  g_assert_cmpint (admission.role, ==, TL_ROLE_OPERATOR);
  g_assert_cmpint (admission.not_after_ms, ==, END);
  g_assert_cmpuint (admission.ca_generation, ==, 1);
}

static void
test_replace_and_remove (void)
{
  g_autoptr (TlAdmittedSet) set = tl_admitted_set_new ();
  g_autofree char *first = fingerprint (1);
  TlAdmission admission;

  add (set, 1, DEVICE_A, TL_ROLE_OPERATOR);
  add (set, 1, DEVICE_A, TL_ROLE_NODE);
  g_assert_cmpuint (tl_admitted_set_size (set), ==, 1);
  g_assert_true (tl_admitted_set_lookup (set, first, 0, &admission));
  g_assert_cmpint (admission.role, ==, TL_ROLE_NODE);
  g_assert_true (tl_admitted_set_remove (set, first));
  g_assert_false (tl_admitted_set_remove (set, first));
  g_assert_false (is_admitted (set, 1, 0));
  g_assert_cmpuint (tl_admitted_set_size (set), ==, 0);
}

static void
test_remove_device (void)
{
  g_autoptr (TlAdmittedSet) set = tl_admitted_set_new ();

  add (set, 1, DEVICE_A, TL_ROLE_NODE);
  add (set, 2, DEVICE_B, TL_ROLE_NODE);
  add (set, 3, DEVICE_A, TL_ROLE_NODE);
  g_assert_cmpuint (tl_admitted_set_remove_device (set, DEVICE_A), ==, 2);
  g_assert_cmpuint (tl_admitted_set_remove_device (set, DEVICE_A), ==, 0);
  g_assert_false (is_admitted (set, 1, 0));
  g_assert_true (is_admitted (set, 2, 0));
  g_assert_false (is_admitted (set, 3, 0));
}

/* Renewed (PROTOCOL 4.3): still found, so that its connections go on, until its minute is over. */
static void
test_supersede (void)
{
  g_autoptr (TlAdmittedSet) set = tl_admitted_set_new ();
  g_autofree char *first = fingerprint (1);
  g_autofree char *unknown = fingerprint (2);
  TlAdmission admission;

  add (set, 1, DEVICE_A, TL_ROLE_NODE);
  g_assert_true (tl_admitted_set_lookup (set, first, 0, &admission));
  g_assert_false (admission.superseded);
  tl_admitted_set_supersede (set, unknown, 100);
  tl_admitted_set_supersede (set, first, END + 100); /* never longer than it is valid */
  g_assert_true (tl_admitted_set_lookup (set, first, END - 1, &admission));
  g_assert_true (admission.superseded);
  g_assert_false (is_admitted (set, 1, END));
  tl_admitted_set_supersede (set, first, 100);
  g_assert_true (is_admitted (set, 1, 99));
  g_assert_false (is_admitted (set, 1, 100));
}

static void
test_set_role (void)
{
  g_autoptr (TlAdmittedSet) set = tl_admitted_set_new ();
  g_autofree char *first = fingerprint (1);
  g_autofree char *second = fingerprint (2);
  TlAdmission admission;

  add (set, 1, DEVICE_A, TL_ROLE_NODE);
  add (set, 2, DEVICE_B, TL_ROLE_NODE);
  add (set, 3, DEVICE_A, TL_ROLE_NODE);
  g_assert_cmpuint (tl_admitted_set_count_device (set, DEVICE_A), ==, 2);
  g_assert_cmpuint (tl_admitted_set_set_role (set, DEVICE_A, TL_ROLE_OPERATOR), ==, 2);
  g_assert_true (tl_admitted_set_lookup (set, first, 0, &admission));
  g_assert_cmpint (admission.role, ==, TL_ROLE_OPERATOR);
  g_assert_true (tl_admitted_set_lookup (set, second, 0, &admission));
  g_assert_cmpint (admission.role, ==, TL_ROLE_NODE);
  g_assert_cmpuint (tl_admitted_set_set_role (set, "01JD800000000000000000000C", TL_ROLE_OPERATOR), ==, 0);
}

/* A restored gateway: what changes meanwhile is there when it opens. */
static void
test_closed (void)
{
  g_autoptr (TlAdmittedSet) set = tl_admitted_set_new ();

  add (set, 1, DEVICE_A, TL_ROLE_NODE);
  add (set, 2, DEVICE_B, TL_ROLE_NODE);
  tl_admitted_set_set_closed (set, TRUE);
  g_assert_false (is_admitted (set, 1, 0));
  add (set, 3, DEVICE_B, TL_ROLE_NODE);
  g_assert_false (is_admitted (set, 3, 0));
  g_assert_cmpuint (tl_admitted_set_remove_device (set, DEVICE_A), ==, 1);
  tl_admitted_set_set_closed (set, FALSE);
  g_assert_false (is_admitted (set, 1, 0));
  g_assert_true (is_admitted (set, 2, 0));
  g_assert_true (is_admitted (set, 3, 0));
}

static void
test_bad_fingerprint (void)
{
  if (g_test_subprocess ())
    {
      g_autoptr (TlAdmittedSet) set = tl_admitted_set_new ();
      TlAdmission admission = { .device_id = DEVICE_A };
      tl_admitted_set_add (set, "ABC", &admission);
      return;
    }
  /* A defect of the caller; it must not become an entry. G_DEBUG makes it fatal here. */
  g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr ("*is_fingerprint*");
}

static void
test_roles (void)
{
  TlRole role = TL_ROLE_NODE;

  g_assert_true (tl_role_from_string ("operator", &role));
  g_assert_cmpint (role, ==, TL_ROLE_OPERATOR);
  g_assert_false (tl_role_from_string ("Operator", &role));
  g_assert_false (tl_role_from_string ("", &role));
  g_assert_false (tl_role_from_string (NULL, &role));
  g_assert_cmpint (role, ==, TL_ROLE_OPERATOR);
  g_assert_true (tl_role_from_string ("node", &role));
  g_assert_cmpint (role, ==, TL_ROLE_NODE);
  g_assert_cmpstr (tl_role_to_string (TL_ROLE_NODE), ==, "node");
  g_assert_cmpstr (tl_role_to_string (TL_ROLE_OPERATOR), ==, "operator");
}

#define ROUNDS 3000

/* Every admission seen must be whole: one that was added, never a mixture. */
static gpointer
read_often (gpointer data)
{
  g_autofree char *text = fingerprint (1);
  TlAdmission admission;

  for (guint i = 0; i < ROUNDS; i++)
    if (tl_admitted_set_lookup (data, text, 0, &admission))
      {
        gboolean first = strcmp (admission.device_id, DEVICE_A) == 0 && admission.role == TL_ROLE_NODE;
        gboolean second = strcmp (admission.device_id, DEVICE_B) == 0 && admission.role == TL_ROLE_OPERATOR;
        if (!first && !second)
          return NULL;
      }
  return data;
}

static gpointer
write_often (gpointer data)
{
  g_autofree char *text = fingerprint (1);

  for (guint i = 0; i < ROUNDS; i++)
    {
      add (data, 1, DEVICE_A, TL_ROLE_NODE);
      add (data, 1, DEVICE_B, TL_ROLE_OPERATOR);
      tl_admitted_set_remove (data, text);
      add (data, 2 + i % 50, DEVICE_A, TL_ROLE_NODE);
    }
  return data;
}

static void
test_threads (void)
{
  TlAdmittedSet *set = tl_admitted_set_new ();
  GThread *threads[6];

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("set", i % 2 == 0 ? read_often : write_often, set);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_assert_true (g_thread_join (threads[i]) == set);
  g_assert_cmpuint (tl_admitted_set_size (set), ==, 50);
  TlAdmittedSet *second = tl_admitted_set_ref (set);
  tl_admitted_set_unref (set);
  g_assert_cmpuint (tl_admitted_set_size (second), ==, 50);
  tl_admitted_set_unref (second);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/admitted-set/lookup", test_lookup);
  g_test_add_func ("/admitted-set/replace-and-remove", test_replace_and_remove);
  g_test_add_func ("/admitted-set/remove-device", test_remove_device);
  g_test_add_func ("/admitted-set/supersede", test_supersede);
  g_test_add_func ("/admitted-set/set-role", test_set_role);
  g_test_add_func ("/admitted-set/closed", test_closed);
  g_test_add_func ("/admitted-set/bad-fingerprint", test_bad_fingerprint);
  g_test_add_func ("/admitted-set/roles", test_roles);
  g_test_add_func ("/admitted-set/threads", test_threads);
  return g_test_run ();
}

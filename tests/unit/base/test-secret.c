/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-secret.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void
test_contents (void)
{
  g_autoptr (TlSecret) zero = tl_secret_new (5000);
  g_autoptr (TlSecret) copy = tl_secret_new_copy ("hello", 5);
  g_autoptr (TlSecret) empty = tl_secret_new (0);
  g_autoptr (TlSecret) slice = tl_secret_slice (copy, 1, 3);
  g_autoptr (TlSecret) nothing = tl_secret_slice (copy, 5, 0);

  for (gsize i = 0; i <= 5000; i++)
    g_assert_cmpuint (tl_secret_data (zero)[i], ==, 0);
  g_assert_cmpuint (tl_secret_length (copy), ==, 5);
  g_assert_cmpstr ((const char *)tl_secret_data (copy), ==, "hello"); /* with its NUL */
  g_assert_cmpstr ((const char *)tl_secret_data (slice), ==, "ell");
  g_assert_cmpuint (tl_secret_length (empty), ==, 0);
  g_assert_true (tl_secret_equal (empty, nothing));
  tl_secret_data_mut (copy)[0] = 'j';
  g_assert_cmpstr ((const char *)tl_secret_data (copy), ==, "jello");
}

/* 4096 bytes fill a page: the NUL needs another one. */
static void
test_page_edge (void)
{
  gsize page = (gsize)sysconf (_SC_PAGESIZE);
  g_autoptr (TlSecret) secret = tl_secret_new (page);

  memset (tl_secret_data_mut (secret), 0xff, page);
  g_assert_cmpuint (tl_secret_data (secret)[page], ==, 0);
}

static void
test_equal (void)
{
  g_autoptr (TlSecret) a = tl_secret_new_copy ("abc", 3);
  g_autoptr (TlSecret) same = tl_secret_new_copy ("abc", 3);
  g_autoptr (TlSecret) other = tl_secret_new_copy ("abd", 3);
  g_autoptr (TlSecret) longer = tl_secret_new_copy ("abcd", 4);

  g_assert_true (tl_secret_equal (a, same));
  g_assert_false (tl_secret_equal (a, other));
  g_assert_false (tl_secret_equal (a, longer));
  g_assert_true (tl_memory_equal (NULL, NULL, 0));
}

static void
test_references (void)
{
  TlSecret *secret = tl_secret_new_copy ("x", 1);
  TlSecret *again = tl_secret_ref (secret);

  g_assert_true (secret == again);
  tl_secret_unref (secret);
  g_assert_cmpuint (tl_secret_data (again)[0], ==, 'x');
  tl_secret_unref (again);
  tl_secret_unref (NULL);
}

static int
in_child (int (*func) (TlSecret *secret), TlSecret *secret)
{
  pid_t pid = fork ();
  int status = -1;

  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    _exit (func (secret));
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFEXITED (status));
  return WEXITSTATUS (status);
}

static int
child_sees_zero (TlSecret *secret)
{
  return tl_secret_data (secret)[0] == 0 && tl_secret_data (secret)[4] == 0 ? 0 : 1;
}

static void
test_wiped_in_child (void)
{
  g_autoptr (TlSecret) secret = tl_secret_new_copy ("hello", 5);

  g_assert_cmpint (in_child (child_sees_zero, secret), ==, 0);
  g_assert_cmpstr ((const char *)tl_secret_data (secret), ==, "hello");
}

/* "dd" and "wf" in VmFlags of the mapping (proc(5)). */
static void
test_flags (void)
{
  g_autoptr (TlSecret) secret = tl_secret_new_copy ("hello", 5);
  g_autofree char *start = g_strdup_printf ("%lx-", (gulong)tl_secret_data (secret));
  g_autofree char *maps = NULL;
  const char *mapping;
  const char *flags;
  g_autofree char *line = NULL;

  if (!g_file_get_contents ("/proc/self/smaps", &maps, NULL, NULL))
    {
      g_test_skip ("no /proc/self/smaps");
      return;
    }
  mapping = strstr (maps, start);
  flags = mapping != NULL ? strstr (mapping, "VmFlags:") : NULL;
  if (flags == NULL)
    {
      g_test_skip ("neighbouring secrets share the mapping, or no VmFlags");
      return;
    }
  line = g_strndup (flags, strcspn (flags, "\n"));
  g_assert_nonnull (strstr (line, " dd"));
  g_assert_nonnull (strstr (line, " wf"));
}

static int
harden_and_look (TlSecret *secret G_GNUC_UNUSED)
{
  struct rlimit limit;

  tl_secret_harden_process ();
  if (prctl (PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
    return 1;
  return getrlimit (RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0 ? 0 : 2;
}

static void
test_harden (void)
{
  g_assert_cmpint (in_child (harden_and_look, NULL), ==, 0);
}

static void
test_wipe (void)
{
  guint8 buffer[4] = { 1, 2, 3, 4 };
  static const guint8 zero[4];

  tl_wipe (buffer, sizeof buffer);
  g_assert_cmpmem (buffer, sizeof buffer, zero, sizeof zero);
  tl_wipe (NULL, 0);
  tl_wipe_string (NULL);
  tl_wipe_string (g_strdup ("secret"));
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/secret/contents", test_contents);
  g_test_add_func ("/base/secret/page-edge", test_page_edge);
  g_test_add_func ("/base/secret/equal", test_equal);
  g_test_add_func ("/base/secret/references", test_references);
  g_test_add_func ("/base/secret/wiped-in-child", test_wiped_in_child);
  g_test_add_func ("/base/secret/flags", test_flags);
  g_test_add_func ("/base/secret/harden", test_harden);
  g_test_add_func ("/base/secret/wipe", test_wipe);
  return g_test_run ();
}

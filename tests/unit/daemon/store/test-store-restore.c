/* SPDX-License-Identifier: Apache-2.0 */
#include "store-fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The order of store and admission.log, proven by killing a child at every system call that changes a file: these
 * functions stand in for the C library's, for SQLite's calls too. A step is before and after each.
 */
static atomic_int steps_left = -1;

static void
step (void)
{
  if (atomic_load (&steps_left) > 0 && atomic_fetch_sub (&steps_left, 1) == 1)
    kill (getpid (), SIGKILL);
}

#define STEPPED(type, name, parameters, call)                                                                          \
  type name parameters;                                                                                                \
  type name parameters                                                                                                 \
  {                                                                                                                    \
    type result;                                                                                                       \
    step ();                                                                                                           \
    result = (type)call;                                                                                               \
    step ();                                                                                                           \
    return result;                                                                                                     \
  }
STEPPED (ssize_t, write, (int fd, const void *data, size_t length), syscall (SYS_write, fd, data, length))
STEPPED (ssize_t, pwrite64, (int fd, const void *data, size_t length, off64_t offset),
         syscall (SYS_pwrite64, fd, data, length, offset))
STEPPED (int, fsync, (int fd), syscall (SYS_fsync, fd))
STEPPED (int, fdatasync, (int fd), syscall (SYS_fdatasync, fd))
STEPPED (int, ftruncate64, (int fd, off64_t length), syscall (SYS_ftruncate, fd, length))
STEPPED (int, rename, (const char *from, const char *to), syscall (SYS_rename, from, to))
STEPPED (int, unlink, (const char *path), syscall (SYS_unlink, path))

/* ---- directories ---- */

static void
copy_file (const char *from, const char *to, const char *name)
{
  g_autofree char *source = g_build_filename (from, name, NULL);
  g_autofree char *target = g_build_filename (to, name, NULL);
  g_autofree char *content = NULL;
  FILE *file;
  gsize length;

  if (!g_file_get_contents (source, &content, &length, NULL))
    return;
  file = fopen (target, "w");
  g_assert_nonnull (file);
  g_assert_cmpuint (fwrite (content, 1, length, file), ==, length);
  g_assert_cmpint (fclose (file), ==, 0);
}

/* What a stopped gateway leaves. */
static void
copy_state (const char *from, const char *to)
{
  copy_file (from, to, TL_STORE_FILE);
  copy_file (from, to, TL_ADMISSION_LOG_FILE);
}

static void
close_store (Fixture *f)
{
  g_clear_pointer (&f->store, tl_store_close);
}

/* ---- what a child does ---- */

typedef struct
{
  const char *device_id;
  int answered; /* end of a pipe: a byte when the change was acknowledged */
} Child;

typedef void (*ChildFunc) (Fixture *f, Child *child);

static void
acknowledge (const GError *error, gpointer result, gpointer user_data)
{
  Child *child = user_data;

  if (error == NULL)
    syscall (SYS_write, child->answered, "x", 1);
}

static void
child_revokes (Fixture *f, Child *child)
{
  fixture_open_admission (f);
  atomic_store (&steps_left, f->steps);
  tl_store_change_device (f->store, TL_ADMISSION_REVOKE, child->device_id, TL_ROLE_NODE, "uid:0", "", FALSE, STORE_NOW,
                          acknowledge, child);
  tl_store_flush (f->store);
}

static void
child_confirms (Fixture *f, Child *child)
{
  fixture_open_admission (f);
  atomic_store (&steps_left, f->steps);
  tl_store_confirm_devices (f->store, 0, "uid:0", "", STORE_NOW, acknowledge, child);
  tl_store_flush (f->store);
}

/* Start itself: finds out, voids, writes a log. */
static void
child_starts (Fixture *f, Child *child)
{
  atomic_store (&steps_left, f->steps);
  fixture_open_admission (f);
  syscall (SYS_write, child->answered, "x", 1);
}

/* Runs it in `directory`, killed at step `steps`; FALSE: it came to its end. *answered: before that. */
static gboolean
run_child (const char *directory, ChildFunc func, const char *device_id, int steps, gboolean *answered)
{
  int ends[2];
  char byte;
  pid_t pid;
  int status;

  g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
  pid = fork ();
  g_assert_cmpint (pid, >=, 0);
  if (pid == 0)
    {
      Fixture f = { .directory = (char *)directory, .steps = steps };
      Child child = { device_id, ends[1] };

      f.store = tl_store_open (directory, NULL, NULL);
      func (&f, &child);
      atomic_store (&steps_left, -1);
      _exit (0);
    }
  close (ends[1]);
  *answered = read (ends[0], &byte, 1) == 1;
  close (ends[0]);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  return WIFSIGNALED (status);
}

static TlDeviceState
state_of (Fixture *f, const char *device_id)
{
  g_autoptr (TlDeviceRecord) device = find_device (f, device_id);

  return device->state;
}

static void
open_in (Fixture *f, const char *directory)
{
  f->directory = g_strdup (directory);
  f->store = tl_store_open (directory, NULL, NULL);
  g_assert_nonnull (f->store);
  fixture_open_admission (f);
}

static void
close_in (Fixture *f)
{
  close_store (f);
  g_clear_pointer (&f->admission, tl_store_admission_free);
  g_clear_pointer (&f->directory, g_free);
}

/* A directory of its own for each step, made like `from`. */
static char *
make_copy (const char *from)
{
  char *copy = g_dir_make_tmp ("tl-restore-XXXXXX", NULL);

  copy_state (from, copy);
  return copy;
}

/* The order of log and commit is looked at step by step; what has the same order, at every third in the short run. */
static int
stride (void)
{
  return g_strcmp0 (g_getenv ("TL_TEST_FULL"), "1") == 0 ? 1 : 3;
}

/* ---- killed while a device is revoked ---- */

static void
test_revoke_killed (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_id (f);
  g_autofree char *certificate = pair_device (f, id, 1, TL_ROLE_NODE);
  guint n_answered = 0, n_done = 0, n_applied = 0;
  int steps = 1;

  close_store (f);
  for (gboolean killed = TRUE; killed; steps++)
    {
      g_autofree char *copy = make_copy (f->directory);
      Fixture after = { 0 };
      gboolean answered;

      killed = run_child (copy, child_revokes, id, steps, &answered);
      open_in (&after, copy);
      /* A crash is no restore; what was answered is there; store and log agree. */
      g_assert_false (after.admission->restored);
      if (answered)
        g_assert_cmpint (state_of (&after, id), ==, TL_DEVICE_REVOKED);
      n_answered += answered ? 1 : 0;
      n_done += state_of (&after, id) == TL_DEVICE_REVOKED ? 1 : 0;
      n_applied += after.admission->applied;
      g_assert_cmpuint (after.admission->counter, ==, state_of (&after, id) == TL_DEVICE_REVOKED ? 1 : 0);
      close_in (&after);

      /* And an old copy of the store beside this log keeps it so. */
      if (answered)
        {
          g_autofree char *wal = g_build_filename (copy, TL_STORE_FILE "-wal", NULL);

          g_unlink (wal);
          copy_file (f->directory, copy, TL_STORE_FILE);
          open_in (&after, copy);
          g_assert_false (after.admission->restored);
          g_assert_cmpuint (after.admission->applied, ==, 1);
          g_assert_cmpint (state_of (&after, id), ==, TL_DEVICE_REVOKED);
          close_in (&after);
        }
      remove_directory (copy);
    }
  g_test_message ("%d steps, %u answered, %u done, %u applied at start", steps - 1, n_answered, n_done, n_applied);
  g_assert_cmpint (steps, >, 8);      /* SQLite's calls are among them */
  g_assert_cmpuint (n_applied, >, 0); /* killed between the log and the commit */
  g_assert_cmpuint (n_done, >=, n_answered);
}

/* ---- killed while a start finds out that it was restored ---- */

static void
assert_restored (Fixture *f, const char *code_id)
{
  g_autoptr (TlCodeRecord) code = NULL;

  g_assert_true (f->admission->restored);
  code = cancel_code (f, code_id, STORE_NOW); /* as it is */
  g_assert_cmpint (code->state, ==, TL_CODE_CANCELLED);
}

static void
test_start_killed (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_id (f);
  g_autofree char *certificate = pair_device (f, id, 1, TL_ROLE_NODE);
  g_autoptr (TlCodeRecord) code = mint (f, TL_PAIRING_LINK, TL_ROLE_NODE);
  g_autofree char *log = g_build_filename (f->directory, TL_ADMISSION_LOG_FILE, NULL);
  int steps = 1;

  close_store (f);
  g_assert_cmpint (g_unlink (log), ==, 0);
  for (gboolean killed = TRUE; killed; steps += stride ())
    {
      g_autofree char *copy = make_copy (f->directory);
      Fixture after = { 0 };
      gboolean answered;

      killed = run_child (copy, child_starts, id, steps, &answered);
      for (guint i = 0; i < 2; i++) /* and the start after that */
        {
          open_in (&after, copy);
          assert_restored (&after, code->code_id);
          close_in (&after);
        }
      remove_directory (copy);
    }
  g_assert_cmpint (steps, >, 8);
}

/* ---- killed while it is confirmed ---- */

static void
test_confirm_killed (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_id (f);
  g_autofree char *certificate = pair_device (f, id, 1, TL_ROLE_NODE);
  g_autofree char *log = g_build_filename (f->directory, TL_ADMISSION_LOG_FILE, NULL);
  guint n_confirmed = 0, n_answered = 0;
  int steps = 1;

  close_store (f);
  g_assert_cmpint (g_unlink (log), ==, 0);
  f->store = tl_store_open (f->directory, NULL, NULL);
  fixture_open_admission (f);
  g_assert_true (f->admission->restored);
  close_store (f);
  for (gboolean killed = TRUE; killed; steps += stride ())
    {
      g_autofree char *copy = make_copy (f->directory);
      Fixture after = { 0 };
      gboolean answered;

      killed = run_child (copy, child_confirms, id, steps, &answered);
      open_in (&after, copy);
      if (answered)
        g_assert_false (after.admission->restored);
      n_answered += answered ? 1 : 0;
      n_confirmed += after.admission->restored ? 0 : 1;
      close_in (&after);
      remove_directory (copy);
    }
  g_assert_cmpuint (n_confirmed, >=, n_answered);
  g_assert_cmpuint (n_answered, >, 0);
  g_assert_cmpint (steps, >, 8);
}

/* ---- an old copy beside a log that was rewritten since ---- */

static void
change (Fixture *f, TlAdmissionKind kind, const char *device_id)
{
  Answer answer = ANSWER (NULL);

  tl_store_change_device (f->store, kind, device_id, TL_ROLE_NODE, "uid:0", "", FALSE, STORE_NOW, answer_callback,
                          &answer);
  assert_ok (f, &answer);
}

static void
test_after_compaction (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *revoked = fixture_id (f);
  g_autofree char *removed = fixture_id (f);
  g_autofree char *busy = fixture_id (f);
  g_autofree char *c1 = pair_device (f, revoked, 1, TL_ROLE_NODE);
  g_autofree char *c2 = pair_device (f, removed, 2, TL_ROLE_NODE);
  g_autofree char *c3 = pair_device (f, busy, 3, TL_ROLE_NODE);
  g_autofree char *old = NULL;
  g_autofree char *log = g_build_filename (f->directory, TL_ADMISSION_LOG_FILE, NULL);
  g_autoptr (TlAdmissions) admissions = NULL;
  guint64 bytes;

  close_store (f);
  old = make_copy (f->directory);
  f->store = tl_store_open (f->directory, NULL, NULL);
  fixture_open_admission (f);
  change (f, TL_ADMISSION_REVOKE, revoked);
  change (f, TL_ADMISSION_REMOVE, removed);
  /* It pairs again: an old copy must not take that for the pairing of then. */
  g_free (pair_device (f, removed, 2, TL_ROLE_NODE));
  do
    {
      /* One batch, one sync. */
      bytes = f->admission->log_bytes;
      for (guint i = 0; i < 1600; i++)
        tl_store_change_device (f->store, i % 2 == 0 ? TL_ADMISSION_SUSPEND : TL_ADMISSION_RESUME, busy, TL_ROLE_NODE,
                                "uid:0", "", FALSE, STORE_NOW, NULL, NULL);
      tl_store_flush (f->store);
      fixture_reopen (f);
      g_assert_false (f->admission->restored);
    }
  while (f->admission->log_bytes > bytes);
  close_store (f);
  copy_file (old, f->directory, TL_STORE_FILE);
  f->store = tl_store_open (f->directory, NULL, NULL);
  fixture_open_admission (f);
  g_assert_false (f->admission->restored);
  g_assert_cmpuint (f->admission->counter, >, 1000);
  g_assert_cmpint (state_of (f, revoked), ==, TL_DEVICE_REVOKED);
  g_assert_cmpint (state_of (f, removed), ==, TL_DEVICE_REMOVED);
  g_assert_cmpint (state_of (f, busy), ==, TL_DEVICE_ACTIVE);
  admissions = tl_store_list_admissions (f->store, STORE_NOW, NULL);
  g_assert_cmpuint (admissions->certificates->len, ==, 1);
  remove_directory (old);
}

static void
put_back (Fixture *f, const char *copy)
{
  close_store (f);
  copy_file (copy, f->directory, TL_STORE_FILE);
  f->store = tl_store_open (f->directory, NULL, NULL);
  fixture_open_admission (f);
}

/* The wrong backup was put back without a log, then the right one beside the log that this began: it does not know what
 * was lost either, even when it counted as far. */
static void
test_another_backup (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *out = fixture_id (f);
  g_autofree char *revoked = fixture_id (f);
  g_autofree char *c1 = pair_device (f, out, 1, TL_ROLE_NODE);
  g_autofree char *c2 = pair_device (f, revoked, 2, TL_ROLE_NODE);
  g_autofree char *log = g_build_filename (f->directory, TL_ADMISSION_LOG_FILE, NULL);
  g_autofree char *wrong = NULL;
  g_autofree char *right = NULL;

  change (f, TL_ADMISSION_SUSPEND, out);
  close_store (f);
  wrong = make_copy (f->directory);
  fixture_reopen (f);
  change (f, TL_ADMISSION_RESUME, out);
  change (f, TL_ADMISSION_SUSPEND,
          out); /* 3; the new log below has a ban and the restoration: 3 if it went on from 1 */
  close_store (f);
  right = make_copy (f->directory);
  fixture_reopen (f);
  change (f, TL_ADMISSION_REVOKE, revoked);
  close_store (f);
  g_assert_cmpint (g_unlink (log), ==, 0);

  put_back (f, wrong);
  g_assert_true (f->admission->restored);
  put_back (f, right);
  g_assert_true (f->admission->restored);
  put_back (f, right);
  g_assert_true (f->admission->restored);
  remove_directory (wrong);
  remove_directory (right);
}

/* A store of before the log existed. */
static void
test_upgrade (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_id (f);
  g_autofree char *certificate = pair_device (f, id, 1, TL_ROLE_NODE);
  g_autofree char *log = g_build_filename (f->directory, TL_ADMISSION_LOG_FILE, NULL);

  change (f, TL_ADMISSION_REVOKE, id);
  close_store (f);
  fixture_sql (f->directory, "DELETE FROM counters WHERE name = 'admission'");
  g_unlink (log);
  f->store = tl_store_open (f->directory, NULL, NULL);
  fixture_open_admission (f);
  g_assert_true (f->admission->created);
  g_assert_false (f->admission->restored);
  g_assert_cmpuint (f->admission->counter, ==, 1);
  fixture_reopen (f);
  g_assert_false (f->admission->created || f->admission->restored);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  store_test ("/store/restore/revoke-killed", test_revoke_killed);
  store_test ("/store/restore/start-killed", test_start_killed);
  store_test ("/store/restore/confirm-killed", test_confirm_killed);
  store_test ("/store/restore/after-compaction", test_after_compaction);
  store_test ("/store/restore/another-backup", test_another_backup);
  store_test ("/store/restore/upgrade", test_upgrade);
  return g_test_run ();
}

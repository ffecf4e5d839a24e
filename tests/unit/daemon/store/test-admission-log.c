/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-log.h"
#include "base/tl-random.h"
#include "base/tl-ulid.h"
#include "daemon/store/tl-admission-log.h"

#define GATEWAY "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define OTHER   "01BX5ZZKBKACTAV9WEVGEMMVRZ"
#define A       "01AAAAAAAAAAAAAAAAAAAAAAAA"
#define B       "01BBBBBBBBBBBBBBBBBBBBBBBB"

typedef struct
{
  char *folder, *path;
  TlSecret *key;
  TlAdmissionLog *log;
} Fixture;

static TlAdmissionLog *
try_open (Fixture *f, const char *gateway_id, GError **error)
{
  return tl_admission_log_open (f->path, gateway_id, f->key, error);
}

static void
reopen (Fixture *f)
{
  g_autoptr (GError) error = NULL;

  tl_admission_log_free (f->log);
  f->log = try_open (f, GATEWAY, &error);
  g_assert_no_error (error);
}

static void
set_up (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  f->folder = g_dir_make_tmp ("tl-admission-XXXXXX", NULL);
  f->path = g_build_filename (f->folder, TL_ADMISSION_LOG_FILE, NULL);
  f->key = tl_secret_new (32);
  tl_secret_data_mut (f->key)[3] = 7;
  f->log
      = tl_admission_log_create (f->path, GATEWAY, f->key,
                                 g_ptr_array_new_with_free_func ((GDestroyNotify)tl_admission_entry_free), 0, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  tl_admission_log_free (f->log);
  tl_secret_unref (f->key);
  g_unlink (f->path);
  g_assert_cmpint (g_rmdir (f->folder), ==, 0);
  g_free (f->path);
  g_free (f->folder);
}

static void
stage (Fixture *f, TlAdmissionKind kind, const char *device_id, guint64 counter)
{
  TlAdmissionEntry entry = { .counter = counter,
                             .time = 1800000000000,
                             .kind = kind,
                             .device_id = (char *)device_id,
                             .name = (char *)"Zuse's \"Z3\"\n\xc3\xa4",
                             .role = TL_ROLE_OPERATOR,
                             .actor = (char *)"uid:1000",
                             .reason = (char *)"stolen" };
  g_autoptr (GError) error = NULL;

  memset (entry.identity_public, 0xab, sizeof entry.identity_public);
  g_assert_true (tl_admission_log_stage (f->log, &entry, &error));
  g_assert_no_error (error);
}

static void
write_change (Fixture *f, TlAdmissionKind kind, const char *device_id)
{
  g_autoptr (GError) error = NULL;

  stage (f, kind, device_id, tl_admission_log_counter (f->log) + 1);
  g_assert_true (tl_admission_log_flush (f->log, &error));
  g_assert_no_error (error);
  tl_admission_log_commit (f->log);
}

static const TlAdmissionEntry *
entry_at (Fixture *f, guint index)
{
  return g_ptr_array_index (tl_admission_log_entries (f->log), index);
}

static guint
n_entries (Fixture *f)
{
  return tl_admission_log_entries (f->log)->len;
}

static void
test_round_trip (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  static const TlAdmissionKind kinds[]
      = { TL_ADMISSION_REVOKE, TL_ADMISSION_SUSPEND, TL_ADMISSION_RESUME,   TL_ADMISSION_REMOVE,
          TL_ADMISSION_CLEAR,  TL_ADMISSION_ROLE,    TL_ADMISSION_RESTORED, TL_ADMISSION_CONFIRM };
  struct stat info;

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    write_change (f, kinds[i], kinds[i] >= TL_ADMISSION_RESTORED ? "" : A);
  reopen (f);
  g_assert_cmpuint (tl_admission_log_counter (f->log), ==, G_N_ELEMENTS (kinds));
  g_assert_cmpuint (n_entries (f), ==, G_N_ELEMENTS (kinds));
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      const TlAdmissionEntry *entry = entry_at (f, i);

      g_assert_cmpuint (entry->counter, ==, i + 1);
      g_assert_cmpint (entry->kind, ==, kinds[i]);
      g_assert_cmpint (entry->time, ==, 1800000000000);
      g_assert_cmpstr (entry->name, ==, "Zuse's \"Z3\"\n\xc3\xa4");
      g_assert_cmpint (entry->role, ==, TL_ROLE_OPERATOR);
      g_assert_cmpstr (entry->actor, ==, "uid:1000");
      g_assert_cmpstr (entry->reason, ==, "stolen");
      g_assert_cmpuint (entry->identity_public[31], ==, 0xab);
    }
  g_assert_cmpint (stat (f->path, &info), ==, 0);
  g_assert_cmpint (info.st_mode & 0777, ==, 0600);
  g_assert_cmpuint ((guint64)info.st_size, ==, tl_admission_log_bytes (f->log));
}

static void
test_errors (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (TlSecret) other_key = tl_secret_new (32);
  g_autoptr (GError) error = NULL;

  write_change (f, TL_ADMISSION_REVOKE, A);
  g_assert_null (try_open (f, OTHER, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
  g_clear_error (&error);
  g_assert_null (tl_admission_log_open (f->path, GATEWAY, other_key, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
  g_clear_error (&error);
  g_unlink (f->path);
  g_assert_null (try_open (f, GATEWAY, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
}

/* g_file_set_contents() would sync it. */
static void
put (Fixture *f, const char *text, gsize length)
{
  FILE *file = fopen (f->path, "w");

  g_assert_nonnull (file);
  g_assert_cmpuint (fwrite (text, 1, length, file), ==, length);
  g_assert_cmpint (fclose (file), ==, 0);
}

/* Every bit of every byte. */
static void
test_flipped (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  int fd = open (f->path, O_WRONLY | O_CLOEXEC);
  g_autofree char *text = NULL;
  gsize length;

  write_change (f, TL_ADMISSION_REVOKE, A);
  write_change (f, TL_ADMISSION_SUSPEND, B);
  g_assert_true (g_file_get_contents (f->path, &text, &length, NULL));
  for (gsize i = 0; i < length; i++)
    {
      for (guint bit = 0; bit < 8; bit++)
        {
          char changed = (char)(text[i] ^ (1 << bit));
          g_autoptr (GError) error = NULL;

          /* In place: a file written anew each time would be synced by the file system. */
          g_assert_cmpint (pwrite (fd, &changed, 1, (off_t)i), ==, 1);
          g_assert_null (try_open (f, GATEWAY, &error));
          g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
        }
      g_assert_cmpint (pwrite (fd, &text[i], 1, (off_t)i), ==, 1);
    }
  close (fd);
}

/* Cut off anywhere: the changes before the cut, never a part of one; within the header: damaged. */
static void
test_cut (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *text = NULL;
  gsize length;

  write_change (f, TL_ADMISSION_REVOKE, A);
  write_change (f, TL_ADMISSION_SUSPEND, B);
  g_assert_true (g_file_get_contents (f->path, &text, &length, NULL));
  for (gsize cut = 0; cut <= length; cut++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (TlAdmissionLog) log = NULL;
      guint feeds = 0;

      for (gsize i = 0; i < cut; i++)
        feeds += text[i] == '\n' ? 1 : 0;
      put (f, text, cut);
      log = try_open (f, GATEWAY, &error);
      if (feeds == 0)
        g_assert_error (error, TL_ERROR, TL_ERROR_CORRUPT);
      else
        g_assert_cmpuint (tl_admission_log_counter (log), ==, feeds - 1);
    }
}

/* The next change goes where the torn one began. */
static void
test_append_after_cut (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *text = NULL;
  gsize length;

  write_change (f, TL_ADMISSION_REVOKE, A);
  write_change (f, TL_ADMISSION_SUSPEND, B);
  g_assert_true (g_file_get_contents (f->path, &text, &length, NULL));
  put (f, text, length - 9);
  reopen (f);
  g_assert_cmpuint (tl_admission_log_counter (f->log), ==, 1);
  write_change (f, TL_ADMISSION_REMOVE, B);
  reopen (f);
  g_assert_cmpuint (tl_admission_log_counter (f->log), ==, 2);
  g_assert_cmpint (entry_at (f, 1)->kind, ==, TL_ADMISSION_REMOVE);
}

static void
test_marks (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  guint mark;

  stage (f, TL_ADMISSION_REVOKE, A, 1);
  mark = tl_admission_log_mark (f->log);
  stage (f, TL_ADMISSION_REVOKE, B, 2);
  tl_admission_log_reset (f->log, mark);
  stage (f, TL_ADMISSION_SUSPEND, B, 2);
  g_assert_cmpuint (tl_admission_log_counter (f->log), ==, 0);
  g_assert_true (tl_admission_log_flush (f->log, &error));
  tl_admission_log_commit (f->log);
  reopen (f);
  g_assert_cmpuint (n_entries (f), ==, 2);
  g_assert_cmpint (entry_at (f, 1)->kind, ==, TL_ADMISSION_SUSPEND);
}

/* Flushed, and then the store did not commit. */
static void
test_roll_back (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  guint64 bytes;

  write_change (f, TL_ADMISSION_REVOKE, A);
  bytes = tl_admission_log_bytes (f->log);
  stage (f, TL_ADMISSION_REVOKE, B, 2);
  g_assert_true (tl_admission_log_flush (f->log, &error));
  tl_admission_log_roll_back (f->log);
  g_assert_cmpuint (tl_admission_log_counter (f->log), ==, 1);
  g_assert_cmpuint (tl_admission_log_bytes (f->log), ==, bytes);
  write_change (f, TL_ADMISSION_CLEAR, A);
  reopen (f);
  g_assert_cmpuint (n_entries (f), ==, 2);
  g_assert_cmpint (entry_at (f, 1)->kind, ==, TL_ADMISSION_CLEAR);
}

static void
limit_files (rlim_t bytes)
{
  struct rlimit limit;

  g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
}

/* The disk takes half a line. */
static void
test_full (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  write_change (f, TL_ADMISSION_REVOKE, A);
  stage (f, TL_ADMISSION_REVOKE, B, 2);
  limit_files (tl_admission_log_bytes (f->log) + 50);
  g_assert_false (tl_admission_log_flush (f->log, &error));
  g_assert_nonnull (error);
  tl_admission_log_roll_back (f->log);
  limit_files (RLIM_INFINITY);
  reopen (f);
  g_assert_cmpuint (n_entries (f), ==, 1);
  write_change (f, TL_ADMISSION_REVOKE, B);
  reopen (f);
  g_assert_cmpuint (n_entries (f), ==, 2);
}

/* Whether it was committed is not known: the line stays for the next start. */
static void
test_abandon (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  TlAdmissionEntry entry = { .counter = 2, .device_id = (char *)B };
  g_autoptr (GError) error = NULL;

  stage (f, TL_ADMISSION_REVOKE, A, 1);
  g_assert_true (tl_admission_log_flush (f->log, &error));
  tl_admission_log_abandon (f->log);
  tl_admission_log_roll_back (f->log);
  g_assert_false (tl_admission_log_stage (f->log, &entry, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IO);
  reopen (f);
  g_assert_cmpuint (tl_admission_log_counter (f->log), ==, 1);
}

/* It does not grow for ever, not over restarts either, and forgets neither the last state nor the last cut. */
static void
test_compaction (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  guint64 largest = 0;
  guint64 counter;
  gboolean shrank = FALSE;

  write_change (f, TL_ADMISSION_REVOKE, A);
  write_change (f, TL_ADMISSION_CLEAR, A);
  for (guint i = 0; i < 120; i++)
    {
      guint64 before = tl_admission_log_bytes (f->log);

      counter = tl_admission_log_counter (f->log);
      for (guint j = 0; j < 100; j++)
        stage (f, j % 2 == 0 ? TL_ADMISSION_SUSPEND : TL_ADMISSION_RESUME, j % 3 == 0 ? A : B, counter + 1 + j);
      g_assert_true (tl_admission_log_flush (f->log, NULL));
      tl_admission_log_commit (f->log);
      largest = MAX (largest, tl_admission_log_bytes (f->log));
      shrank = shrank || tl_admission_log_bytes (f->log) < before;
      if (i % 10 == 9)
        reopen (f);
    }
  g_assert_true (shrank);
  g_assert_cmpuint (largest, <=, TL_ADMISSION_LOG_COMPACT_BYTES);
  reopen (f);
  counter = tl_admission_log_counter (f->log);
  g_assert_cmpuint (counter, ==, 12002);
  g_assert_cmpint (entry_at (f, 0)->kind, ==, TL_ADMISSION_REVOKE);
  g_assert_cmpuint (entry_at (f, 0)->counter, ==, 1);
  g_assert_cmpint (entry_at (f, 1)->kind, ==, TL_ADMISSION_CLEAR);
  g_assert_cmpuint (entry_at (f, n_entries (f) - 1)->counter, ==, counter);
}

static void
test_removed_while_open (Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
  write_change (f, TL_ADMISSION_REVOKE, A);
  g_unlink (f->path);
  write_change (f, TL_ADMISSION_REVOKE, B);
  reopen (f);
  g_assert_cmpuint (n_entries (f), ==, 2);
  g_assert_cmpuint (tl_admission_log_counter (f->log), ==, 2);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  tl_log_init ("test", TL_LOG_ERROR);
  signal (SIGXFSZ, SIG_IGN);
#define ADD(name, function) g_test_add ("/store/admission-log/" name, Fixture, NULL, set_up, function, tear_down)
  ADD ("round-trip", test_round_trip);
  ADD ("errors", test_errors);
  ADD ("flipped", test_flipped);
  ADD ("cut", test_cut);
  ADD ("append-after-cut", test_append_after_cut);
  ADD ("marks", test_marks);
  ADD ("roll-back", test_roll_back);
  ADD ("full", test_full);
  ADD ("abandon", test_abandon);
  ADD ("compaction", test_compaction);
  ADD ("removed-while-open", test_removed_while_open);
  return g_test_run ();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-doctor.h"

#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/cli/tl-node-service-private.h"
#include "base/tl-error.h"

typedef struct
{
  char *folder;
  TlCli *cli;
  TlDoctor *doctor;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  (void)data;
  f->folder = g_dir_make_tmp ("twinlatch-doctor-XXXXXX", NULL);
  f->cli = tl_cli_new (NULL, TRUE);
  f->doctor = tl_doctor_new (f->cli, 1000000);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  const char *argv[] = { "rm", "-rf", f->folder, NULL };

  (void)data;
  g_spawn_sync (NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
  tl_doctor_free (f->doctor);
  tl_cli_free (f->cli);
  g_free (f->folder);
}

static const TlDoctorRow *
last_row (Fixture *f)
{
  g_assert_cmpuint (f->doctor->rows->len, >, 0);
  return f->doctor->rows->pdata[f->doctor->rows->len - 1];
}

static char *
make_file (Fixture *f, const char *name, const char *text, int mode)
{
  char *path = g_build_filename (f->folder, name, NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_assert_cmpint (g_chmod (path, mode), ==, 0);
  return path;
}

static void
test_rows (Fixture *f, gconstpointer data)
{
  (void)data;
  tl_doctor_add (f->doctor, "a", TL_DOCTOR_OK, NULL, "%d", 1);
  tl_doctor_add (f->doctor, "b", TL_DOCTOR_FAILED, "mend it", "broken");
  g_assert_cmpuint (tl_doctor_count (f->doctor, TL_DOCTOR_FAILED), ==, 1);
  g_assert_cmpuint (tl_doctor_count (f->doctor, TL_DOCTOR_WARNING), ==, 0);
  g_assert_cmpstr (last_row (f)->fix, ==, "mend it");
  g_assert_cmpstr (tl_doctor_verdict_to_string (TL_DOCTOR_SKIPPED), ==, "skipped");
}

static void
test_modes (Fixture *f, gconstpointer data)
{
  g_autofree char *good = make_file (f, "good", "", 0600);
  g_autofree char *open = make_file (f, "open", "", 0640);
  g_autofree char *config = make_file (f, "config", "", 0644);
  g_autofree char *missing = g_build_filename (f->folder, "missing", NULL);

  (void)data;
  g_assert_true (tl_doctor_check_mode (f->doctor, "x", good, 0, FALSE));
  g_assert_true (tl_doctor_check_mode (f->doctor, "x", config, 0444, FALSE));
  g_assert_cmpuint (f->doctor->rows->len, ==, 0);
  g_assert_false (tl_doctor_check_mode (f->doctor, "x", open, 0, FALSE));
  g_assert_nonnull (strstr (last_row (f)->found, "mode 0640"));
  g_assert_nonnull (strstr (last_row (f)->fix, "chmod 0600"));
  g_assert_false (tl_doctor_check_mode (f->doctor, "x", missing, 0, TRUE));
  g_assert_cmpuint (f->doctor->rows->len, ==, 1);
  g_assert_false (tl_doctor_check_mode (f->doctor, "x", missing, 0, FALSE));
  g_assert_cmpuint (f->doctor->rows->len, ==, 2);
}

static void
test_tree (Fixture *f, gconstpointer data)
{
  g_autofree char *sub = g_build_filename (f->folder, "secrets", NULL);
  g_autofree char *inner = NULL;
  guint seen = 0;

  (void)data;
  g_assert_cmpint (g_mkdir (sub, 0700), ==, 0);
  inner = make_file (f, "secrets/key", "k", 0600);
  g_assert_true (tl_doctor_check_tree (f->doctor, "x", f->folder, &seen));
  g_assert_cmpuint (seen, ==, 2);
  g_assert_cmpint (g_chmod (inner, 0604), ==, 0);
  g_assert_false (tl_doctor_check_tree (f->doctor, "x", f->folder, &seen));
  g_assert_nonnull (strstr (last_row (f)->found, "secrets/key"));
  g_assert_cmpint (g_chmod (inner, 0600), ==, 0);
  if (geteuid () == 0) /* a file of another user in the folder of the daemon's */
    {
      guint before = f->doctor->rows->len;

      g_assert_cmpint (chown (inner, 12345, 12345), ==, 0);
      g_assert_false (tl_doctor_check_tree (f->doctor, "x", f->folder, &seen));
      g_assert_cmpuint (f->doctor->rows->len, ==, before + 1);
      g_assert_nonnull (strstr (last_row (f)->found, "12345"));
    }
}

static void
test_certificate (void)
{
  g_assert_null (tl_doctor_certificate_problem (10, 20, 10));
  g_assert_nonnull (tl_doctor_certificate_problem (10, 20, 9));
  g_assert_nonnull (tl_doctor_certificate_problem (10, 20, 20));
}

static void
run_sql (const char *path, const char *sql, sqlite3 **keep)
{
  sqlite3 *database = NULL;

  g_assert_cmpint (sqlite3_open (path, &database), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (database, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  if (keep != NULL)
    *keep = database;
  else
    sqlite3_close (database);
}

static char *
read_check (const char *path, TlDoctorDatabase *database)
{
  g_autoptr (GError) error = NULL;

  *database = (TlDoctorDatabase){ 0 };
  g_assert_true (tl_doctor_read_database (path, database, &error));
  g_assert_no_error (error);
  return database->check;
}

static guint
count_files (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

static void
test_database (Fixture *f, gconstpointer data)
{
  g_autofree char *path = g_build_filename (f->folder, "t.db", NULL);
  g_autofree char *check = NULL;
  g_autofree char *second = NULL;
  g_autofree char *third = NULL;
  g_autofree char *bytes = NULL;
  g_autoptr (GError) error = NULL;
  TlDoctorDatabase database;
  sqlite3 *open = NULL;
  gsize length;

  (void)data;
  g_assert_false (tl_doctor_read_database (path, &database, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
  run_sql (path,
           "PRAGMA journal_mode = WAL; CREATE TABLE cas (generation INTEGER PRIMARY KEY, der BLOB, not_after INTEGER);"
           "INSERT INTO cas VALUES (1, x'00', 100), (2, x'00', 200); CREATE TABLE t (a TEXT);"
           "CREATE INDEX i ON t (a); WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 2000) "
           "INSERT INTO t SELECT 'row ' || x FROM n;",
           NULL);
  check = read_check (path, &database);
  g_assert_cmpstr (check, ==, "ok");
  g_assert_cmpuint (database.ca_generation, ==, 2);
  g_assert_cmpint (database.ca_not_after_ms, ==, 200);
  g_assert_cmpuint (count_files (f->folder), ==, 1); /* nothing is left beside it */

  /* A log that was not written back counts: that is what is newest. */
  run_sql (path, "INSERT INTO cas VALUES (3, x'00', 300);", &open);
  g_assert_cmpuint (count_files (f->folder), ==, 3);
  second = read_check (path, &database);
  g_assert_cmpstr (second, ==, "ok");
  g_assert_cmpuint (database.ca_generation, ==, 3);
  g_assert_cmpuint (count_files (f->folder), ==, 3);
  sqlite3_close (open);

  g_assert_true (g_file_get_contents (path, &bytes, &length, NULL));
  memset (bytes + 4096 * 3, 0x5a, 4096);
  g_assert_true (g_file_set_contents (path, bytes, (gssize)length, NULL));
  third = read_check (path, &database);
  g_test_message ("%s", third);
  g_assert_cmpstr (third, !=, "ok");
}

static void
test_port (void)
{
  struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t size = sizeof name;
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_autofree char *nobody = NULL;
  g_autofree char *somebody = NULL;
  g_autofree char *expected = g_strdup_printf ("pid %d (", (int)getpid ());

  g_assert_cmpint (bind (fd, (struct sockaddr *)&name, sizeof name), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *)&name, &size), ==, 0);
  nobody = tl_doctor_port_owner (TL_DOCTOR_TCP, ntohs (name.sin_port)); /* bound, but not listening */
  g_assert_null (nobody);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  somebody = tl_doctor_port_owner (TL_DOCTOR_TCP, ntohs (name.sin_port));
  g_assert_nonnull (somebody);
  g_assert_true (g_str_has_prefix (somebody, expected));
  close (fd);
}

static void
test_udp_port (void)
{
  struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t size = sizeof name;
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  g_autofree char *somebody = NULL;
  g_autofree char *nobody = NULL;
  g_autofree char *expected = g_strdup_printf ("pid %d (", (int)getpid ());

  g_assert_cmpint (bind (fd, (struct sockaddr *)&name, sizeof name), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *)&name, &size), ==, 0);
  somebody = tl_doctor_port_owner (TL_DOCTOR_UDP, ntohs (name.sin_port));
  g_assert_nonnull (somebody);
  g_assert_true (g_str_has_prefix (somebody, expected));
  close (fd);
  nobody = tl_doctor_port_owner (TL_DOCTOR_UDP, ntohs (name.sin_port));
  g_assert_null (nobody);
}

static void
test_unit_quote (void)
{
  g_autofree char *plain = tl_node_service_unit_quote ("/usr/bin/twinlatch");
  g_autofree char *odd = tl_node_service_unit_quote ("/a b/50%\"$HOME\\");
  g_autofree char *unit = tl_node_service_unit_name (NULL);
  g_autofree char *instance = tl_node_service_unit_name ("01ARZ3NDEKTSV4RRFFQ69G5FAV");

  g_assert_cmpstr (plain, ==, "\"/usr/bin/twinlatch\"");
  g_assert_cmpstr (odd, ==, "\"/a b/50%%\\\"$$HOME\\\\\"");
  g_assert_cmpstr (unit, ==, "twinlatch-node.service");
  g_assert_cmpstr (instance, ==, "twinlatch-node@01ARZ3NDEKTSV4RRFFQ69G5FAV.service");
}

#define ADD(name, func) g_test_add ("/cli/doctor/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("rows", test_rows);
  ADD ("modes", test_modes);
  ADD ("tree", test_tree);
  ADD ("database", test_database);
  g_test_add_func ("/cli/doctor/certificate", test_certificate);
  g_test_add_func ("/cli/doctor/port", test_port);
  g_test_add_func ("/cli/doctor/udp-port", test_udp_port);
  g_test_add_func ("/cli/doctor/unit-quote", test_unit_quote);
  return g_test_run ();
}

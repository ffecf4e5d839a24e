/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc-fixture.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib/gstdio.h>

/* The admin socket: peer uid is the actor (PROTOCOL 2). */

#define NOBODY 65534

typedef struct
{
  char *directory;
  char *path;
  Fixture *fixture;
} Local;

static Local
local_new (mode_t mode)
{
  Local local = { 0 };
  g_autoptr (GError) error = NULL;

  local.directory = g_dir_make_tmp ("tl-rpc-XXXXXX", &error);
  g_assert_no_error (error);
  g_assert_cmpint (chmod (local.directory, 0755), ==, 0);
  local.path = g_build_filename (local.directory, "admin.sock", NULL);
  local.fixture = fixture_new_idle (NULL);
  tl_rpc_server_listen_local (local.fixture->server, local.path, mode, NULL, &error);
  g_assert_no_error (error);
  tl_rpc_server_start (local.fixture->server, &error);
  g_assert_no_error (error);
  return local;
}

static void
local_clear (Local *local)
{
  fixture_free (local->fixture);
  g_unlink (local->path);
  g_assert_cmpint (g_rmdir (local->directory), ==, 0);
  g_free (local->path);
  g_free (local->directory);
}

static TlRpcClient *
local_client (TlRpcLoop *loop, const char *path)
{
  TlRpcClientOptions options = { .socket_path = path };
  g_autoptr (GError) error = NULL;
  TlRpcClient *client = tl_rpc_client_new (loop, &options, &error);

  g_assert_no_error (error);
  return client;
}

static void
test_actor (void)
{
  Local local = local_new (0600);
  g_autofree char *actor = g_strdup_printf ("uid:%u", (guint)getuid ());
  TlRpcClient *client = local_client (local.fixture->loop, local.path);
  Listener *listener;
  struct stat status;

  g_assert_cmpint (stat (local.path, &status), ==, 0);
  g_assert_cmpuint (status.st_mode & 0777, ==, 0600);
  assert_call (client, "/test/Local");
  g_assert_cmpint (local.fixture->last_kind, ==, TL_RPC_PEER_LOCAL);
  g_assert_cmpstr (local.fixture->last_actor, ==, actor);
  g_assert_cmpstr (local.fixture->last_source, ==, "local");
  assert_call (client, "/test/Operator");
  assert_call (client, "/test/Known");
  assert_call (client, "/test/Echo");
  assert_call_fails (client, "/test/Device", TL_ERROR_PERMISSION_DENIED);

  listener = listener_new (client, "/test/Hold", "x", 0);
  wait_until (local.fixture->held->len == 1);
  g_assert_cmpuint (tl_rpc_call_peer (local.fixture->held->pdata[0])->uid, ==, getuid ());
  g_assert_cmpint (tl_rpc_call_peer (local.fixture->held->pdata[0])->pid, ==, getpid ());
  listener_free (listener);
  tl_rpc_client_unref (client);
  local_clear (&local);
}

static void
on_child (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  *(int *)user_data = g_subprocess_wait_check_finish (G_SUBPROCESS (source), result, &error) ? 1 : -1;
  g_assert_no_error (error);
}

/* Another user at the same time is another actor. */
static void
test_two_users (void)
{
  Local local = { 0 };
  TlRpcClient *client;
  g_autoptr (GSubprocess) child = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *mine = g_strdup_printf ("uid:%u", (guint)getuid ());
  g_autofree char *theirs = g_strdup_printf ("uid:%u", NOBODY);
  g_autofree char *reuid = g_strdup_printf ("--reuid=%u", NOBODY);
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *setpriv = g_find_program_in_path ("setpriv");
  int done = 0;

  if (getuid () != 0 || setpriv == NULL)
    {
      g_test_skip ("needs root and setpriv");
      return;
    }
  local = local_new (0666);
  client = local_client (local.fixture->loop, local.path);
  assert_call (client, "/test/Local");
  g_assert_cmpstr (local.fixture->last_actor, ==, mine);
  child = g_subprocess_new (G_SUBPROCESS_FLAGS_NONE, &error, setpriv, reuid, "--clear-groups", program, "--call",
                            local.path, NULL);
  g_assert_no_error (error);
  g_subprocess_wait_check_async (child, NULL, on_child, &done);
  wait_until (done != 0);
  g_assert_cmpint (done, ==, 1);
  g_assert_cmpstr (local.fixture->last_actor, ==, theirs);
  assert_call (client, "/test/Local");
  g_assert_cmpstr (local.fixture->last_actor, ==, mine);
  tl_rpc_client_unref (client);
  local_clear (&local);
}

static void
test_live_socket (void)
{
  Local local = local_new (0600);
  g_autoptr (TlRpcServer) second = tl_rpc_server_new (local.fixture->loop, NULL);
  TlRpcClient *client = local_client (local.fixture->loop, local.path);
  g_autoptr (GError) error = NULL;

  g_assert_false (tl_rpc_server_listen_local (second, local.path, 0600, NULL, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IN_USE);
  assert_call (client, "/test/Local");
  tl_rpc_client_unref (client);
  g_clear_pointer (&second, tl_rpc_server_unref);
  local_clear (&local);
}

static void
leave_dead_socket (const char *path)
{
  struct sockaddr_un name = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM, 0);

  g_strlcpy (name.sun_path, path, sizeof name.sun_path);
  g_assert_cmpint (bind (fd, (struct sockaddr *)&name, sizeof name), ==, 0);
  g_assert_cmpint (listen (fd, 1), ==, 0);
  close (fd);
}

/* Ours is removed at the end, one that somebody put in its place is not. */
static void
test_stop_and_dead_socket (void)
{
  Local local = local_new (0600);
  g_autoptr (TlRpcServer) second = tl_rpc_server_new (local.fixture->loop, NULL);
  g_autoptr (GError) error = NULL;

  fixture_stop_server (local.fixture);
  g_assert_false (g_file_test (local.path, G_FILE_TEST_EXISTS));

  leave_dead_socket (local.path);
  g_assert_true (tl_rpc_server_listen_local (second, local.path, 0600, NULL, &error));
  g_assert_no_error (error);
  g_unlink (local.path);
  leave_dead_socket (local.path);
  g_clear_pointer (&second, tl_rpc_server_unref);
  g_assert_true (g_file_test (local.path, G_FILE_TEST_EXISTS));
  local_clear (&local);
}

static void
test_bad_paths (void)
{
  Local local = local_new (0600);
  g_autoptr (TlRpcServer) second = tl_rpc_server_new (local.fixture->loop, NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *file = g_build_filename (local.directory, "file", NULL);
  g_autofree char *other = g_build_filename (local.directory, "other.sock", NULL);
  g_autofree char *deep = g_build_filename (local.directory, "no", "such", "admin.sock", NULL);
  g_autofree char *tail = g_strnfill (120, 'x');
  g_autofree char *long_path = g_build_filename (local.directory, tail, NULL);

  g_assert_true (g_file_set_contents (file, "precious", -1, NULL));
  g_assert_false (tl_rpc_server_listen_local (second, file, 0600, NULL, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_IN_USE);
  g_clear_error (&error);
  g_assert_true (g_file_test (file, G_FILE_TEST_IS_REGULAR));
  g_unlink (file);
  g_assert_false (tl_rpc_server_listen_local (second, deep, 0600, NULL, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (tl_rpc_server_listen_local (second, long_path, 0600, NULL, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_false (tl_rpc_server_listen_local (second, other, 0600, "no-such-group-here", &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
  g_assert_false (g_file_test (other, G_FILE_TEST_EXISTS));
  g_clear_pointer (&second, tl_rpc_server_unref);
  local_clear (&local);
}

static void
test_nobody_there (void)
{
  g_autoptr (TlRpcLoop) loop = tl_rpc_loop_new (NULL);
  g_autoptr (TlRpcClient) client = local_client (loop, "/nonexistent/admin.sock");
  g_autoptr (GError) error = NULL;

  g_assert_null (call_text (client, "/test/Local", "x", &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_UNAVAILABLE);
  g_assert_nonnull (strstr (error->message, "is twinlatchd running?"));
}

/* The other user of test_two_users(). */
static int
call_as_child (const char *path)
{
  g_autoptr (TlRpcLoop) loop = tl_rpc_loop_new (NULL);
  g_autoptr (TlRpcClient) client = local_client (loop, path);

  assert_call (client, "/test/Local");
  return 0;
}

int
main (int argc, char *argv[])
{
  if (argc == 3 && strcmp (argv[1], "--call") == 0)
    return call_as_child (argv[2]);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rpc/local/actor", test_actor);
  g_test_add_func ("/rpc/local/two-users", test_two_users);
  g_test_add_func ("/rpc/local/live-socket", test_live_socket);
  g_test_add_func ("/rpc/local/stop-and-dead-socket", test_stop_and_dead_socket);
  g_test_add_func ("/rpc/local/bad-paths", test_bad_paths);
  g_test_add_func ("/rpc/local/nobody-there", test_nobody_there);
  return g_test_run ();
}

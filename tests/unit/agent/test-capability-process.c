/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <string.h>

#include "agent/node/tl-capability-builtin.h"
#include "agent/node/tl-policy.h"
#include "base/tl-error.h"
#include "base/tl-file.h"
#include "tl-node-fixture.h"

#define CONFIGURATION                                                                                                  \
  "[program cat]\ncommand=/bin/cat\ndescription=Copies its input\n"                                                    \
  "[program sh]\ncommand=/bin/sh -c 'eval \"$1\"' sh\narguments=append\ndirectory=/tmp\n"                              \
  "[program slow]\ncommand=/bin/sleep 60\ntimeout=1s\n"                                                                \
  "[program missing]\ncommand=/nonexistent/program\n"

static TlNodeConfig *
load (const char *text)
{
  g_autofree char *directory = tl_fixture_directory ();
  g_autofree char *path = g_build_filename (directory, "node.conf", NULL);
  g_autoptr (GError) error = NULL;
  TlNodeConfig *config;

  tl_fixture_write (directory, "node.conf", text);
  config = tl_node_config_load (path, &error);
  g_assert_no_error (error);
  tl_fixture_remove (directory);
  return config;
}

static char *
run_call (TlCapabilityCall *call, const char *input, GError **error)
{
  g_autoptr (TlNodeConfig) config = load (CONFIGURATION);
  g_autoptr (TlCapabilitySet) set = tl_capability_set_new ();

  tl_capability_add_process (set, config);
  return tl_capability_execute (tl_capability_set_lookup (set, "process.run"), call, input, error);
}

static json_t *
run (gsize max_output, const char *input)
{
  g_autoptr (TlCapabilityCall) call = tl_capability_call_new (max_output);
  g_autoptr (GError) error = NULL;
  g_autofree char *output = run_call (call, input, &error);
  json_t *value;

  g_assert_no_error (error);
  g_assert_cmpuint (strlen (output), <=, max_output);
  value = tl_json_parse (output, -1, 0, &error);
  g_assert_no_error (error);
  return value;
}

static void
assert_fails (const char *input, TlErrorCode code)
{
  g_autoptr (TlCapabilityCall) call = tl_capability_call_new (65536);
  g_autoptr (GError) error = NULL;
  g_autofree char *output = run_call (call, input, &error);

  g_assert_null (output);
  g_assert_error (error, TL_ERROR, (gint)code);
}

static const char *
text (const json_t *answer, const char *member)
{
  return json_string_value (json_object_get (answer, member));
}

static void
test_runs (void)
{
  tl_json_auto answer = run (65536, "{\"program\":\"cat\",\"stdin\":\"caf\\u00e9\\n\"}");

  g_assert_cmpstr (text (answer, "stdout"), ==, "caf\303\251\n");
  g_assert_cmpstr (text (answer, "stderr"), ==, "");
  g_assert_cmpstr (text (answer, "encoding"), ==, "utf-8");
  g_assert_cmpint (json_integer_value (json_object_get (answer, "exit_status")), ==, 0);
  g_assert_true (json_is_null (json_object_get (answer, "signal")));
  g_assert_true (json_is_false (json_object_get (answer, "stdout_truncated")));
}

static void
test_exit_status (void)
{
  tl_json_auto exited = run (65536, "{\"program\":\"sh\",\"arguments\":[\"echo no >&2; exit 3\"]}");
  tl_json_auto killed = run (65536, "{\"program\":\"sh\",\"arguments\":[\"kill -9 $$\"]}");

  g_assert_cmpint (json_integer_value (json_object_get (exited, "exit_status")), ==, 3);
  g_assert_cmpstr (text (exited, "stderr"), ==, "no\n");
  g_assert_true (json_is_null (json_object_get (killed, "exit_status")));
  g_assert_cmpint (json_integer_value (json_object_get (killed, "signal")), ==, SIGKILL);
}

/* Nothing of the node's surroundings reaches the program. */
static void
test_surroundings (void)
{
  tl_json_auto answer = NULL;
  g_auto (GStrv) lines = NULL;

  g_setenv ("TWINLATCH_TEST_SECRET", "do-not-tell", TRUE);
  answer = run (65536, "{\"program\":\"sh\",\"arguments\":[\"pwd; env; ls /proc/self/fd\"]}");
  lines = g_strsplit (text (answer, "stdout"), "\n", -1);
  g_assert_cmpstr (lines[0], ==, "/tmp");
  g_assert_null (strstr (text (answer, "stdout"), "do-not-tell"));
  g_assert_nonnull (strstr (text (answer, "stdout"), "PATH=/usr/local/sbin:"));
  g_assert_false (g_strv_contains ((const char *const *)lines, "4")); /* 3 is what ls reads the folder with */
}

static void
test_refuses (void)
{
  assert_fails ("{\"program\":\"rm\"}", TL_ERROR_NOT_FOUND);
  assert_fails ("{\"program\":\"/bin/cat\"}", TL_ERROR_NOT_FOUND);
  assert_fails ("{}", TL_ERROR_INVALID_ARGUMENT);
  assert_fails ("{\"program\":\"cat\",\"arguments\":[\"/etc/passwd\"]}", TL_ERROR_PERMISSION_DENIED);
  assert_fails ("{\"program\":\"sh\",\"arguments\":[1]}", TL_ERROR_INVALID_ARGUMENT);
  assert_fails ("{\"program\":\"sh\",\"arguments\":\"x\"}", TL_ERROR_INVALID_ARGUMENT);
  assert_fails ("{\"program\":\"cat\",\"stdin\":1}", TL_ERROR_INVALID_ARGUMENT);
  assert_fails ("{\"program\":\"missing\"}", TL_ERROR_NOT_FOUND);
}

/* More than the limit: cut, said, and still an answer; also where a byte becomes six in JSON. */
static void
test_truncates (void)
{
  static const char *const commands[] = {
    "{\"program\":\"sh\",\"arguments\":[\"yes | head -c 100000\"]}",
    "{\"program\":\"sh\",\"arguments\":[\"head -c 5000 /dev/zero | tr '\\\\0' '\\\\001'\"]}",
    "{\"program\":\"sh\",\"arguments\":[\"head -c 5000 /dev/zero\"]}",
    "{\"program\":\"sh\",\"arguments\":[\"yes \\u00e9 | head -c 3000 >&2; yes | head -c 3000\"]}",
  };

  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    {
      tl_json_auto answer = run (4096, commands[i]);

      g_assert_true (json_is_true (json_object_get (answer, "stdout_truncated")));
      g_assert_cmpuint (strlen (text (answer, "stdout")), >, 400);
      g_assert_cmpstr (text (answer, "encoding"), ==, i == 2 ? "base64" : "utf-8");
    }
}

static void
test_own_timeout (void)
{
  gint64 start = g_get_monotonic_time ();

  assert_fails ("{\"program\":\"slow\"}", TL_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, G_USEC_PER_SEC);
}

typedef struct
{
  TlCapabilityCall *call;
  char *directory;
} Canceller;

/* Cancels as soon as the program's child has said who it is. */
static gpointer
cancel_when_running (gpointer data)
{
  Canceller *canceller = data;
  g_autofree char *path = g_build_filename (canceller->directory, "pid", NULL);

  while (!g_file_test (path, G_FILE_TEST_EXISTS))
    g_usleep (1000);
  tl_capability_call_cancel (canceller->call);
  return NULL;
}

/* The whole group goes, also the one that ignores SIGTERM. */
static void
test_cancel (void)
{
  g_autoptr (TlCapabilityCall) call = tl_capability_call_new (65536);
  g_autofree char *directory = tl_fixture_directory ();
  g_autofree char *input = g_strdup_printf ("{\"program\":\"sh\",\"arguments\":[\"trap '' TERM; sleep 1000 & echo $! >"
                                            "%s/tmp; mv %s/tmp %s/pid; wait; wait\"]}",
                                            directory, directory, directory);
  Canceller canceller = { .call = call, .directory = directory };
  GThread *thread = g_thread_new ("cancel", cancel_when_running, &canceller);
  g_autoptr (GError) error = NULL;
  g_autofree char *output = run_call (call, input, &error);
  g_autofree char *pid = tl_fixture_read (directory, "pid");
  g_autofree char *process = g_strdup_printf ("/proc/%d/exe", atoi (pid));
  g_autofree char *program = NULL;

  g_thread_join (thread);
  g_assert_null (output);
  g_assert_error (error, TL_ERROR, TL_ERROR_CANCELLED);
  /* SIGKILL was sent to it, but only the leader is waited for. A zombie has no program. */
  for (gint64 end = g_get_monotonic_time () + 10 * G_USEC_PER_SEC; g_get_monotonic_time () < end; g_usleep (1000))
    {
      g_free (program);
      program = g_file_read_link (process, NULL);
      if (program == NULL)
        break;
    }
  g_assert_null (program);
  tl_fixture_remove (directory);
}

static void
test_descriptor (void)
{
  g_autoptr (TlNodeConfig) config = load (CONFIGURATION);
  g_autoptr (TlNodeConfig) none = load ("");
  g_autoptr (TlCapabilitySet) set = tl_capability_set_new (), empty = tl_capability_set_new ();
  const TlCapabilityEntry *entry;

  tl_capability_add_process (set, config);
  tl_capability_add_process (empty, none);
  entry = tl_capability_set_lookup (set, "process.run");
  g_assert_true (entry->available);
  g_assert_false (entry->capability->idempotent);
  g_assert_nonnull (
      strstr (entry->capability->input_schema, "{\"const\":\"cat\",\"description\":\"Copies its input\"}"));
  g_assert_false (tl_capability_set_lookup (empty, "process.run")->available);
}

static TlConsentLevel
level_with (const char *text)
{
  g_autoptr (TlNodeConfig) config = load (text);
  g_autoptr (TlPolicy) policy = tl_policy_new_config (config);

  return tl_policy_level (policy, "process.run");
}

/* A default never allows it. */
static void
test_policy (void)
{
  g_assert_cmpint (level_with (CONFIGURATION), ==, TL_CONSENT_ASK);
  g_assert_cmpint (level_with ("[policy]\ndefault=allow\n"), ==, TL_CONSENT_ASK);
  g_assert_cmpint (level_with ("[policy process.run]\nmode=allow\n"), ==, TL_CONSENT_ALLOW);
  g_assert_cmpint (level_with ("[policy process.run]\nmode=deny\n"), ==, TL_CONSENT_DENY);
}

static void
on_decision (const TlPolicyDecision *decision, gpointer user_data)
{
  guint *seen = user_data;

  g_assert_false (decision->allowed);
  g_assert_cmpstr (decision->by, ==, "absent");
  g_assert_nonnull (strstr (decision->message, "[policy process.run]"));
  (*seen)++;
}

static void
test_nobody_to_ask (void)
{
  g_autoptr (TlNodeConfig) config = load (CONFIGURATION);
  g_autoptr (TlPolicy) policy = tl_policy_new_config (config);
  TlPolicyRequest request = { .capability = "process.run" };
  guint seen = 0;

  tl_policy_decide (policy, &request, on_decision, &seen);
  g_assert_cmpuint (seen, ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/capability-process/runs", test_runs);
  g_test_add_func ("/capability-process/exit-status", test_exit_status);
  g_test_add_func ("/capability-process/surroundings", test_surroundings);
  g_test_add_func ("/capability-process/refuses", test_refuses);
  g_test_add_func ("/capability-process/truncates", test_truncates);
  g_test_add_func ("/capability-process/own-timeout", test_own_timeout);
  g_test_add_func ("/capability-process/cancel", test_cancel);
  g_test_add_func ("/capability-process/descriptor", test_descriptor);
  g_test_add_func ("/capability-process/policy", test_policy);
  g_test_add_func ("/capability-process/nobody-to-ask", test_nobody_to_ask);
  return g_test_run ();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "daemon/tl-daemon-config.h"
#include "quic/tl-quic-endpoint.h"

static TlDaemonConfig *
load (const char *text, GError **error)
{
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("twinlatchd-XXXXXX.conf", &path, NULL);
  TlDaemonConfig *config;

  g_assert_cmpint (fd, >=, 0);
  close (fd);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  config = tl_daemon_config_load (path, TRUE, error);
  g_unlink (path);
  return config;
}

static void
expect_error (const char *text, const char *line, const char *word)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlDaemonConfig) config = load (text, &error);

  g_assert_null (config);
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, line));
  g_assert_nonnull (strstr (error->message, word));
}

static void
test_defaults (void)
{
  g_autoptr (TlDaemonConfig) config = load ("", NULL);

  g_assert_nonnull (config);
  g_assert_cmpstr (config->listen[0], ==, "0.0.0.0:7444");
  g_assert_cmpstr (config->listen[1], ==, "[::]:7444");
  g_assert_null (config->advertise[0]);
  g_assert_null (config->admin_group);
  g_assert_cmpint (config->device_lifetime_ms, ==, G_GINT64_CONSTANT (24) * 3600 * 1000);
  /* PROTOCOL 3.4 */
  g_assert_cmpuint (config->limits.strangers, ==, 256);
  g_assert_cmpuint (config->limits.strangers_per_source, ==, 8);
  g_assert_cmpint (config->limits.stranger_lifetime_ms, ==, 15 * 60 * 1000);
  g_assert_cmpuint (config->limits.handshake_timeout_ms, ==, 5000);
  g_assert_cmpuint (config->limits.sessions, ==, 256);
  g_assert_cmpuint (config->limits.sessions_per_source, ==, 8);
  g_assert_cmpuint (config->limits.starts_per_minute, ==, 300);
  g_assert_cmpuint (config->limits.starts_per_minute_per_source, ==, 30);
}

static void
test_quic (void)
{
  g_autoptr (TlDaemonConfig) defaults = load ("", NULL);
  g_autoptr (TlDaemonConfig) off = load ("[gateway]\nlisten-quic=none\n", NULL);
  g_autoptr (TlDaemonConfig) always = load ("[quic]\nretry-threshold=0\n", NULL);
  g_autoptr (TlDaemonConfig) on
      = load ("[gateway]\nlisten-quic=127.0.0.1:0;[::1]\n[quic]\nconnections=7\nretry-threshold=1\n"
              "handshake-timeout=2s\nqlog-directory=/var/tmp/qlog\n",
              NULL);

  g_assert_null (defaults->listen_quic); /* as `listen` */
  g_assert_null (defaults->quic.qlog_directory);
  g_assert_cmpuint (defaults->quic.connections, ==, 10000); /* PROTOCOL 5 */
  g_assert_cmpuint (defaults->quic.retry_threshold, ==, 64);
  g_assert_cmpuint (defaults->quic.handshake_timeout_ms, ==, 5000);
  g_assert_cmpuint (always->quic.retry_threshold, ==, TL_QUIC_RETRY_ALWAYS);
  g_assert_nonnull (off->listen_quic);
  g_assert_null (off->listen_quic[0]);
  g_assert_cmpstr (on->listen_quic[0], ==, "127.0.0.1:0");
  g_assert_cmpstr (on->listen_quic[1], ==, "[::1]:7444");
  g_assert_null (on->listen_quic[2]);
  g_assert_cmpuint (on->quic.connections, ==, 7);
  g_assert_cmpuint (on->quic.retry_threshold, ==, 1);
  g_assert_cmpuint (on->quic.handshake_timeout_ms, ==, 2000);
  g_assert_cmpstr (on->quic.qlog_directory, ==, "/var/tmp/qlog");
}

static void
test_values (void)
{
  g_autoptr (TlDaemonConfig) config
      = load ("[gateway]\nname=Büro\nlisten=127.0.0.1:0; [::1]\nadvertise=gw.example.org\n"
              "device-certificate-lifetime=90d\nlog-level=debug\n",
              NULL);

  g_assert_nonnull (config);
  g_assert_cmpstr (config->name, ==, "Büro");
  g_assert_cmpstr (config->listen[0], ==, "127.0.0.1:0");
  g_assert_cmpstr (config->listen[1], ==, "[::1]:7444");
  g_assert_cmpstr (config->advertise[0], ==, "gw.example.org:7444");
  g_assert_cmpint (config->log_level, ==, TL_LOG_DEBUG);
}

static void
test_errors (void)
{
  expect_error ("[gateway]\nlisten=127.0.0.1:99999\n", ":2:", "listen");
  expect_error ("[gateway]\n\nlisen=1.2.3.4\n", ":3:", "lisen");
  expect_error ("[gatway]\nname=x\n", ":1:", "gatway");
  expect_error ("[gateway]\nname=a\u202eb\n", ":2:", "name"); /* a character that turns the text around */
  expect_error ("[gateway]\ndevice-certificate-lifetime=91d\n", ":2:", "device-certificate-lifetime");
  expect_error ("[gateway]\nadvertise=a;b;c;d;e\n", ":2:", "advertise");
  expect_error ("[gateway]\nlisten=\n", ":2:", "listen");
  expect_error ("[limits]\nstrangers=0\n", ":2:", "strangers");
  expect_error ("[gateway]\nlisten-quic=127.0.0.1:99999\n", ":2:", "listen-quic");
  expect_error ("[gateway]\nlisten-quic=none;127.0.0.1:99999\n", ":2:", "listen-quic");
  expect_error ("[quic]\nconnections=0\n", ":2:", "connections");
  expect_error ("[quic]\nretry-threshold=-1\n", ":2:", "retry-threshold");
  expect_error ("[quic]\nhandshake-timeout=10ms\n", ":2:", "handshake-timeout");
  expect_error ("[quic]\nqlog-directory=qlog\n", ":2:", "qlog-directory");
}

static void
test_missing_file (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (tl_daemon_config_load ("/nonexistent/twinlatchd.conf", TRUE, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_NOT_FOUND);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/daemon-config/defaults", test_defaults);
  g_test_add_func ("/daemon-config/quic", test_quic);
  g_test_add_func ("/daemon-config/values", test_values);
  g_test_add_func ("/daemon-config/errors", test_errors);
  g_test_add_func ("/daemon-config/missing-file", test_missing_file);
  return g_test_run ();
}

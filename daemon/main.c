/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gi18n.h>
#include <locale.h>
#include <openssl/crypto.h>
#include <malloc.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-json.h"
#include "base/tl-log.h"
#include "base/tl-paths.h"
#include "base/tl-secret.h"
#include "daemon/tl-gateway.h"
#include "daemon/tl-instance-lock.h"
#include "tl-config-build.h"

/* What is left by then is unary, and waits for a commit or a scrypt; idle connections would use all of it. */
#define SHUTDOWN_GRACE_MS  1500
#define CREDENTIAL_NAME    "twinlatch-secrets-key"
#define SECRETS_KEY_LENGTH 32

typedef struct
{
  char *config, *state_dir, *socket;
  gboolean user, check, print_ready, version, accept_truncated_log, accept_changed_pages;
} Options;

static void
options_clear (Options *options)
{
  g_free (options->config);
  g_free (options->state_dir);
  g_free (options->socket);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Options, options_clear)

static gboolean
parse_options (int *argc, char ***argv, Options *options, GError **error)
{
  const GOptionEntry entries[] = {
    { "config", 0, 0, G_OPTION_ARG_FILENAME, &options->config, N_ ("Configuration file"), N_ ("FILE") },
    { "user", 0, 0, G_OPTION_ARG_NONE, &options->user, N_ ("Run in a session: XDG directories"), NULL },
    { "state-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->state_dir, N_ ("Where state is kept"), N_ ("DIR") },
    { "socket", 0, 0, G_OPTION_ARG_FILENAME, &options->socket, N_ ("Admin socket"), N_ ("PATH") },
    { "check-config", 0, 0, G_OPTION_ARG_NONE, &options->check, N_ ("Check the configuration and exit"), NULL },
    { "accept-truncated-log", 0, 0, G_OPTION_ARG_NONE, &options->accept_truncated_log,
      N_ ("Go on without what a damaged log of the store cannot give back"), NULL },
    { "accept-changed-pages", 0, 0, G_OPTION_ARG_NONE, &options->accept_changed_pages,
      N_ ("Take the store as another program left it"), NULL },
    { "print-ready", 0, 0, G_OPTION_ARG_NONE, &options->print_ready, N_ ("Print one line of JSON when ready"), NULL },
    { "version", 0, 0, G_OPTION_ARG_NONE, &options->version, N_ ("Print the version and exit"), NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);

  g_option_context_set_summary (context, _ ("Twinlatch gateway: pairs devices and runs capabilities on them."));
  g_option_context_set_description (context, _ ("See twinlatchd(8) and twinlatchd.conf(5)."));
  g_option_context_add_main_entries (context, entries, GETTEXT_PACKAGE);
  if (!g_option_context_parse (context, argc, argv, error))
    {
      (*error)->domain = TL_ERROR;
      (*error)->code = TL_ERROR_USAGE;
      return FALSE;
    }
  if (*argc > 1)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("unexpected argument '%s'; see twinlatchd --help"), (*argv)[1]);
      return FALSE;
    }
  return TRUE;
}

/* The key for secrets at rest, when systemd hands one over (LoadCredential=). */
static gboolean
load_credential (TlSecret **key, GError **error)
{
  const char *directory = g_getenv ("CREDENTIALS_DIRECTORY");
  g_autofree char *path = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) local = NULL;

  *key = NULL;
  if (directory == NULL)
    return TRUE;
  path = g_build_filename (directory, CREDENTIAL_NAME, NULL);
  bytes = tl_file_read (path, 4096, &local);
  if (bytes == NULL && tl_error_is_not_found (local))
    return TRUE;
  if (bytes == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (g_bytes_get_size (bytes) != SECRETS_KEY_LENGTH)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, _ ("credential '%s' has to be %d random bytes"),
                   CREDENTIAL_NAME, SECRETS_KEY_LENGTH);
      return FALSE;
    }
  *key = tl_secret_new_copy (g_bytes_get_data (bytes, NULL), SECRETS_KEY_LENGTH);
  return TRUE;
}

static void
print_ready (TlGateway *gateway, const char *socket)
{
  tl_json_auto grpc = json_array ();
  tl_json_auto quic = json_array ();
  tl_json_auto line = NULL;
  g_autofree char *text = NULL;

  for (guint i = 0; gateway->listeners[i] != NULL; i++)
    json_array_append_new (grpc, json_string (gateway->listeners[i]));
  for (guint i = 0; gateway->quic_listeners != NULL && gateway->quic_listeners[i] != NULL; i++)
    json_array_append_new (quic, json_string (gateway->quic_listeners[i]));
  line = json_pack ("{s:b, s:s, s:i, s:O, s:O, s:s}", "ready", 1, "gateway_id",
                    tl_gateway_identity_id (gateway->identity), "pid", (int)getpid (), "grpc", grpc, "quic", quic,
                    "admin_socket", socket);
  text = tl_json_to_string (line);
  printf ("%s\n", text);
  fflush (stdout);
}

static gboolean
on_signal (gpointer user_data)
{
  g_main_loop_quit (user_data);
  return G_SOURCE_REMOVE;
}

static gboolean
on_watchdog (gpointer user_data)
{
  sd_notify (0, "WATCHDOG=1");
  return G_SOURCE_CONTINUE;
}

static void
serve (TlGateway *gateway, const char *socket, gboolean prints_ready)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  g_autofree char *listeners = g_strjoinv (" ", gateway->listeners);
  g_autofree char *quic = gateway->quic_listeners != NULL ? g_strjoinv (" ", gateway->quic_listeners) : NULL;
  guint64 watchdog_us = 0;

  /* Before anybody is told: who hears "ready" may stop us at once. */
  g_unix_signal_add (SIGTERM, on_signal, loop);
  g_unix_signal_add (SIGINT, on_signal, loop);
  if (sd_watchdog_enabled (0, &watchdog_us) > 0 && watchdog_us >= 2000)
    g_timeout_add ((guint)(watchdog_us / 2000), on_watchdog, NULL);
  tl_gateway_notify_status (gateway, TRUE);
  tl_log (TL_LOG_NOTICE, "gateway is ready", "gateway_id", tl_gateway_identity_id (gateway->identity), "grpc",
          listeners, "quic", quic != NULL ? quic : "off", NULL);
  if (prints_ready)
    print_ready (gateway, socket);
  g_main_loop_run (loop);
  sd_notify (0, "STOPPING=1");
  tl_log (TL_LOG_NOTICE, "gateway is stopping", NULL);
}

static gboolean
run (const Options *options, TlDaemonConfig *config, GError **error)
{
  g_autofree char *state_dir = options->state_dir != NULL ? g_canonicalize_filename (options->state_dir, NULL)
                                                          : tl_paths_state_dir (options->user);
  g_autofree char *socket = options->socket != NULL ? g_canonicalize_filename (options->socket, NULL)
                                                    : tl_paths_admin_socket (options->user);
  g_autofree char *socket_dir = g_path_get_dirname (socket);
  g_autoptr (TlInstanceLock) lock = NULL;
  g_autoptr (TlSecret) key = NULL;
  TlGatewayOptions gateway_options
      = { .config = config, .state_dir = state_dir, .admin_socket = socket, .user = options->user };
  TlGateway *gateway;

  if (!tl_dir_ensure (state_dir, 0700, error) || !tl_dir_ensure (socket_dir, options->user ? 0700 : 0750, error))
    return FALSE;
  lock = tl_instance_lock_acquire (state_dir, error);
  if (lock == NULL || !load_credential (&key, error))
    return FALSE;
  gateway_options.secrets_key = key;
  gateway_options.store_flags = (options->accept_truncated_log ? TL_STORE_ACCEPT_TRUNCATED_LOG : 0)
                                | (options->accept_changed_pages ? TL_STORE_ACCEPT_CHANGED_PAGES : 0);
  gateway = tl_gateway_open (&gateway_options, error);
  if (gateway == NULL)
    return FALSE;
  serve (gateway, socket, options->print_ready);
  tl_gateway_close (gateway, SHUTDOWN_GRACE_MS);
  return TRUE;
}

static int
fail (const GError *error)
{
  fprintf (stderr, "twinlatchd: %s\n", error->message);
  return tl_error_to_exit_code (error);
}

/* Heap that is free is given back in larger pieces: under load glibc's defaults returned pages and took them again at
 * every batch, 8 % of a dispatch's time. Costs at most this much a thread that allocates. */
#define HEAP_TRIM_BYTES (8 * 1024 * 1024)
#define HEAP_PAD_BYTES  (256 * 1024)
#define HEAP_MMAP_BYTES (1024 * 1024)

static void
tune_heap (void)
{
  mallopt (M_TRIM_THRESHOLD, HEAP_TRIM_BYTES);
  mallopt (M_TOP_PAD, HEAP_PAD_BYTES);
  mallopt (M_MMAP_THRESHOLD, HEAP_MMAP_BYTES);
}

int
main (int argc, char **argv)
{
  g_auto (Options) options = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (TlDaemonConfig) config = NULL;

  /* gRPC's threads may be in a handshake when the process ends: libcrypto must not take its locks away at exit. It has
   * to hear that before its first use. */
  OPENSSL_init_crypto (OPENSSL_INIT_NO_ATEXIT, NULL);
  tune_heap ();
  setlocale (LC_ALL, "");
  bindtextdomain (GETTEXT_PACKAGE, TL_LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
  if (!parse_options (&argc, &argv, &options, &error))
    return fail (error);
  if (options.version)
    {
      printf ("twinlatchd %s\n", TL_VERSION);
      return TL_EXIT_OK;
    }
  config = tl_daemon_config_load (options.config, options.user, &error);
  if (config == NULL)
    {
      fail (error);
      return TL_EXIT_CONFIG;
    }
  if (options.check)
    {
      printf ("%s\n", _ ("The configuration is good."));
      return TL_EXIT_OK;
    }
  tl_secret_harden_process ();
  tl_log_init ("twinlatchd", config->log_level);
  if (!run (&options, config, &error))
    return fail (error);
  return TL_EXIT_OK;
}

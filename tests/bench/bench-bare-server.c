/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "twinlatch/v1/node.pb-c.h"

#define MAX_REQUEST 65536

static void
on_message (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  Twinlatch__V1__StreamEventsResponse__Ready ready = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__READY__INIT;
  Twinlatch__V1__StreamEventsResponse answer = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__INIT;

  answer.kind_case = TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_READY;
  answer.ready = &ready;
  tl_rpc_call_send (call, &answer.base);
}

static const TlRpcMethod methods[] = {
  { .path = "/twinlatch.v1.NodeService/StreamEvents",
    .kind = TL_RPC_BIDI,
    .auth = TL_RPC_AUTH_DEVICE,
    .request = &twinlatch__v1__stream_events_request__descriptor,
    .response = &twinlatch__v1__stream_events_response__descriptor,
    .max_request = MAX_REQUEST,
    .on_message = on_message },
};

static char *
read_in (const char *directory, const char *name, gsize *length, GError **error)
{
  g_autofree char *path = g_build_filename (directory, name, NULL);
  char *text = NULL;

  return g_file_get_contents (path, &text, length, error) ? text : NULL;
}

static gboolean
load_admitted (TlAdmittedSet *admitted, const char *directory, GError **error)
{
  g_autofree char *text = read_in (directory, "admitted", NULL, error);
  g_auto (GStrv) lines = text != NULL ? g_strsplit (g_strchomp (text), "\n", 0) : NULL;

  if (lines == NULL)
    return FALSE;
  for (char **line = lines; *line != NULL; line++)
    {
      TlAdmission admission = { .role = TL_ROLE_NODE, .not_after_ms = G_MAXINT64, .ca_generation = 1 };
      char *space = strchr (*line, ' ');

      *space = '\0';
      g_strlcpy (admission.device_id, space + 1, sizeof admission.device_id);
      tl_admitted_set_add (admitted, *line, &admission);
    }
  return TRUE;
}

static TlRpcIdentity *
load_identity (const char *directory, GError **error)
{
  gsize length = 0;
  g_autofree char *chain = read_in (directory, "chain.pem", NULL, error);
  g_autofree char *roots = chain != NULL ? read_in (directory, "roots.pem", NULL, error) : NULL;
  g_autofree char *pem = roots != NULL ? read_in (directory, "key.pem", &length, error) : NULL;
  g_autoptr (TlSecret) key = pem != NULL ? tl_secret_new_copy (pem, length) : NULL;

  return key != NULL ? tl_rpc_identity_new (chain, key, roots, error) : NULL;
}

static gboolean
serve (const char *directory, GError **error)
{
  g_autoptr (TlAdmittedSet) admitted = tl_admitted_set_new ();
  g_autoptr (TlRpcLoop) loop = tl_rpc_loop_new (NULL);
  TlRpcServerOptions options = { .admitted = admitted };
  g_autoptr (TlRpcServer) server = tl_rpc_server_new (loop, &options);
  g_autoptr (TlRpcIdentity) identity = load_identity (directory, error);
  g_autoptr (GMainLoop) main_loop = g_main_loop_new (NULL, FALSE);
  guint16 port = 0;

  if (identity == NULL || !load_admitted (admitted, directory, error))
    return FALSE;
  tl_rpc_server_add_methods (server, methods, G_N_ELEMENTS (methods), NULL);
  if (!tl_rpc_server_listen_tls (server, "127.0.0.1:0", identity, &port, error) || !tl_rpc_server_start (server, error))
    return FALSE;
  printf ("{\"ready\":true,\"port\":%u}\n", port);
  fflush (stdout);
  g_main_loop_run (main_loop); /* until SIGTERM */
  return TRUE;
}

int
bench_bare_server_main (const char *directory)
{
  g_autoptr (GError) error = NULL;

  if (serve (directory, &error))
    return 0;
  g_printerr ("bare server: %s\n", error->message);
  return 1;
}

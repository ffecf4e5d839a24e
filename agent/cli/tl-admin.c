/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-admin.h"

#include <glib-unix.h>
#include <glib/gi18n.h>
#include <string.h>

#include "agent/cli/tl-admin-remote.h"
#include "agent/cli/tl-admin-socket.h"
#include "base/tl-clock.h"
#include "base/tl-error.h"

#define SERVICE   "/twinlatch.v1.AdminService/"
#define MAX_PAGE  500    /* of the gateway */
#define MAX_PAGES 100000 /* against a gateway whose pages never end */

void
tl_admin_answer_free (gpointer message)
{
  if (message != NULL)
    protobuf_c_message_free_unpacked (message, NULL);
}

/* The admin socket, or a gateway over the network. */
typedef struct
{
  TlCli *cli;
  TlAdminRemote *remote; /* NULL: the socket */
  TlRpcClient *client;
} Admin;

static void
admin_clear (Admin *admin)
{
  g_clear_pointer (&admin->client, tl_rpc_client_unref);
  g_clear_pointer (&admin->remote, tl_admin_remote_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Admin, admin_clear)

const char *
tl_admin_gateway (TlCli *cli)
{
  const char *variable = g_getenv ("TWINLATCH_GATEWAY");

  if (tl_cli_gateway (cli) != NULL)
    return tl_cli_gateway (cli);
  return tl_cli_socket (cli) == NULL && variable != NULL && variable[0] != '\0' ? variable : NULL;
}

static gboolean
open_remote (Admin *admin, const char *gateway, GError **error)
{
  if (tl_cli_socket (admin->cli) != NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_USAGE,
                           _ ("--gateway goes over the network and --socket does not; give one of them"));
      return FALSE;
    }
  admin->remote = tl_admin_remote_new (admin->cli, gateway, error);
  if (admin->remote == NULL)
    return FALSE;
  admin->client = tl_rpc_client_ref (tl_admin_remote_client (admin->remote));
  return TRUE;
}

static gboolean
open_admin (Admin *admin, TlCli *cli, GError **error)
{
  const char *gateway = tl_admin_gateway (cli);
  g_autofree char *path = NULL;
  TlRpcClientOptions options = { 0 };

  admin->cli = cli;
  if (gateway != NULL)
    return open_remote (admin, gateway, error);
  path = tl_admin_socket_find (tl_cli_socket (cli), error);
  if (path == NULL)
    return FALSE;
  options.socket_path = path;
  options.connect_timeout_ms = tl_cli_timeout_ms (cli);
  admin->client = tl_rpc_client_new (tl_cli_loop (cli), &options, error);
  return admin->client != NULL;
}

/* gRPC only says "Deadline Exceeded". */
static void
explain_deadline (GError **error, guint deadline_ms)
{
  g_autofree char *waited = NULL;

  if (error == NULL || !tl_error_is (*error, TL_ERROR_TIMED_OUT))
    return;
  waited = tl_duration_to_string (deadline_ms);
  g_clear_error (error);
  g_set_error (error, TL_ERROR, TL_ERROR_TIMED_OUT, _ ("it was not over after %s; give a longer --timeout"), waited);
}

static void
explain (Admin *admin, guint deadline_ms, GError **error)
{
  if (deadline_ms > 0)
    explain_deadline (error, deadline_ms);
  if (admin->remote != NULL)
    tl_admin_remote_explain (admin->remote, error);
}

static ProtobufCMessage *
call_admin (Admin *admin, const char *path, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *response,
            GError **error)
{
  guint deadline_ms = tl_cli_timeout_ms (admin->cli);
  ProtobufCMessage *answer = tl_rpc_client_call_sync (admin->client, path, request, response, deadline_ms, error);

  if (answer == NULL)
    explain (admin, deadline_ms, error);
  return answer;
}

ProtobufCMessage *
tl_admin_call (TlCli *cli, const char *method, const ProtobufCMessage *request,
               const ProtobufCMessageDescriptor *response, GError **error)
{
  g_auto (Admin) admin = { 0 };
  g_autofree char *path = g_strconcat (SERVICE, method, NULL);

  if (!open_admin (&admin, cli, error))
    return NULL;
  return call_admin (&admin, path, request, response, error);
}

/* The one field of List* answers that holds the things. */
static const ProtobufCFieldDescriptor *
items_field (const ProtobufCMessageDescriptor *response)
{
  for (unsigned i = 0; i < response->n_fields; i++)
    {
      if (response->fields[i].label == PROTOBUF_C_LABEL_REPEATED && response->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
        return &response->fields[i];
    }
  g_assert_not_reached ();
}

static void *
field_slot (ProtobufCMessage *message, const char *name)
{
  const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name (message->descriptor, name);

  g_assert (field != NULL);
  return (char *)message + field->offset;
}

/* Moves the items out of the answer; the answer keeps none. */
static void
steal_items (ProtobufCMessage *answer, GPtrArray *items)
{
  const ProtobufCFieldDescriptor *field = items_field (answer->descriptor);
  size_t *n = (size_t *)((char *)answer + field->quantifier_offset);
  void **array = *(void ***)((char *)answer + field->offset);

  for (size_t i = 0; i < *n; i++)
    g_ptr_array_add (items, array[i]);
  *n = 0;
}

/* One page; *token is replaced by the next page's, "" after the last. */
static gboolean
list_page (Admin *admin, const char *path, ProtobufCMessage *request, const ProtobufCMessageDescriptor *response,
           guint size, GPtrArray *items, char **token, GError **error)
{
  Twinlatch__V1__Page page = TWINLATCH__V1__PAGE__INIT;
  Twinlatch__V1__Page **slot = field_slot (request, "page");
  Twinlatch__V1__Page *before = *slot;
  ProtobufCMessage *answer;
  const char *next;

  page.page_token = *token;
  page.page_size = size;
  *slot = &page;
  answer = call_admin (admin, path, request, response, error);
  *slot = before;
  if (answer == NULL)
    return FALSE;

  steal_items (answer, items);
  next = *(const char **)field_slot (answer, "next_page_token");
  if (next[0] != '\0' && g_str_equal (next, *token))
    {
      protobuf_c_message_free_unpacked (answer, NULL);
      g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, _ ("the gateway answers the same page again and again"));
      return FALSE;
    }
  g_free (*token);
  *token = g_strdup (next);
  protobuf_c_message_free_unpacked (answer, NULL);
  return TRUE;
}

/* limit 0: all. */
static GPtrArray *
list (TlCli *cli, const char *method, ProtobufCMessage *request, const ProtobufCMessageDescriptor *response,
      guint limit, GError **error)
{
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (tl_admin_answer_free);
  g_auto (Admin) admin = { 0 };
  g_autofree char *path = g_strconcat (SERVICE, method, NULL);
  g_autofree char *token = g_strdup ("");

  if (!open_admin (&admin, cli, error))
    return NULL;
  for (guint i = 0; i < MAX_PAGES; i++)
    {
      if (!list_page (&admin, path, request, response, limit > 0 ? MIN (limit - items->len, MAX_PAGE) : 0, items,
                      &token, error))
        return NULL;
      if (token[0] == '\0' || (limit > 0 && items->len >= limit))
        return g_steal_pointer (&items);
    }
  g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, _ ("the gateway's list does not end"));
  return NULL;
}

GPtrArray *
tl_admin_list (TlCli *cli, const char *method, ProtobufCMessage *request, const ProtobufCMessageDescriptor *response,
               GError **error)
{
  return list (cli, method, request, response, 0, error);
}

GPtrArray *
tl_admin_list_some (TlCli *cli, const char *method, ProtobufCMessage *request,
                    const ProtobufCMessageDescriptor *response, guint limit, GError **error)
{
  return list (cli, method, request, response, limit, error);
}

typedef struct
{
  GMainLoop *loop;
  TlRpcStream *stream;
  TlAdminMessageFunc func;
  gpointer user_data;
  gboolean stopped;     /* by func */
  gboolean interrupted; /* by a signal */
  GError *error;
} Watch;

static void
on_message (TlRpcStream *stream, const ProtobufCMessage *message, gpointer user_data)
{
  Watch *watch = user_data;

  if (watch->stopped || watch->interrupted)
    return;
  if (!watch->func (message, watch->user_data))
    {
      watch->stopped = TRUE;
      tl_rpc_stream_cancel (stream);
    }
}

static void
on_closed (TlRpcStream *stream, const GError *error, gpointer user_data)
{
  Watch *watch = user_data;

  (void)stream;
  if (error != NULL)
    watch->error = g_error_copy (error);
  g_main_loop_quit (watch->loop);
}

static gboolean
on_signal (gpointer user_data)
{
  Watch *watch = user_data;

  watch->interrupted = TRUE;
  tl_rpc_stream_cancel (watch->stream); /* on_closed quits the loop */
  return G_SOURCE_CONTINUE;
}

TlAdminOutcome
tl_admin_stream (TlCli *cli, const char *method, const ProtobufCMessage *request,
                 const ProtobufCMessageDescriptor *response, guint deadline_ms, TlAdminMessageFunc func,
                 gpointer user_data, GError **error)
{
  static const TlRpcStreamHandlers handlers = { on_message, on_closed };
  g_auto (Admin) admin = { 0 };
  g_autofree char *path = g_strconcat (SERVICE, method, NULL);
  Watch watch = { .func = func, .user_data = user_data };
  guint sigint, sigterm;

  if (!open_admin (&admin, cli, error))
    return TL_ADMIN_FAILED;

  watch.loop = g_main_loop_new (NULL, FALSE);
  /* Before the gateway hears of the call: a signal after that must not kill the program without a word. */
  sigint = g_unix_signal_add (SIGINT, on_signal, &watch);
  sigterm = g_unix_signal_add (SIGTERM, on_signal, &watch);
  watch.stream = tl_rpc_client_stream (admin.client, path, request, response, deadline_ms, &handlers, &watch);
  g_main_loop_run (watch.loop);
  g_source_remove (sigint);
  g_source_remove (sigterm);
  tl_rpc_stream_unref (watch.stream);
  g_main_loop_unref (watch.loop);

  if (watch.stopped || watch.interrupted || watch.error == NULL)
    {
      g_clear_error (&watch.error);
      return watch.interrupted ? TL_ADMIN_INTERRUPTED : TL_ADMIN_ENDED;
    }
  explain (&admin, deadline_ms, &watch.error);
  g_propagate_error (error, watch.error);
  return TL_ADMIN_FAILED;
}

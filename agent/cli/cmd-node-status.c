/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-node-process.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"
#include "agent/node/tl-node-state.h"
#include "base/tl-error.h"

/* One gateway as it is on disk; identity NULL with problem set when its keys cannot be read. */
typedef struct
{
  TlNodeState *state;
  TlDeviceIdentity *identity;
  GError *problem;
  TlNodeStatus *process; /* NULL: none runs */
} View;

static void
view_clear (View *view)
{
  g_clear_pointer (&view->state, tl_node_state_free);
  g_clear_pointer (&view->identity, tl_device_identity_free);
  g_clear_pointer (&view->process, tl_node_status_free);
  g_clear_error (&view->problem);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (View, view_clear)

static gboolean
look (TlCli *cli, const char *gateway, View *view, GError **error)
{
  view->state = tl_node_state_open (tl_cli_state_dir (cli), gateway, error);
  if (view->state == NULL)
    return FALSE;
  view->identity = tl_node_state_load_identity (view->state, &view->problem);
  view->process = tl_node_process_find (tl_node_state_directory (view->state));
  return TRUE;
}

static gint64
certificate_end_ms (const View *view)
{
  X509 *certificate = view->identity != NULL ? tl_device_identity_certificate (view->identity) : NULL;

  return certificate != NULL ? tl_certificate_not_after_ms (certificate) : 0;
}

/* Two thirds of its life; the node's own moment lies up to a tenth of it around that. */
static gint64
certificate_renews_ms (const View *view)
{
  X509 *certificate = view->identity != NULL ? tl_device_identity_certificate (view->identity) : NULL;
  gint64 start = certificate != NULL ? tl_certificate_not_before_ms (certificate) : 0;

  return start + (certificate_end_ms (view) - start) / 3 * 2;
}

static json_t *
view_to_json (TlCli *cli, const View *view)
{
  const TlNodeMarker *marker = tl_node_state_marker (view->state);
  json_t *object = json_object ();
  json_t *addresses = json_array ();
  gint64 end = certificate_end_ms (view);

  for (guint i = 0; marker->addresses != NULL && marker->addresses[i] != NULL; i++)
    json_array_append_new (addresses, tl_json_text (marker->addresses[i]));
  json_object_set_new (object, "gateway_id", tl_json_text (marker->gateway_id));
  json_object_set_new (object, "gateway_name", tl_json_text (marker->gateway_name));
  json_object_set_new (object, "device_id", tl_json_text (marker->device_id));
  json_object_set_new (object, "device_name", tl_json_text (marker->device_name));
  json_object_set_new (object, "identity_fingerprint", tl_json_text (marker->fingerprint));
  json_object_set_new (object, "addresses", addresses);
  json_object_set_new (object, "paired_at_unix_ms", json_integer (marker->paired_at_ms));
  json_object_set_new (object, "ca_generation", json_integer (marker->ca_generation));
  json_object_set_new (object, "certificate_not_after_unix_ms", end != 0 ? json_integer (end) : json_null ());
  json_object_set_new (object, "certificate_renews_unix_ms",
                       end != 0 ? json_integer (certificate_renews_ms (view)) : json_null ());
  json_object_set_new (object, "certificate_ended", json_boolean (end != 0 && end <= tl_cli_now_ms (cli)));
  json_object_set_new (object, "problem", view->problem != NULL ? tl_json_text (view->problem->message) : json_null ());
  json_object_set_new (object, "running", json_boolean (view->process != NULL));
  json_object_set_new (object, "pid", view->process != NULL ? json_integer (view->process->pid) : json_null ());
  json_object_set_new (object, "state", view->process != NULL ? tl_json_text (view->process->state) : json_null ());
  json_object_set_new (object, "detail", view->process != NULL ? tl_json_text (view->process->detail) : json_null ());
  json_object_set_new (object, "since_unix_ms",
                       view->process != NULL ? json_integer (view->process->since_ms) : json_null ());
  return object;
}

static char *
certificate_in_words (TlCli *cli, const View *view)
{
  gint64 end = certificate_end_ms (view);
  g_autofree char *when = tl_cli_time (cli, end);
  g_autofree char *renews = NULL;

  if (view->problem != NULL)
    return g_strdup_printf (_ ("cannot be read: %s"), view->problem->message);
  if (end == 0)
    return g_strdup (_ ("none; pair again with twinlatch node pair --replace"));
  if (end <= tl_cli_now_ms (cli))
    return g_strdup_printf (
        _ ("ended %s; the node renews it when it reaches the gateway, for some weeks (30 days unless "
           "the gateway says otherwise), after that: pair again with twinlatch node pair --replace"),
        when);
  renews = tl_cli_time (cli, certificate_renews_ms (view));
  return g_strdup_printf (_ ("good, ends %s; the node renews it by itself around %s"), when, renews);
}

static char *
process_in_words (TlCli *cli, const View *view)
{
  const TlNodeStatus *process = view->process;
  g_autofree char *since = NULL;

  if (process == NULL)
    return g_strdup (_ ("none; start it with twinlatch node run"));
  since = tl_cli_time (cli, process->since_ms);
  return g_strdup_printf (_ ("pid %d, %s; last change %s%s%s"), (int)process->pid, process->state, since,
                          process->detail[0] != '\0' ? ": " : "", process->detail);
}

static void
print_view (TlCli *cli, const View *view)
{
  const TlNodeMarker *marker = tl_node_state_marker (view->state);
  g_autoptr (TlTable) table = tl_table_new_pairs ();
  g_autofree char *addresses = marker->addresses != NULL ? g_strjoinv (", ", (char **)marker->addresses) : NULL;

  tl_table_add_pair (table, _ ("Gateway"), marker->gateway_name);
  tl_table_add_pair (table, _ ("Gateway id"), marker->gateway_id);
  tl_table_add_pair (table, _ ("Addresses"), addresses);
  tl_table_add_pair (table, _ ("This device"), marker->device_name);
  tl_table_add_pair (table, _ ("Device id"), marker->device_id);
  tl_table_add_pair (table, _ ("Identity key"), marker->fingerprint);
  tl_table_take_pair (table, _ ("Paired"), tl_cli_time (cli, marker->paired_at_ms));
  tl_table_take_pair (table, _ ("Certificate"), certificate_in_words (cli, view));
  tl_table_take_pair (table, _ ("Node process"), process_in_words (cli, view));
  tl_cli_print_table (cli, table);
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  g_autoptr (GPtrArray) gateways = tl_node_state_list (tl_cli_state_dir (cli), error);
  json_t *items;

  (void)args;
  if (gateways == NULL)
    return FALSE;
  if (gateways->len == 0)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_NOT_PAIRED,
                           _ ("this computer is not paired with any gateway; pair it with twinlatch node pair"));
      return FALSE;
    }

  items = json_array ();
  for (guint i = 0; i < gateways->len; i++)
    {
      g_auto (View) view = { 0 };

      if (!look (cli, gateways->pdata[i], &view, error))
        {
          json_decref (items);
          return FALSE;
        }
      if (tl_cli_is_json (cli))
        {
          json_array_append_new (items, view_to_json (cli, &view));
          continue;
        }
      if (i > 0)
        tl_cli_print (cli, "\n");
      print_view (cli, &view);
    }
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, json_pack ("{s:o}", "items", items));
  else
    json_decref (items);
  return TRUE;
}

const TlVerb tl_verb_node_status = {
  .path = "node status",
  .arguments = "",
  .summary = N_ ("show this computer's pairings and whether a node runs"),
  .details = N_ ("Looks at this computer only; nothing goes over the network. Exit status 11 when it is not paired."),
  .run = run,
};

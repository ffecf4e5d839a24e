/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"

static void
add_path (TlTable *table, const Twinlatch__V1__Node *node)
{
  tl_table_take_pair (table, _ ("Round trip"), g_strdup_printf (_ ("%.2f ms"), (double)node->rtt_us / 1000));
  tl_table_take_pair (table, _ ("Packets lost"), g_strdup_printf ("%llu", (unsigned long long)node->packets_lost));
  tl_table_take_pair (table, _ ("Moved"), g_strdup_printf (_ ("%u times to another address"), node->migrations));
}

static void
print_node (TlCli *cli, const Twinlatch__V1__Node *node)
{
  g_autoptr (TlTable) table = tl_table_new_pairs ();

  tl_table_add_pair (table, _ ("Node"), node->device_id);
  tl_table_add_pair (table, _ ("Name"), node->name);
  tl_table_take_pair (table, _ ("State"), tl_enum_to_text (&twinlatch__v1__device_state__descriptor, node->state));
  tl_table_take_pair (table, _ ("Kind"), tl_enum_to_text (&twinlatch__v1__client_kind__descriptor, node->client_kind));
  tl_table_add_pair (table, _ ("Platform"), node->platform);
  tl_table_add_pair (table, _ ("Version"), node->node_version);
  tl_table_add_pair (table, _ ("Connected"), node->connected ? _ ("yes") : _ ("no"));
  if (node->connected)
    {
      tl_table_add_pair (table, _ ("Transport"), node->transport);
      tl_table_add_pair (table, _ ("Address"), node->address);
      tl_table_take_pair (table, _ ("Connected since"), tl_cli_time (cli, node->connected_at_unix_ms));
      if (g_str_equal (node->transport, "quic"))
        add_path (table, node);
    }
  tl_table_take_pair (table, _ ("Registered"), tl_cli_time (cli, node->registered_at_unix_ms));
  tl_table_take_pair (table, _ ("Last seen"), tl_cli_time (cli, node->last_seen_unix_ms));
  tl_table_take_pair (table, _ ("Events"),
                      g_strdup_printf (_ ("%llu of %llu acknowledged"), (unsigned long long)node->acknowledged_seq,
                                       (unsigned long long)node->latest_seq));
  tl_cli_print_table (cli, table);
}

static gboolean
is_switched_off (const Twinlatch__V1__Node *node, const char *capability)
{
  for (size_t i = 0; i < node->n_switched_off; i++)
    if (g_str_equal (node->switched_off[i], capability))
      return TRUE;
  return FALSE;
}

static void
print_capabilities (TlCli *cli, const Twinlatch__V1__Node *node)
{
  g_autoptr (TlTable) table = tl_table_new (_ ("CAPABILITY"), _ ("AVAILABLE"), _ ("POLICY"), _ ("DESCRIPTION"), NULL);

  if (node->n_capabilities == 0)
    return;
  for (size_t i = 0; i < node->n_capabilities; i++)
    {
      const Twinlatch__V1__CapabilityDescriptor *capability = node->capabilities[i];
      g_autofree char *consent = tl_enum_to_text (&twinlatch__v1__consent_level__descriptor, capability->consent);

      tl_table_add (table, capability->name,
                    is_switched_off (node, capability->name) ? _ ("off (gateway)")
                    : capability->available                  ? _ ("yes")
                                                             : _ ("no"),
                    consent, capability->description);
    }
  tl_cli_print (cli, "\n");
  tl_cli_print_table (cli, table);
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__GetDeviceRequest request = TWINLATCH__V1__GET_DEVICE_REQUEST__INIT;
  g_autoptr (TlDeviceAnswer) answer = NULL;

  request.device = (char *)tl_args_argument (args, 0);
  answer = (TlDeviceAnswer *)tl_admin_call (cli, "GetDevice", &request.base,
                                            &twinlatch__v1__get_device_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  if (answer->node == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND,
                   _ ("device '%s' is paired but never registered as a node; start its node first"), request.device);
      return FALSE;
    }
  if (tl_cli_is_json (cli))
    {
      tl_cli_print_json (cli, tl_json_from_message (&answer->node->base));
      return TRUE;
    }
  print_node (cli, answer->node);
  print_capabilities (cli, answer->node);
  return TRUE;
}

const TlVerb tl_verb_nodes_show = {
  .path = "nodes show",
  .arguments = "NODE",
  .min_arguments = 1,
  .max_arguments = 1,
  .summary = N_ ("show one node and what it can run"),
  .details = N_ ("NODE is a device id, a unique prefix of one, or a name that only one device has."),
  .run = run,
};

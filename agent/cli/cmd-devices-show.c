/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"

static void
print_device (TlCli *cli, const Twinlatch__V1__Device *device)
{
  g_autoptr (TlTable) table = tl_table_new_pairs ();

  tl_table_add_pair (table, _ ("Device"), device->device_id);
  tl_table_add_pair (table, _ ("Name"), device->name);
  tl_table_take_pair (table, _ ("State"), tl_enum_to_text (&twinlatch__v1__device_state__descriptor, device->state));
  tl_table_take_pair (table, _ ("Role"), tl_enum_to_text (&twinlatch__v1__role__descriptor, device->role));
  tl_table_take_pair (table, _ ("Kind"),
                      tl_enum_to_text (&twinlatch__v1__client_kind__descriptor, device->client_kind));
  tl_table_add_pair (table, _ ("Platform"), device->platform);
  tl_table_add_pair (table, _ ("Identity key"), device->identity_fingerprint);
  tl_table_take_pair (table, _ ("Paired"), tl_cli_time (cli, device->paired_at_unix_ms));
  tl_table_add_pair (table, _ ("Approved by"), device->approved_by);
  tl_table_add_pair (table, _ ("Connected"), device->connected ? _ ("yes") : _ ("no"));
  tl_table_take_pair (table, _ ("Last seen"), tl_cli_time (cli, device->last_seen_unix_ms));
  if (device->replaced_device_id[0] != '\0')
    tl_table_add_pair (table, _ ("Replaced"), device->replaced_device_id);
  if (device->revoked_at_unix_ms != 0)
    {
      tl_table_take_pair (table, _ ("Revoked"), tl_cli_time (cli, device->revoked_at_unix_ms));
      tl_table_add_pair (table, _ ("Revoked by"), device->revoked_by);
      tl_table_add_pair (table, _ ("Reason"), device->revoked_reason);
    }
  if (device->changed_at_unix_ms != 0 && device->changed_at_unix_ms != device->revoked_at_unix_ms)
    {
      tl_table_take_pair (table, _ ("Last change"), tl_cli_time (cli, device->changed_at_unix_ms));
      tl_table_add_pair (table, _ ("Changed by"), device->changed_by);
      tl_table_add_pair (table, _ ("Change's reason"), device->changed_reason);
    }
  tl_cli_print_table (cli, table);
}

static void
print_certificates (TlCli *cli, const Twinlatch__V1__Device *device)
{
  g_autoptr (TlTable) table = tl_table_new (_ ("CERTIFICATE"), _ ("CA"), _ ("STATE"), _ ("ENDS"), NULL);

  for (size_t i = 0; i < device->n_certificates; i++)
    {
      const Twinlatch__V1__Certificate *certificate = device->certificates[i];
      g_autofree char *generation = g_strdup_printf ("G%u", certificate->ca_generation);
      g_autofree char *ends = tl_cli_time (cli, certificate->not_after_unix_ms);
      const char *state = certificate->revoked                                    ? _ ("revoked")
                          : certificate->not_after_unix_ms <= tl_cli_now_ms (cli) ? _ ("ended")
                          : certificate->used                                     ? _ ("in use")
                                                                                  : _ ("not used yet");

      tl_table_add (table, certificate->fingerprint, generation, state, ends);
    }
  if (tl_table_rows (table) == 0)
    return;
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
  if (answer->device == NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, _ ("the gateway's answer holds no device"));
      return FALSE;
    }
  if (tl_cli_is_json (cli))
    {
      tl_cli_print_json (cli, tl_json_from_message (&answer->base));
      return TRUE;
    }
  print_device (cli, answer->device);
  print_certificates (cli, answer->device);
  return TRUE;
}

const TlVerb tl_verb_devices_show = {
  .path = "devices show",
  .arguments = "DEVICE",
  .min_arguments = 1,
  .max_arguments = 1,
  .summary = N_ ("show one device and its certificates"),
  .details = N_ ("DEVICE is an id, a unique prefix of one, or a name that only one device has."),
  .run = run,
};

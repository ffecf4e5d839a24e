/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"

/* Of the newest that is not revoked; 0: there is none. */
static gint64
certificate_end_ms (const Twinlatch__V1__Device *device)
{
  gint64 end = 0;

  for (size_t i = 0; i < device->n_certificates; i++)
    if (!device->certificates[i]->revoked)
      end = MAX (end, device->certificates[i]->not_after_unix_ms);
  return end;
}

static void
print_table (TlCli *cli, const GPtrArray *devices)
{
  g_autoptr (TlTable) table = tl_table_new (_ ("DEVICE"), _ ("NAME"), _ ("STATE"), _ ("ROLE"), _ ("KIND"),
                                            _ ("CONNECTED"), _ ("LAST SEEN"), _ ("CERTIFICATE ENDS"), NULL);

  for (guint i = 0; i < devices->len; i++)
    {
      const Twinlatch__V1__Device *device = g_ptr_array_index (devices, i);
      g_autofree char *state = tl_enum_to_text (&twinlatch__v1__device_state__descriptor, device->state);
      g_autofree char *role = tl_enum_to_text (&twinlatch__v1__role__descriptor, device->role);
      g_autofree char *kind = tl_enum_to_text (&twinlatch__v1__client_kind__descriptor, device->client_kind);
      g_autofree char *seen = tl_cli_time (cli, device->last_seen_unix_ms);
      g_autofree char *ends = tl_cli_time (cli, certificate_end_ms (device));

      tl_table_add (table, device->device_id, device->name, state, role, kind, device->connected ? _ ("yes") : _ ("no"),
                    seen, ends);
    }
  tl_cli_print_table (cli, table);
}

static gboolean
parse_states (TlArgs *args, GArray *states, GError **error)
{
  const char *const *words = tl_args_list (args, "state");

  for (guint i = 0; words[i] != NULL; i++)
    {
      int number;
      Twinlatch__V1__DeviceState state;

      if (!tl_enum_from_text (&twinlatch__v1__device_state__descriptor, words[i], &number))
        {
          g_set_error (error, TL_ERROR, TL_ERROR_USAGE,
                       _ ("'%s' is no state of a device; it is active, suspended, revoked or removed"), words[i]);
          return FALSE;
        }
      state = (Twinlatch__V1__DeviceState)number;
      g_array_append_val (states, state);
    }
  return TRUE;
}

static gboolean
is_filtered (TlArgs *args)
{
  return tl_args_list (args, "state")[0] != NULL || tl_args_text (args, "role") != NULL
         || tl_args_text (args, "approved-by") != NULL || tl_args_flag (args, "connected");
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__ListDevicesRequest request = TWINLATCH__V1__LIST_DEVICES_REQUEST__INIT;
  Twinlatch__V1__DeviceState paired[] = {
    TWINLATCH__V1__DEVICE_STATE__DEVICE_STATE_ACTIVE,
    TWINLATCH__V1__DEVICE_STATE__DEVICE_STATE_SUSPENDED,
  };
  g_autoptr (GArray) states = g_array_new (FALSE, FALSE, sizeof (Twinlatch__V1__DeviceState));
  g_autoptr (GPtrArray) devices = NULL;
  int role = TWINLATCH__V1__ROLE__ROLE_UNSPECIFIED;

  if (!parse_states (args, states, error))
    return FALSE;
  if (states->len == 0 && !tl_args_flag (args, "all"))
    g_array_append_vals (states, paired, G_N_ELEMENTS (paired));
  request.n_states = states->len;
  request.states = (Twinlatch__V1__DeviceState *)(gpointer)states->data;
  if (tl_args_text (args, "role") != NULL)
    tl_enum_from_text (&twinlatch__v1__role__descriptor, tl_args_text (args, "role"), &role);
  request.role = (Twinlatch__V1__Role)role;
  request.connected_only = tl_args_flag (args, "connected");
  if (tl_args_text (args, "approved-by") != NULL)
    request.approved_by = (char *)tl_args_text (args, "approved-by");
  devices = tl_admin_list (cli, "ListDevices", &request.base, &twinlatch__v1__list_devices_response__descriptor, error);
  if (devices == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, tl_json_from_messages (devices));
  else if (devices->len == 0 && is_filtered (args))
    tl_cli_note (cli, _ ("No device is like that.\n"));
  else if (devices->len == 0)
    tl_cli_note (cli, _ ("No device is paired. Make a code with: twinlatch pairing mint\n"));
  else
    print_table (cli, devices);
  return TRUE;
}

static const TlOption options[] = {
  { "all", TL_OPTION_FLAG, NULL, N_ ("also revoked and removed devices") },
  { "state", TL_OPTION_LIST, "STATE", N_ ("only active, suspended, revoked or removed ones; may be repeated") },
  { "role", TL_OPTION_CHOICE, "node|operator", N_ ("only devices with this role") },
  { "connected", TL_OPTION_FLAG, NULL, N_ ("only devices that are connected now") },
  { "approved-by", TL_OPTION_TEXT, "ACTOR", N_ ("only devices that uid:NUMBER or device:ID let in") },
  { NULL },
};

const TlVerb tl_verb_devices_list = {
  .path = "devices list",
  .arguments = "",
  .summary = N_ ("list paired devices"),
  .options = options,
  .run = run,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-device-change.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-prompt.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"

static TlStatusAnswer *
get_status (TlCli *cli, GError **error)
{
  Twinlatch__V1__GetStatusRequest request = TWINLATCH__V1__GET_STATUS_REQUEST__INIT;

  return (TlStatusAnswer *)tl_admin_call (cli, "GetStatus", &request.base,
                                          &twinlatch__v1__get_status_response__descriptor, error);
}

/* What there is to look at before saying yes. */
static gboolean
show_list (TlCli *cli, const TlStatusAnswer *status, guint *n, GError **error)
{
  Twinlatch__V1__ListDevicesRequest request = TWINLATCH__V1__LIST_DEVICES_REQUEST__INIT;
  Twinlatch__V1__DeviceState active = TWINLATCH__V1__DEVICE_STATE__DEVICE_STATE_ACTIVE;
  g_autoptr (GPtrArray) devices = NULL;
  g_autoptr (TlTable) table = NULL;
  g_autofree char *reason = tl_text_escape (status->restored_reason);
  g_autofree char *since = tl_cli_time (cli, status->restored_at_unix_ms);

  request.n_states = 1;
  request.states = &active;
  devices = tl_admin_list (cli, "ListDevices", &request.base, &twinlatch__v1__list_devices_response__descriptor, error);
  if (devices == NULL)
    return FALSE;
  *n = devices->len;
  if (tl_cli_is_json (cli))
    return TRUE;
  tl_cli_print (cli, _ ("This gateway was restored from a backup (%s), found %s.\n"), reason, since);
  tl_cli_print (cli, _ ("Nobody knows what was revoked since that backup was made. Revoke what should not come back,\n"
                        "then confirm. These devices would be admitted again:\n"));
  table = tl_table_new (_ ("DEVICE"), _ ("NAME"), _ ("ROLE"), _ ("PAIRED"), _ ("APPROVED BY"), _ ("LAST SEEN"), NULL);
  for (guint i = 0; i < devices->len; i++)
    {
      const Twinlatch__V1__Device *device = g_ptr_array_index (devices, i);
      g_autofree char *role = tl_enum_to_text (&twinlatch__v1__role__descriptor, device->role);
      g_autofree char *paired = tl_cli_time (cli, device->paired_at_unix_ms);
      g_autofree char *seen = tl_cli_time (cli, device->last_seen_unix_ms);

      tl_table_add (table, device->device_id, device->name, role, paired, device->approved_by, seen);
    }
  tl_cli_print_table (cli, table);
  return TRUE;
}

static gboolean
confirm (TlCli *cli, TlArgs *args, const TlStatusAnswer *status, GError **error)
{
  Twinlatch__V1__ConfirmDevicesRequest request = TWINLATCH__V1__CONFIRM_DEVICES_REQUEST__INIT;
  g_autoptr (TlConfirmAnswer) answer = NULL;

  request.restored_at_unix_ms = status->restored_at_unix_ms;
  if (tl_args_text (args, "reason") != NULL)
    request.reason = (char *)tl_args_text (args, "reason");
  answer = (TlConfirmAnswer *)tl_admin_call (cli, "ConfirmDevices", &request.base,
                                             &twinlatch__v1__confirm_devices_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, tl_json_from_message (&answer->base));
  else if (answer->already)
    tl_cli_print (cli, _ ("There is nothing to confirm: devices are admitted.\n"));
  else
    tl_cli_print (cli, _ ("Confirmed: %u devices are admitted again.\n"), answer->devices);
  return TRUE;
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  g_autoptr (TlStatusAnswer) status = get_status (cli, error);
  g_autofree char *question = NULL;
  guint n = 0;

  if (status == NULL)
    return FALSE;
  if (status->restored)
    {
      if (!show_list (cli, status, &n, error))
        return FALSE;
      question = g_strdup_printf (ngettext ("Admit this %u device?", "Admit these %u devices?", n), n);
      if (!tl_prompt_require (tl_args_flag (args, "yes"), question, error))
        return FALSE;
    }
  return confirm (cli, args, status, error);
}

static const TlOption options[] = {
  { "reason", TL_OPTION_TEXT, "TEXT", N_ ("kept in the journal, at most 240 bytes") },
  TL_DEVICE_OPTION_YES,
  { NULL },
};

const TlVerb tl_verb_devices_confirm = {
  .path = "devices confirm",
  .arguments = "",
  .summary = N_ ("admit the devices of a restored gateway again"),
  .details
  = N_ ("A gateway whose store is older than its admission.log promises, or whose log is gone or damaged, admits "
        "no device\n"
        "until somebody at the gateway looked at the list of devices and confirmed it. See twinlatchd(8), "
        "BACKUP AND RESTORE."),
  .options = options,
  .run = run,
};

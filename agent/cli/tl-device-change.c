/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-device-change.h"

#include <glib/gi18n.h>

#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-prompt.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"

/* ---- asking ---- */

/* The device that the gateway means by this, so that exactly that one is changed; *label is how people know it. */
static char *
resolve (TlCli *cli, const char *device, char **label, GError **error)
{
  Twinlatch__V1__GetDeviceRequest request = TWINLATCH__V1__GET_DEVICE_REQUEST__INIT;
  g_autoptr (TlDeviceAnswer) answer = NULL;
  g_autofree char *name = NULL;

  request.device = (char *)device;
  answer = (TlDeviceAnswer *)tl_admin_call (cli, "GetDevice", &request.base,
                                            &twinlatch__v1__get_device_response__descriptor, error);
  if (answer == NULL)
    return NULL;
  if (answer->device == NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, _ ("the gateway's answer holds no device"));
      return NULL;
    }
  name = tl_text_escape (answer->device->name);
  *label = g_strdup_printf ("%s (%s)", name, answer->device->device_id);
  return g_strdup (answer->device->device_id);
}

static gboolean
ask (TlCli *cli, const TlDeviceVerb *verb, GPtrArray *devices, GError **error)
{
  g_autoptr (GString) labels = g_string_new (NULL);
  g_autofree char *question = NULL;

  /* Without a terminal the missing --yes is reported before anything is asked of the gateway. */
  if (!tl_prompt_available ())
    return tl_prompt_require (FALSE, "", error);
  for (guint i = 0; i < devices->len; i++)
    {
      g_autofree char *label = NULL;
      char *id = resolve (cli, g_ptr_array_index (devices, i), &label, error);

      if (id == NULL)
        return FALSE;
      g_free (g_ptr_array_index (devices, i));
      g_ptr_array_index (devices, i) = id;
      g_string_append_printf (labels, "%s%s", i > 0 ? ", " : "", label);
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the verb's translated sentence; all have one %s */
  question = g_strdup_printf (_ (verb->question), labels->str);
#pragma GCC diagnostic pop
  return tl_prompt_require (FALSE, question, error);
}

/* ---- answers ---- */

static void
print_counts (TlCli *cli, const TlChangeAnswer *answer)
{
  tl_cli_print (cli, _ ("%u certificates, %u calls cancelled, %u connections closed, %u requests failed"),
                answer->certificates, answer->calls_cancelled, answer->connections_closed, answer->requests_failed);
  if (answer->requests_kept > 0)
    tl_cli_print (cli, _ (", %u requests kept"), answer->requests_kept);
  tl_cli_print (cli, ".\n");
}

/* What an operator that is one no longer leaves behind. */
static void
print_operator (TlCli *cli, const TlChangeAnswer *answer)
{
  g_autoptr (TlTable) table = NULL;

  for (size_t i = 0; i < answer->n_codes_cancelled; i++)
    tl_cli_print (cli, answer->dry_run ? _ ("Code %s would be cancelled.\n") : _ ("Code %s was cancelled.\n"),
                  answer->codes_cancelled[i]->code_id);
  for (size_t i = 0; i < answer->n_pairing_requests_ended; i++)
    {
      const Twinlatch__V1__PairingRequest *request = answer->pairing_requests_ended[i];
      g_autofree char *name = tl_text_escape (request->device_name);

      tl_cli_print (cli,
                    answer->dry_run ? _ ("Pairing request %s of \"%s\" would end.\n")
                                    : _ ("Pairing request %s of \"%s\" ended.\n"),
                    request->request_id, name);
    }
  if (answer->n_devices_admitted == 0)
    return;
  tl_cli_print (cli, _ ("Devices that it admitted; they stay as they are, look at each of them:\n"));
  table = tl_table_new (_ ("DEVICE"), _ ("NAME"), _ ("STATE"), _ ("PAIRED"), NULL);
  for (size_t i = 0; i < answer->n_devices_admitted; i++)
    {
      const Twinlatch__V1__AdmittedDevice *device = answer->devices_admitted[i];
      g_autofree char *state = tl_enum_to_text (&twinlatch__v1__device_state__descriptor, device->state);
      g_autofree char *paired = tl_cli_time (cli, device->paired_at_unix_ms);

      tl_table_add (table, device->device_id, device->name, state, paired);
    }
  tl_cli_print_table (cli, table);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the verb's translated sentences, see TlDeviceVerb */
static char *
sentence (const TlDeviceVerb *verb, const TlChangeAnswer *answer, const char *name)
{
  if (answer->already)
    return g_strdup_printf (_ (verb->already), name);
  if (answer->dry_run)
    return g_strdup_printf (_ (verb->would), name);
  return g_strdup_printf (_ (verb->done), name, answer->duration_ms);
}
#pragma GCC diagnostic pop

static void
print_for_people (TlCli *cli, const TlDeviceVerb *verb, const TlChangeAnswer *answer, const char *device)
{
  gboolean has_name = answer->device != NULL && answer->device->name[0] != '\0';
  g_autofree char *name = tl_text_escape (has_name ? answer->device->name : device);
  g_autofree char *text = sentence (verb, answer, name);

  if (answer->already)
    {
      tl_cli_print (cli, "%s\n", text);
      return;
    }
  tl_cli_print (cli, "%s: ", text);
  if (verb->after != NULL)
    tl_cli_print (cli, "%s\n", _ (verb->after));
  else
    print_counts (cli, answer);
  print_operator (cli, answer);
}

/* ---- one after the other ---- */

static void *
slot (ProtobufCMessage *message, const char *name)
{
  const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name (message->descriptor, name);

  return field != NULL ? (char *)message + field->offset : NULL;
}

static gboolean
change_one (TlCli *cli, TlArgs *args, const TlDeviceVerb *verb, const char *device, int role, GError **error)
{
  g_autofree ProtobufCMessage *request = g_malloc0 (verb->request->sizeof_message);
  g_autoptr (TlChangeAnswer) answer = NULL;
  char **reason;
  protobuf_c_boolean *dry_run;
  Twinlatch__V1__Role *wanted;

  verb->request->message_init (request);
  *(const char **)slot (request, "device") = device;
  reason = slot (request, "reason");
  if (reason != NULL && tl_args_text (args, "reason") != NULL)
    *reason = (char *)tl_args_text (args, "reason");
  dry_run = slot (request, "dry_run");
  if (dry_run != NULL)
    *dry_run = tl_args_flag (args, "dry-run");
  wanted = slot (request, "role");
  if (wanted != NULL)
    *wanted = (Twinlatch__V1__Role)role;
  /* RevokeDeviceResponse has the same fields. */
  answer = (TlChangeAnswer *)tl_admin_call (cli, verb->method, request,
                                            &twinlatch__v1__device_change_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, tl_json_from_message (&answer->base));
  else
    print_for_people (cli, verb, answer, device);
  return TRUE;
}

gboolean
tl_device_change_run (TlCli *cli, TlArgs *args, const TlDeviceVerb *verb, guint n, int role, GError **error)
{
  g_autoptr (GPtrArray) devices = g_ptr_array_new_with_free_func (g_free);
  int exit_code = TL_EXIT_OK;

  for (guint i = 0; i < n; i++)
    g_ptr_array_add (devices, g_strdup (tl_args_argument (args, i)));
  if (verb->question != NULL && !tl_args_flag (args, "yes") && !tl_args_flag (args, "dry-run")
      && !ask (cli, verb, devices, error))
    return FALSE;
  if (n == 1)
    return change_one (cli, args, verb, g_ptr_array_index (devices, 0), role, error);
  for (guint i = 0; i < devices->len; i++)
    {
      g_autoptr (GError) failure = NULL;
      int code;

      if (change_one (cli, args, verb, g_ptr_array_index (devices, i), role, &failure))
        continue;
      g_prefix_error (&failure, "%s: ", (const char *)g_ptr_array_index (devices, i));
      code = tl_cli_report (cli, failure);
      exit_code = exit_code != TL_EXIT_OK ? exit_code : code;
    }
  tl_cli_set_exit_code (cli, exit_code);
  return TRUE;
}

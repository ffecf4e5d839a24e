/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"

#define DEFAULT_LIMIT 50
#define MAX_LIMIT     1000000
#define MAX_SINCE_MS  (G_GINT64_CONSTANT (366) * 86400 * 1000)

static void
print_table (TlCli *cli, const GPtrArray *requests)
{
  g_autoptr (TlTable) table = tl_table_new (_ ("REQUEST"), _ ("DEVICE"), _ ("CAPABILITY"), _ ("STATE"), _ ("BY"),
                                            _ ("CREATED"), _ ("INPUT"), NULL);

  for (guint i = 0; i < requests->len; i++)
    {
      const Twinlatch__V1__CapabilityRequest *request = g_ptr_array_index (requests, i);
      g_autofree char *state = tl_enum_to_text (&twinlatch__v1__request_state__descriptor, request->state);
      g_autofree char *created = tl_cli_time (cli, request->created_at_unix_ms);

      tl_table_add (table, request->request_id, request->device_id, request->capability, state, request->requested_by,
                    created, request->input_summary);
    }
  tl_cli_print_table (cli, table);
}

/* "open" stands for the four states that are not final. */
static gboolean
parse_states (const char *const *words, GArray *states, GError **error)
{
  for (; *words != NULL; words++)
    {
      int state = 0;

      if (g_str_equal (*words, "open"))
        for (state = TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_QUEUED;
             state <= TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_RUNNING; state++)
          g_array_append_val (states, state);
      else if (tl_enum_from_text (&twinlatch__v1__request_state__descriptor, *words, &state))
        g_array_append_val (states, state);
      else
        {
          g_set_error (error, TL_ERROR, TL_ERROR_USAGE,
                       _ ("'%s' is not a state; there are open, queued, dispatched, awaiting_consent, running, "
                          "succeeded, failed, denied, timed_out, cancelled and expired"),
                       *words);
          return FALSE;
        }
    }
  return TRUE;
}

static char *
text_or_empty (TlArgs *args, const char *option)
{
  const char *text = tl_args_text (args, option);

  return text != NULL ? (char *)text : (char *)"";
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__ListCapabilityRequestsRequest request = TWINLATCH__V1__LIST_CAPABILITY_REQUESTS_REQUEST__INIT;
  g_autoptr (GArray) states = g_array_new (FALSE, FALSE, sizeof (int));
  g_autoptr (GPtrArray) requests = NULL;
  gint64 since_ms = tl_args_number (args, "since", 0);

  G_STATIC_ASSERT (sizeof (int) == sizeof (Twinlatch__V1__RequestState));
  if (!parse_states (tl_args_list (args, "state"), states, error))
    return FALSE;
  request.device = text_or_empty (args, "device");
  request.capability = text_or_empty (args, "capability");
  request.requested_by = text_or_empty (args, "by");
  request.since_unix_ms = since_ms > 0 ? tl_cli_now_ms (cli) - since_ms : 0;
  request.n_states = states->len;
  request.states = (Twinlatch__V1__RequestState *)(gpointer)states->data;
  requests = tl_admin_list_some (cli, "ListCapabilityRequests", &request.base,
                                 &twinlatch__v1__list_capability_requests_response__descriptor,
                                 (guint)tl_args_number (args, "limit", DEFAULT_LIMIT), error);
  if (requests == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, tl_json_from_messages (requests));
  else if (requests->len == 0)
    tl_cli_note (cli, _ ("There are no such requests.\n"));
  else
    print_table (cli, requests);
  return TRUE;
}

static const TlOption options[] = {
  { "device", TL_OPTION_TEXT, "DEVICE", N_ ("only those of this device") },
  { "capability", TL_OPTION_TEXT, "NAME", N_ ("only those of this capability") },
  { "state", TL_OPTION_LIST, "STATE", N_ ("only those in this state; open: all that are not over") },
  { "by", TL_OPTION_TEXT, "ACTOR", N_ ("only those that uid:1000 or device:ID asked for") },
  { "since", TL_OPTION_DURATION, "D", N_ ("only those made within the last 10m, 2h, 3d"), 1, MAX_SINCE_MS },
  { "limit", TL_OPTION_INTEGER, "N", N_ ("at most so many (default 50)"), 1, MAX_LIMIT },
  { NULL },
};

const TlVerb tl_verb_requests_list = {
  .path = "requests list",
  .arguments = "",
  .summary = N_ ("list capability requests, newest first"),
  .details = N_ ("Requests that are over are kept for 30 days, their input and output only as a short summary without "
                 "secrets."),
  .options = options,
  .run = run,
};

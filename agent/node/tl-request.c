/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-request.h"

#include <string.h>

#include "agent/node/tl-request-runner.h"
#include "base/tl-error.h"
#include "base/tl-ulid.h"

#define DEFAULT_PAYLOAD (64u * 1024u)
/* An input of 4 MiB, escaped as a string, and the members beside it. */
#define MAX_EVENT_BYTES (26u * 1024u * 1024u)

const char *
tl_request_state_to_string (TlRequestState state)
{
  switch (state)
    {
    case TL_REQUEST_WAITING:
      return "waiting";
    case TL_REQUEST_DECIDING:
      return "deciding";
    case TL_REQUEST_RUNNING:
      return "running";
    case TL_REQUEST_ENDED:
      return "ended";
    }
  g_assert_not_reached ();
}

static char *
get_id (const json_t *object)
{
  const char *id;

  if (object == NULL || !tl_json_get_string (object, "request_id", TRUE, &id, NULL) || !tl_ulid_is_valid (id))
    return NULL;
  return g_strdup (id);
}

char *
tl_request_parse_id (const char *data)
{
  tl_json_auto object = tl_json_parse (data, -1, MAX_EVENT_BYTES, NULL);

  return get_id (object);
}

static TlRequest *
request_new (char *id)
{
  TlRequest *request = g_new0 (TlRequest, 1);

  request->id = id;
  request->capability = g_strdup ("");
  request->input = g_strdup ("");
  request->requested_by = g_strdup ("");
  request->seqs = g_array_new (FALSE, FALSE, sizeof (guint64));
  return request;
}

static void
replace_string (char **member, const char *value)
{
  g_free (*member);
  *member = g_strdup (value != NULL ? value : "");
}

gboolean
tl_request_parse (const char *data, TlRequest **request, GError **error)
{
  tl_json_auto object = tl_json_parse (data, -1, MAX_EVENT_BYTES, error);
  const char *capability, *input, *requested_by;
  gint64 max_payload;
  TlRequest *parsed;
  char *id;

  *request = NULL;
  if (object == NULL)
    return FALSE;
  id = get_id (object);
  if (id == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_PROTOCOL, "a dispatch without a valid request id");
      return FALSE;
    }
  *request = parsed = request_new (id);
  if (tl_json_get_string (object, "capability", TRUE, &capability, error))
    replace_string (&parsed->capability, capability);
  else
    return FALSE;
  if (!tl_json_get_string (object, "input", FALSE, &input, error)
      || !tl_json_get_string (object, "requested_by", FALSE, &requested_by, error))
    return FALSE;
  replace_string (&parsed->input, input);
  replace_string (&parsed->requested_by, requested_by);
  if (!tl_json_get_int (object, "expires_at_unix_ms", TRUE, 0, TL_JSON_MAX_INTEGER - 1, 0, &parsed->expires_at_ms,
                        error)
      || !tl_json_get_int (object, "timeout_ms", FALSE, 1, TL_RUNNER_MAX_TIMEOUT_MS, TL_RUNNER_DEFAULT_TIMEOUT_MS,
                           &parsed->timeout_ms, error)
      || !tl_json_get_int (object, "max_payload_bytes", FALSE, 1, TL_CAPABILITY_MAX_PAYLOAD, DEFAULT_PAYLOAD,
                           &max_payload, error))
    return FALSE;
  parsed->max_payload = (gsize)max_payload;
  if (strlen (parsed->capability) <= TL_CAPABILITY_NAME_MAX)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the name of the capability is longer than %d bytes",
               TL_CAPABILITY_NAME_MAX);
  return FALSE;
}

TlRequest *
tl_request_new_recorded (const char *id, const char *capability, const TlReceipt *receipt)
{
  TlRequest *request = request_new (g_strdup (id));

  replace_string (&request->capability, capability);
  request->receipt = tl_receipt_copy (receipt);
  request->expires_at_ms = receipt->expires_at_ms;
  request->recorded = TRUE;
  request->state = TL_REQUEST_ENDED;
  return request;
}

void
tl_request_clear_timer (TlRequest *request)
{
  if (request->timer == NULL)
    return;
  g_source_destroy (request->timer);
  g_clear_pointer (&request->timer, g_source_unref);
}

void
tl_request_free (TlRequest *request)
{
  if (request == NULL)
    return;
  tl_request_clear_timer (request);
  if (request->call != NULL)
    tl_capability_call_cancel (request->call);
  g_clear_pointer (&request->call, tl_capability_call_unref);
  tl_request_result_free (request->result);
  tl_receipt_free (request->receipt);
  g_array_unref (request->seqs);
  g_free (request->id);
  g_free (request->capability);
  g_free (request->input);
  g_free (request->requested_by);
  g_free (request);
}

void
tl_request_add_seq (TlRequest *request, guint64 seq)
{
  for (guint i = 0; i < request->seqs->len; i++)
    if (g_array_index (request->seqs, guint64, i) == seq)
      return;
  g_array_append_val (request->seqs, seq);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-request-follow.h"

#include <glib/gi18n.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-exec-output.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-text.h"
#include "base/tl-error.h"

typedef Twinlatch__V1__ExecuteCapabilityResponse Answer;

typedef struct
{
  TlCli *cli;
  gboolean shows_progress;
  gboolean detach; /* the first answer is enough */
  char *request_id;
  json_t *result;  /* the object of --json, once terminal, or the first one */
  char *output;    /* verbatim */
  GError *failure; /* terminal, but not succeeded */
} Execution;

static void
execution_clear (Execution *execution)
{
  g_free (execution->request_id);
  g_free (execution->output);
  g_clear_error (&execution->failure);
  g_clear_pointer (&execution->result, json_decref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Execution, execution_clear)

/* The state as an error; -1: not terminal. */
static int
error_code_for_state (const Answer *answer)
{
  TlErrorCode code;

  switch (answer->state)
    {
    case TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_FAILED:
      if (tl_error_code_from_reason (answer->error_reason, &code) && code == TL_ERROR_CAPABILITY_UNKNOWN)
        return TL_ERROR_CAPABILITY_UNKNOWN;
      return TL_ERROR_CAPABILITY_FAILED; /* "not_found" is a file there, not a device here: one exit code */
    case TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_DENIED:
      return TL_ERROR_CAPABILITY_DENIED;
    case TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_TIMED_OUT:
      return TL_ERROR_TIMED_OUT;
    case TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_CANCELLED:
      return TL_ERROR_CANCELLED;
    case TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_EXPIRED:
      return TL_ERROR_EXPIRED;
    default:
      return -1;
    }
}

static json_t *
make_result (const Answer *answer)
{
  json_t *object = json_object ();
  g_autofree char *state = tl_enum_to_text (&twinlatch__v1__request_state__descriptor, answer->state);
  gboolean succeeded = answer->state == TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_SUCCEEDED;

  json_object_set_new (object, "request_id", tl_json_text (answer->request_id));
  json_object_set_new (object, "device_id", tl_json_text (answer->device_id));
  json_object_set_new (object, "state", json_string (state));
  json_object_set_new (object, "output", succeeded ? tl_json_embed (answer->output) : json_null ());
  json_object_set_new (object, "error", answer->error[0] == '\0' ? json_null () : tl_json_text (answer->error));
  json_object_set_new (object, "reason",
                       answer->error_reason[0] == '\0' ? json_null () : tl_json_text (answer->error_reason));
  return object;
}

static const char *
failure_in_words (int code)
{
  switch (code)
    {
    case TL_ERROR_CAPABILITY_UNKNOWN:
      return _ ("the device does not have the capability");
    case TL_ERROR_CAPABILITY_DENIED:
      return _ ("the device refused to run the capability");
    case TL_ERROR_TIMED_OUT:
      return _ ("the capability did not end in time");
    case TL_ERROR_CANCELLED:
      return _ ("the request was cancelled");
    case TL_ERROR_EXPIRED:
      return _ ("the request ran out of time before the device took it");
    default:
      return _ ("the capability failed");
    }
}

static void
set_failure (Execution *execution, const Answer *answer, int code)
{
  g_set_error (&execution->failure, TL_ERROR, code, "%s%s%s (%s)", failure_in_words (code),
               answer->error[0] != '\0' ? ": " : "", answer->error, answer->request_id);
}

static void
show_progress (Execution *execution, const Answer *answer)
{
  g_autofree char *state = NULL;
  g_autofree char *progress = NULL;

  if (!execution->shows_progress)
    return;
  state = tl_enum_to_text (&twinlatch__v1__request_state__descriptor, answer->state);
  progress = tl_text_escape (answer->progress);
  tl_cli_note (execution->cli, "%s: %s%s%s\n", answer->request_id, state, progress[0] != '\0' ? ": " : "", progress);
}

static gboolean
on_answer (const ProtobufCMessage *message, gpointer user_data)
{
  Execution *execution = user_data;
  const Answer *answer = (const Answer *)message;
  int code = error_code_for_state (answer);

  if (execution->result != NULL)
    return TRUE;
  if (execution->request_id == NULL)
    execution->request_id = tl_text_escape (answer->request_id);
  if (answer->state == TWINLATCH__V1__REQUEST_STATE__REQUEST_STATE_SUCCEEDED)
    execution->output = g_strdup (answer->output);
  else if (code >= 0)
    set_failure (execution, answer, code);
  else if (!execution->detach)
    {
      show_progress (execution, answer);
      return TRUE;
    }
  execution->result = make_result (answer);
  return !execution->detach; /* else the gateway ends the stream */
}

static gboolean
print_output (Execution *execution, gboolean raw, GError **error)
{
  tl_json_auto value = NULL;
  g_autofree char *pretty = NULL;
  g_autofree char *safe = NULL;

  if (raw)
    {
      g_autoptr (GBytes) bytes = tl_exec_raw_output (execution->output, error);
      gsize length = 0;
      const void *data = bytes != NULL ? g_bytes_get_data (bytes, &length) : NULL;

      if (bytes == NULL)
        return FALSE;
      fwrite (data, 1, length, stdout); /* main() checks the stream */
      fflush (stdout);
      return TRUE;
    }
  value = tl_json_embed (execution->output);
  pretty = tl_json_to_pretty_string (value);
  safe = isatty (STDOUT_FILENO) ? tl_text_escape_lines (pretty) : g_strdup (pretty);
  tl_cli_print (execution->cli, "%s\n", safe);
  return TRUE;
}

static gboolean
print_result (Execution *execution, gboolean raw, GError **error)
{
  if (tl_cli_is_json (execution->cli))
    {
      tl_cli_print_json (execution->cli, json_incref (execution->result));
      tl_cli_set_exit_code (execution->cli, tl_error_to_exit_code (execution->failure));
      return TRUE;
    }
  if (execution->failure != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&execution->failure));
      return FALSE;
    }
  if (execution->output == NULL) /* detached: it is not over */
    {
      tl_cli_print (execution->cli, "%s\n", execution->request_id);
      return TRUE;
    }
  return print_output (execution, raw, error);
}

static gboolean
watch (Execution *execution, const char *method, const ProtobufCMessage *request, GError **error)
{
  g_autoptr (GError) problem = NULL;
  TlAdminOutcome outcome
      = tl_admin_stream (execution->cli, method, request, &twinlatch__v1__execute_capability_response__descriptor, 0,
                         on_answer, execution, &problem);

  if (execution->result != NULL) /* how the stream ended after the last answer changes nothing */
    return TRUE;
  switch (outcome)
    {
    case TL_ADMIN_FAILED:
      g_propagate_error (error, g_steal_pointer (&problem));
      if (execution->request_id != NULL)
        g_prefix_error (error, _ ("request %s goes on, see 'twinlatch requests show': "), execution->request_id);
      break;
    case TL_ADMIN_INTERRUPTED:
      if (execution->request_id != NULL)
        g_set_error (error, TL_ERROR, TL_ERROR_CANCELLED,
                     _ ("stopped waiting; request %s goes on: 'twinlatch requests show --follow' waits again, "
                        "'twinlatch requests cancel' ends it"),
                     execution->request_id);
      else
        g_set_error_literal (error, TL_ERROR, TL_ERROR_CANCELLED,
                             _ ("stopped before the gateway confirmed the request; it may still run"));
      break;
    case TL_ADMIN_ENDED:
      g_set_error_literal (error, TL_ERROR, TL_ERROR_UNAVAILABLE,
                           _ ("the gateway ended the answer before the request was over; try again"));
      break;
    }
  return FALSE;
}

gboolean
tl_request_follow (TlCli *cli, const char *method, const ProtobufCMessage *request, TlFollowFlags flags, GError **error)
{
  g_auto (Execution) execution
      = { .cli = cli, .shows_progress = isatty (STDERR_FILENO), .detach = (flags & TL_FOLLOW_DETACH) != 0 };

  return watch (&execution, method, request, error) && print_result (&execution, (flags & TL_FOLLOW_RAW) != 0, error);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-status.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "agent/node/tl-pid-file.h"
#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-json.h"

#define MAX_STATUS_BYTES (16u * 1024u)

void
tl_node_status_free (TlNodeStatus *status)
{
  if (status == NULL)
    return;
  g_free (status->state);
  g_free (status->detail);
  g_free (status->version);
  g_free (status->transport);
  g_free (status->address);
  g_free (status);
}

TlNodeStatus *
tl_node_status_read (const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, TL_NODE_STATUS_FILE, NULL);
  g_autoptr (GBytes) bytes = tl_file_read (path, MAX_STATUS_BYTES, error);
  g_autoptr (TlNodeStatus) status = g_new0 (TlNodeStatus, 1);
  g_autoptr (GError) problem = NULL;
  tl_json_auto object = NULL;
  const char *state, *detail, *version, *transport = NULL, *address = NULL;

  if (bytes == NULL)
    return NULL;
  object = tl_json_parse (g_bytes_get_data (bytes, NULL), (gssize)g_bytes_get_size (bytes), MAX_STATUS_BYTES, &problem);
  if (object == NULL || !tl_json_get_int (object, "pid", TRUE, 1, G_MAXINT32, 0, &status->pid, &problem)
      || !tl_json_get_int (object, "started_unix_ms", TRUE, 0, TL_JSON_MAX_INTEGER - 1, 0, &status->started_ms,
                           &problem)
      || !tl_json_get_int (object, "since_unix_ms", TRUE, 0, TL_JSON_MAX_INTEGER - 1, 0, &status->since_ms, &problem)
      || !tl_json_get_string (object, "state", TRUE, &state, &problem)
      || !tl_json_get_string (object, "detail", TRUE, &detail, &problem)
      || !tl_json_get_string (object, "version", TRUE, &version, &problem)
      || !tl_json_get_string (object, "transport", FALSE, &transport, &problem)
      || !tl_json_get_string (object, "address", FALSE, &address, &problem)
      || !tl_json_get_int (object, "start_ticks", FALSE, 0, TL_JSON_MAX_INTEGER - 1, 0, &status->start_ticks, &problem)
      || !tl_json_get_int (object, "attempts", FALSE, 0, TL_JSON_MAX_INTEGER - 1, 0, &status->attempts, &problem)
      || !tl_json_get_int (object, "next_attempt_unix_ms", FALSE, 0, TL_JSON_MAX_INTEGER - 1, 0,
                           &status->next_attempt_ms, &problem))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "%s is damaged: %s", path, problem->message);
      return NULL;
    }
  status->state = g_strdup (state);
  status->detail = g_strdup (detail);
  status->version = g_strdup (version);
  status->transport = g_strdup (transport != NULL ? transport : "");
  status->address = g_strdup (address != NULL ? address : "");
  return g_steal_pointer (&status);
}

gboolean
tl_node_status_is_alive (const TlNodeStatus *status)
{
  guint64 ticks = tl_pid_file_start_ticks (status->pid);

  if (status->start_ticks > 0 && ticks > 0)
    return (guint64)status->start_ticks == ticks;
  return kill ((pid_t)status->pid, 0) == 0 || errno == EPERM; /* no /proc of that process to be seen */
}

gboolean
tl_node_status_write (const TlNodeStatus *status, const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, TL_NODE_STATUS_FILE, NULL);
  g_autofree char *detail = g_utf8_make_valid (status->detail, -1);
  g_autoptr (GError) problem = NULL;
  tl_json_auto object
      = json_pack ("{s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "pid", (json_int_t)status->pid,
                   "start_ticks", (json_int_t)tl_pid_file_start_ticks (status->pid), "started_unix_ms",
                   (json_int_t)status->started_ms, "since_unix_ms", (json_int_t)status->since_ms, "state",
                   status->state, "detail", detail, "version", status->version, "transport",
                   status->transport != NULL ? status->transport : "", "address",
                   status->address != NULL ? status->address : "", "attempts", (json_int_t)status->attempts,
                   "next_attempt_unix_ms", (json_int_t)status->next_attempt_ms);
  g_autofree char *text = tl_json_to_string (object);

  /* Consistent but not durable: after a power cut no node runs anyway. */
  if (g_file_set_contents_full (path, text, (gssize)strlen (text), G_FILE_SET_CONTENTS_CONSISTENT, 0600, &problem))
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_IO, "cannot write %s: %s", path, problem->message);
  return FALSE;
}

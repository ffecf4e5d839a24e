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
  g_free (status->transport_reason);
  g_free (status->address);
  g_free (status);
}

static gboolean
get_count (const json_t *object, const char *name, gboolean required, gint64 *value, GError **error)
{
  return tl_json_get_int (object, name, required, 0, TL_JSON_MAX_INTEGER - 1, 0, value, error);
}

static gboolean
get_text (const json_t *object, const char *name, gboolean required, char **text, GError **error)
{
  const char *value = NULL;

  if (!tl_json_get_string (object, name, required, &value, error))
    return FALSE;
  *text = g_strdup (value != NULL ? value : "");
  return TRUE;
}

static gboolean
read_process (const json_t *object, TlNodeStatus *status, GError **error)
{
  return tl_json_get_int (object, "pid", TRUE, 1, G_MAXINT32, 0, &status->pid, error)
         && get_count (object, "started_unix_ms", TRUE, &status->started_ms, error)
         && get_count (object, "start_ticks", FALSE, &status->start_ticks, error)
         && get_count (object, "since_unix_ms", TRUE, &status->since_ms, error)
         && get_text (object, "state", TRUE, &status->state, error)
         && get_text (object, "detail", TRUE, &status->detail, error)
         && get_text (object, "version", TRUE, &status->version, error);
}

/* Members of later versions than the first are missing in what an earlier one wrote. */
static gboolean
read_link (const json_t *object, TlNodeStatus *status, GError **error)
{
  return get_text (object, "transport", FALSE, &status->transport, error)
         && get_text (object, "transport_reason", FALSE, &status->transport_reason, error)
         && get_text (object, "address", FALSE, &status->address, error)
         && get_count (object, "connected_since_unix_ms", FALSE, &status->connected_since_ms, error)
         && get_count (object, "rtt_us", FALSE, &status->rtt_us, error)
         && get_count (object, "packets_lost", FALSE, &status->packets_lost, error)
         && get_count (object, "migrations", FALSE, &status->migrations, error)
         && get_count (object, "attempts", FALSE, &status->attempts, error)
         && get_count (object, "next_attempt_unix_ms", FALSE, &status->next_attempt_ms, error);
}

TlNodeStatus *
tl_node_status_read (const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, TL_NODE_STATUS_FILE, NULL);
  g_autoptr (GBytes) bytes = tl_file_read (path, MAX_STATUS_BYTES, error);
  g_autoptr (TlNodeStatus) status = g_new0 (TlNodeStatus, 1);
  g_autoptr (GError) problem = NULL;
  tl_json_auto object = NULL;

  if (bytes == NULL)
    return NULL;
  object = tl_json_parse (g_bytes_get_data (bytes, NULL), (gssize)g_bytes_get_size (bytes), MAX_STATUS_BYTES, &problem);
  if (object == NULL || !read_process (object, status, &problem) || !read_link (object, status, &problem))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "%s is damaged: %s", path, problem->message);
      return NULL;
    }
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

static json_t *
process_to_json (const TlNodeStatus *status)
{
  g_autofree char *detail = g_utf8_make_valid (status->detail, -1);

  return json_pack ("{s:I, s:I, s:I, s:I, s:s, s:s, s:s}", "pid", (json_int_t)status->pid, "start_ticks",
                    (json_int_t)tl_pid_file_start_ticks (status->pid), "started_unix_ms",
                    (json_int_t)status->started_ms, "since_unix_ms", (json_int_t)status->since_ms, "state",
                    status->state, "detail", detail, "version", status->version);
}

static void
add_link (json_t *object, const TlNodeStatus *status)
{
  g_autofree char *reason = g_utf8_make_valid (status->transport_reason != NULL ? status->transport_reason : "", -1);
  tl_json_auto link
      = json_pack ("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "transport",
                   status->transport != NULL ? status->transport : "", "transport_reason", reason, "address",
                   status->address != NULL ? status->address : "", "connected_since_unix_ms",
                   (json_int_t)status->connected_since_ms, "rtt_us", (json_int_t)status->rtt_us, "packets_lost",
                   (json_int_t)status->packets_lost, "migrations", (json_int_t)status->migrations, "attempts",
                   (json_int_t)status->attempts, "next_attempt_unix_ms", (json_int_t)status->next_attempt_ms);

  json_object_update (object, link);
}

gboolean
tl_node_status_write (const TlNodeStatus *status, const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, TL_NODE_STATUS_FILE, NULL);
  g_autoptr (GError) problem = NULL;
  tl_json_auto object = process_to_json (status);
  g_autofree char *text = NULL;

  add_link (object, status);
  text = tl_json_to_string (object);

  /* Consistent but not durable: after a power cut no node runs anyway. */
  if (g_file_set_contents_full (path, text, (gssize)strlen (text), G_FILE_SET_CONTENTS_CONSISTENT, 0600, &problem))
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_IO, "cannot write %s: %s", path, problem->message);
  return FALSE;
}

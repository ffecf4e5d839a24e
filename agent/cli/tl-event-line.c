/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-event-line.h"

#include <string.h>

#include "agent/cli/tl-text.h"

static char *
format_time (gint64 unix_ms)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_local (unix_ms / 1000);

  return time != NULL ? g_date_time_format (time, "%Y-%m-%d %H:%M:%S") : g_strdup ("-");
}

void
tl_event_line_print (TlCli *cli, guint64 seq, gint64 unix_ms, const char *kind, const char *actor, const char *subject,
                     const char *detail)
{
  g_autofree char *time = format_time (unix_ms);
  g_autofree char *safe_kind = tl_text_escape (kind);
  g_autofree char *safe_actor = tl_text_escape (actor);
  g_autofree char *safe_subject = tl_text_escape (subject[0] != '\0' ? subject : "-");
  g_autofree char *safe_detail = tl_text_escape (strcmp (detail, "{}") != 0 ? detail : "");

  tl_cli_print (cli, "%llu  %s  %s  %s  %s%s%s\n", (unsigned long long)seq, time, safe_kind, safe_actor, safe_subject,
                safe_detail[0] != '\0' ? "  " : "", safe_detail);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>
#include <string.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-event-line.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-clock.h"
#include "base/tl-error.h"

#define DEFAULT_LIMIT 100
#define MAX_LIMIT     10000

static void
print_row (TlCli *cli, const Twinlatch__V1__JournalRow *row)
{
  tl_event_line_print (cli, row->seq, row->time_unix_ms, row->kind, row->actor, row->subject, row->detail);
}

static gboolean
on_rows (const ProtobufCMessage *message, gpointer user_data)
{
  TlCli *cli = user_data;
  const Twinlatch__V1__ReadJournalResponse *answer = (const Twinlatch__V1__ReadJournalResponse *)message;

  for (size_t i = 0; i < answer->n_rows; i++)
    {
      if (tl_cli_is_json (cli))
        tl_cli_print_json (cli, tl_json_from_message (&answer->rows[i]->base));
      else
        print_row (cli, answer->rows[i]);
    }
  return TRUE;
}

/* "2h" ago, "2026-11-25", "2026-11-25T10:00" or with seconds and zone; local time when it names no zone. */
static gboolean
parse_time (TlCli *cli, const char *text, gint64 *unix_ms, GError **error)
{
  g_autoptr (GTimeZone) zone = g_time_zone_new_local ();
  g_autofree char *full = NULL;
  g_autoptr (GDateTime) time = NULL;
  gint64 ago;

  if (text == NULL)
    return TRUE;
  if (tl_duration_parse (text, &ago, NULL))
    {
      *unix_ms = MAX (tl_cli_now_ms (cli) - ago, 1);
      return TRUE;
    }
  full = strchr (text, 'T') == NULL                     ? g_strconcat (text, "T00:00:00", NULL)
         : strlen (text) == strlen ("2026-11-25T10:00") ? g_strconcat (text, ":00", NULL)
                                                        : g_strdup (text);
  time = g_date_time_new_from_iso8601 (full, zone);
  if (time == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_USAGE,
                   _ ("'%s' is not a time; write 2h (ago), 2026-11-25 or 2026-11-25T10:00"), text);
      return FALSE;
    }
  *unix_ms = MAX (g_date_time_to_unix (time) * 1000, 1);
  return TRUE;
}

static void
set_text (char **field, const char *text)
{
  if (text != NULL)
    *field = (char *)text;
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__ReadJournalRequest request = TWINLATCH__V1__READ_JOURNAL_REQUEST__INIT;
  gboolean bounded = tl_args_text (args, "since") != NULL;

  set_text (&request.kind, tl_args_text (args, "kind"));
  set_text (&request.actor, tl_args_text (args, "actor"));
  set_text (&request.subject, tl_args_text (args, "subject"));
  set_text (&request.device, tl_args_text (args, "device"));
  request.limit = (guint32)tl_args_number (args, "limit", bounded ? 0 : DEFAULT_LIMIT);
  request.follow = tl_args_flag (args, "follow");
  if (!parse_time (cli, tl_args_text (args, "since"), &request.since_unix_ms, error)
      || !parse_time (cli, tl_args_text (args, "until"), &request.until_unix_ms, error))
    return FALSE;
  if (request.follow)
    return tl_admin_watch (cli, "ReadJournal", &request.base, &twinlatch__v1__read_journal_response__descriptor,
                           on_rows, cli, error);
  return tl_admin_stream (cli, "ReadJournal", &request.base, &twinlatch__v1__read_journal_response__descriptor,
                          tl_cli_stream_timeout_ms (cli), on_rows, cli, error)
         != TL_ADMIN_FAILED;
}

static const TlOption options[] = {
  { "follow", TL_OPTION_FLAG, NULL, N_ ("go on with what comes, until Ctrl-C") },
  { "kind", TL_OPTION_TEXT, "KIND", N_ ("only this kind of row, or all that begin so: pairing.") },
  { "device", TL_OPTION_TEXT, "DEVICE", N_ ("only what a device did or what was done to it (id or name)") },
  { "actor", TL_OPTION_TEXT, "ACTOR", N_ ("only what this one did: uid:1000, device:ID, source:ADDRESS, gateway") },
  { "subject", TL_OPTION_TEXT, "ID", N_ ("only what is about this code, request, device or certificate") },
  { "since", TL_OPTION_TEXT, "TIME", N_ ("from then on: 2h (ago), 2026-11-25, 2026-11-25T10:00") },
  { "until", TL_OPTION_TEXT, "TIME", N_ ("up to then") },
  { "limit", TL_OPTION_INTEGER, "N", N_ ("the newest N rows (default 100; with --since all of them); 0: all"), 0,
    MAX_LIMIT },
  { NULL },
};

const TlVerb tl_verb_journal_show = {
  .path = "journal show",
  .arguments = "",
  .summary = N_ ("show what was decided and refused, and by whom"),
  .details
  = N_ ("One row a line, the oldest first: number, time, kind, who, about what, details. With --json each row is "
        "an\n"
        "object on a line of its own."),
  .options = options,
  .run = run,
};

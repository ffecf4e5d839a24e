/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-event-line.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"

typedef struct
{
  TlCli *cli;
  /* Moves with what was printed: a connection that is made again (tl_admin_watch) goes on behind it. */
  Twinlatch__V1__WatchEventsRequest request;
} Events;

static void
print_gap (TlCli *cli, guint64 oldest)
{
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, json_pack ("{s:b, s:I}", "gap", TRUE, "oldest", (json_int_t)oldest));
  else
    tl_cli_note (cli, _ ("what was before event %llu is not retained any more\n"), (unsigned long long)oldest);
}

static gboolean
on_events (const ProtobufCMessage *message, gpointer user_data)
{
  Events *events = user_data;
  const Twinlatch__V1__WatchEventsResponse *answer = (const Twinlatch__V1__WatchEventsResponse *)message;

  if (answer->oldest != 0)
    print_gap (events->cli, answer->oldest);
  for (size_t i = 0; i < answer->n_events; i++)
    {
      const Twinlatch__V1__GatewayEvent *event = answer->events[i];

      if (tl_cli_is_json (events->cli))
        tl_cli_print_json (events->cli, tl_json_from_message (&event->base));
      else
        tl_event_line_print (events->cli, event->seq, event->time_unix_ms, event->kind, event->actor, event->subject,
                             event->detail);
    }
  events->request.from = answer->position;
  events->request.from_now = FALSE;
  return TRUE;
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Events events = { .cli = cli, .request = TWINLATCH__V1__WATCH_EVENTS_REQUEST__INIT };
  gint64 from = tl_args_number (args, "from", -1);

  events.request.follow = tl_args_flag (args, "follow");
  events.request.from_now = from < 0;
  events.request.from = (guint64)MAX (from, 0);
  if (!events.request.follow && from < 0)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_USAGE,
                           _ ("say which events: --from N for those there are, --follow for what comes, or both"));
      return FALSE;
    }
  if (!events.request.follow)
    return tl_admin_stream (cli, "WatchEvents", &events.request.base, &twinlatch__v1__watch_events_response__descriptor,
                            tl_cli_stream_timeout_ms (cli), on_events, &events, error)
           != TL_ADMIN_FAILED;
  if (tl_admin_watch (cli, "WatchEvents", &events.request.base, &twinlatch__v1__watch_events_response__descriptor,
                      on_events, &events, error))
    return TRUE;
  if (!events.request.from_now) /* something was heard */
    tl_cli_note (cli, _ ("go on with --from %llu\n"), (unsigned long long)events.request.from);
  return FALSE;
}

static const TlOption options[] = {
  { "follow", TL_OPTION_FLAG, NULL, N_ ("go on with what comes, until Ctrl-C (or --timeout)") },
  { "from", TL_OPTION_INTEGER, "N", N_ ("what is behind event N; 0: all that is retained (default: from now on)"), 0,
    G_MAXINT64 },
  { NULL },
};

const TlVerb tl_verb_events = {
  .path = "events",
  .arguments = "",
  .summary = N_ ("show what happens on the gateway, as it happens"),
  .details = N_ ("One event a line: number, time, kind, who, about what, details. Numbers go up and stay: whoever "
                 "keeps the\n"
                 "last one goes on behind it with --from, also after the gateway was away, and misses nothing. With\n"
                 "--json each event is an object on a line of its own. Over the network (--gateway) an operator is "
                 "told\n"
                 "of codes, pairings, certificates, devices, nodes and requests."),
  .options = options,
  .run = run,
};

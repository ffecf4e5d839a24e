/* SPDX-License-Identifier: Apache-2.0 */
#include <glib-unix.h>
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/node/tl-reconnect.h"
#include "base/tl-clock.h"
#include "base/tl-error.h"

#define MAX_WAIT_MS 30000
/* In a row. A gateway that is just starting can look like one that refuses this device: it did not answer when it was
 * asked with the certificate, and did a moment later without. */
#define REFUSALS_BELIEVED 2

/* ---- waiting, unless a signal comes ---- */

typedef struct
{
  GMainLoop *loop;
  gboolean interrupted;
} Pause;

static gboolean
on_signal (gpointer user_data)
{
  Pause *pause = user_data;

  pause->interrupted = TRUE;
  g_main_loop_quit (pause->loop);
  return G_SOURCE_CONTINUE;
}

static gboolean
on_time (gpointer user_data)
{
  g_main_loop_quit (((Pause *)user_data)->loop);
  return G_SOURCE_CONTINUE;
}

/* FALSE: interrupted. */
static gboolean
wait_ms (gint64 ms)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  Pause pause = { .loop = loop };
  guint sigint = g_unix_signal_add (SIGINT, on_signal, &pause);
  guint sigterm = g_unix_signal_add (SIGTERM, on_signal, &pause);
  guint timer = g_timeout_add ((guint)ms, on_time, &pause);

  g_main_loop_run (loop);
  g_source_remove (sigint);
  g_source_remove (sigterm);
  g_source_remove (timer);
  return !pause.interrupted;
}

/* ---- watching ---- */

typedef struct
{
  TlCli *cli;
  const char *method;
  const ProtobufCMessage *request;
  const ProtobufCMessageDescriptor *response;
  TlAdminMessageFunc func;
  gpointer user_data;
  gint64 ends_us; /* monotonic; 0: never */
} Watch;

/* --timeout is for the whole; at least 1 ms, because 0 is none. */
static guint
time_left_ms (const Watch *watch)
{
  gint64 left = (watch->ends_us - tl_clock_monotonic_us (tl_clock_system ())) / 1000;

  return watch->ends_us != 0 ? (guint)MAX (left, 1) : 0;
}

static TlAdminOutcome
run_once (const Watch *watch, GError **error)
{
  TlAdminOutcome outcome = tl_admin_stream (watch->cli, watch->method, watch->request, watch->response,
                                            time_left_ms (watch), watch->func, watch->user_data, error);

  if (outcome != TL_ADMIN_ENDED)
    return outcome;
  g_set_error_literal (error, TL_ERROR, TL_ERROR_UNAVAILABLE, _ ("the gateway closed the connection"));
  return TL_ADMIN_FAILED;
}

/* Before the first stream, so that a gateway that was never reached is an error and not something to wait for. */
static gboolean
say_hello (TlCli *cli, GError **error)
{
  Twinlatch__V1__GetStatusRequest request = TWINLATCH__V1__GET_STATUS_REQUEST__INIT;
  g_autoptr (TlStatusAnswer) status
      = (TlStatusAnswer *)tl_admin_call (cli, "GetStatus", &request.base,
                                         &twinlatch__v1__get_status_response__descriptor, error);

  return status != NULL;
}

static gboolean
watch_remote (const Watch *watch, GError **error)
{
  g_autoptr (TlReconnect) reconnect = tl_reconnect_new (MAX_WAIT_MS, tl_random_system ());
  guint refusals = 0;

  if (!say_hello (watch->cli, error))
    return FALSE;
  for (;;)
    {
      g_autoptr (GError) problem = NULL;
      gint64 wait;

      tl_reconnect_connected (reconnect, tl_clock_monotonic_us (tl_clock_system ()));
      if (run_once (watch, &problem) == TL_ADMIN_INTERRUPTED)
        return TRUE;
      if (watch->ends_us != 0 && tl_error_is (problem, TL_ERROR_TIMED_OUT))
        {
          g_set_error_literal (error, TL_ERROR, TL_ERROR_TIMED_OUT, _ ("the time given with --timeout is over"));
          return FALSE;
        }
      refusals = tl_error_is (problem, TL_ERROR_REVOKED) ? refusals + 1 : 0;
      if (!tl_error_is (problem, TL_ERROR_UNAVAILABLE) && (refusals == 0 || refusals >= REFUSALS_BELIEVED))
        {
          g_propagate_error (error, g_steal_pointer (&problem));
          return FALSE;
        }
      tl_reconnect_lost (reconnect, tl_clock_monotonic_us (tl_clock_system ()));
      wait = tl_reconnect_next (reconnect, FALSE);
      if (watch->ends_us != 0)
        wait = MIN (wait, (gint64)time_left_ms (watch));
      tl_cli_note (watch->cli, _ ("%s; trying again\n"), problem->message);
      if (!wait_ms (wait))
        return TRUE;
    }
}

gboolean
tl_admin_watch (TlCli *cli, const char *method, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *response, TlAdminMessageFunc func, gpointer user_data, GError **error)
{
  Watch watch = { cli, method, request, response, func, user_data, 0 };
  guint timeout_ms = tl_cli_stream_timeout_ms (cli);

  if (timeout_ms > 0)
    watch.ends_us = tl_clock_monotonic_us (tl_clock_system ()) + (gint64)timeout_ms * 1000;
  if (tl_admin_gateway (cli) != NULL)
    return watch_remote (&watch, error);
  return run_once (&watch, error) == TL_ADMIN_INTERRUPTED;
}

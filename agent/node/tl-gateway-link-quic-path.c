/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-gateway-link-quic-private.h"

#include "agent/node/tl-network-monitor.h"
#include "base/tl-log.h"

/* ---- how it is ------------------------------------------------------------------------------------------------- */

void
tl_quic_link_get_info (TlGatewayLink *base, TlLinkInfo *out)
{
  TlQuicLink *link = (TlQuicLink *)base;
  TlQuicConnection *connection = link->client != NULL ? tl_quic_client_connection (link->client) : NULL;
  TlQuicConnectionInfo info;

  if (connection == NULL)
    return;
  tl_quic_connection_get_info (connection, &info);
  out->transport = "quic";
  g_strlcpy (out->peer, info.remote, sizeof out->peer);
  out->rtt_us = info.rtt_us;
  out->packets_lost = info.packets_lost;
  out->migrations = info.migrations;
}

/* A round trip that varies as round trips do is no news: each is a write to a disk that may sleep. */
static gboolean
is_news (const TlLinkInfo *told, const TlLinkInfo *now)
{
  gint64 difference = ABS (now->rtt_us - told->rtt_us);

  return now->migrations != told->migrations || now->packets_lost != told->packets_lost
         || (difference > 2000 && difference > told->rtt_us / 2);
}

void
tl_quic_link_changed (TlQuicLink *link)
{
  TlLinkInfo now = { .transport = "", .reason = "" };

  tl_quic_link_get_info (&link->base, &now);
  if (link->state != TL_QUIC_LINK_OPEN || !is_news (&link->told, &now))
    return;
  link->told = now;
  if (link->base.handlers->changed != NULL)
    link->base.handlers->changed (&link->base, link->base.user_data);
}

/* ---- silence --------------------------------------------------------------------------------------------------- */

static gint64
heard_us (TlQuicLink *link)
{
  TlQuicConnectionInfo info;

  tl_quic_connection_get_info (tl_quic_client_connection (link->client), &info);
  return info.heard_us;
}

static gint64
silent_us (TlQuicLink *link)
{
  return link->with.keep_alive_ms != 0 ? link->with.keep_alive_ms * G_GINT64_CONSTANT (1250)
                                       : TL_QUIC_LINK_SILENT_MS * G_GINT64_CONSTANT (1000);
}

static gboolean
on_silence (gpointer data)
{
  g_autoptr (TlQuicLink) link = tl_quic_link_ref (data);
  gint64 silence_us = g_get_monotonic_time () - heard_us (link);

  tl_quic_link_clear_source (&link->silence);
  if (silence_us >= silent_us (link))
    {
      tl_quic_link_fail_silent (link, silence_us);
      return G_SOURCE_REMOVE;
    }
  tl_quic_link_watch (link);
  tl_quic_link_changed (link);
  return G_SOURCE_REMOVE;
}

/* To the second: GLib lets such timers share their wake-ups, and an idle node has few of them. */
void
tl_quic_link_watch (TlQuicLink *link)
{
  gint64 left_us = heard_us (link) + silent_us (link) - g_get_monotonic_time ();

  if (link->told.transport[0] == '\0')
    tl_quic_link_get_info (&link->base, &link->told);
  tl_quic_link_clear_source (&link->silence);
  link->silence = g_timeout_source_new_seconds ((guint)(MAX (left_us, 0) / G_USEC_PER_SEC + 1));
  g_source_set_callback (link->silence, on_silence, link, NULL);
  g_source_attach (link->silence, link->context);
}

/* ---- another path ---------------------------------------------------------------------------------------------- */

static gboolean
on_path (gpointer data)
{
  g_autoptr (TlQuicLink) link = tl_quic_link_ref (data);

  tl_quic_link_clear_source (&link->path);
  if (heard_us (link) <= link->path_us)
    tl_quic_link_fail_silent (link, g_get_monotonic_time () - link->path_us);
  else
    tl_quic_link_changed (link);
  return G_SOURCE_REMOVE;
}

/* "192.0.2.1:4711" is at "192.0.2.1". */
static gboolean
is_at (const char *address, const char *host)
{
  g_autoptr (GSocketConnectable) parsed = g_network_address_parse (address, 0, NULL);
  g_autoptr (GInetAddress) ours = NULL;
  g_autoptr (GInetAddress) other = g_inet_address_new_from_string (host);

  if (parsed != NULL)
    ours = g_inet_address_new_from_string (g_network_address_get_hostname (G_NETWORK_ADDRESS (parsed)));
  return ours != NULL && other != NULL && g_inet_address_equal (ours, other);
}

gboolean
tl_quic_link_check_path (TlGatewayLink *base)
{
  TlQuicLink *link = (TlQuicLink *)base;
  TlQuicConnection *connection;
  TlQuicConnectionInfo info;
  g_autofree char *source = NULL;
  g_autoptr (GError) error = NULL;

  if (link->state != TL_QUIC_LINK_OPEN)
    return FALSE;
  connection = tl_quic_client_connection (link->client);
  tl_quic_connection_get_info (connection, &info);
  source = tl_network_source_for (info.remote);
  if (source == NULL) /* no way there now; the monitor tells of the next one, silence of none */
    return TRUE;
  link->path_us = g_get_monotonic_time ();
  if (!is_at (info.local, source))
    {
      tl_log (TL_LOG_INFO, "moving the QUIC connection", "from", info.local, "to", source, NULL);
      if (!tl_quic_connection_migrate (connection, TRUE, &error))
        tl_log_error (TL_LOG_INFO, "the QUIC connection cannot move", error);
    }
  tl_quic_connection_ping (connection);
  tl_quic_link_set_source (link, &link->path, TL_QUIC_LINK_PATH_MS, on_path);
  return TRUE;
}

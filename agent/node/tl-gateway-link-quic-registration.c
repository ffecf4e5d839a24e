/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-gateway-link-quic-private.h"

#include "base/tl-error.h"
#include "base/tl-log.h"

static void start_registration (TlQuicLink *link);

static void
open_stream_once (TlQuicLink *link)
{
  if (link->state == TL_QUIC_LINK_REGISTERING)
    tl_quic_link_open_stream (link);
}

/* ---- node.health: who is there, when gRPC does not say ---- */

static void
on_health (const TlQuicAnswer *answer, const GError *error, gpointer user_data)
{
  TlQuicLink *link = user_data;
  const char *gateway_id = tl_trust_bundle_gateway_id (tl_device_identity_bundle (link->with.rpc.identity));

  if (error != NULL)
    {
      tl_quic_link_fail_later (link, g_error_copy (error));
      return;
    }
  if (answer->kind != TL_QUIC_ANSWER_HEALTH || g_strcmp0 (answer->gateway_id, gateway_id) != 0)
    {
      tl_quic_link_fail_protocol (link, "it does not say who it is");
      return;
    }
  link->latest_seq = answer->latest_seq;
  link->server_time_ms = answer->server_time_ms;
  open_stream_once (link);
}

static void
ask_health (TlQuicLink *link)
{
  TlQuicRequest request = { .method = TL_QUIC_METHOD_HEALTH };

  if (link->asked_health)
    return;
  link->asked_health = TRUE;
  tl_quic_requests_send (link->requests, tl_quic_request_format (&request, NULL), NULL, on_health, link, NULL);
}

/* ---- RegisterNode ---- */

static gboolean
on_reregister (gpointer data)
{
  TlQuicLink *link = data;

  tl_quic_link_clear_source (&link->reregister);
  start_registration (link);
  return G_SOURCE_REMOVE;
}

/* gRPC is not there, or somebody else answers where it should be: not what QUIC's handshake said of this device. */
static gboolean
may_come_later (const GError *error)
{
  return tl_error_is_unavailable (error) || tl_error_is (error, TL_ERROR_WRONG_CA)
         || tl_error_is (error, TL_ERROR_RESOURCE_EXHAUSTED) || tl_error_is (error, TL_ERROR_CANCELLED);
}

static void
keep_answer (TlQuicLink *link, const Twinlatch__V1__RegisterNodeResponse *answer)
{
  g_autoptr (GPtrArray) addresses = g_ptr_array_new ();
  TlLinkRegistration read = { 0 };

  tl_node_registration_read (answer, addresses, &read);
  link->gateway_name = g_strdup (read.gateway_name);
  link->gateway_version = g_strdup (read.gateway_version);
  link->addresses = g_strdupv ((char **)read.addresses);
  link->latest_seq = read.latest_seq;
  link->server_time_ms = read.server_time_ms;
  g_clear_pointer (&link->announcement, tl_node_registration_free);
}

static void
on_registered (const ProtobufCMessage *message, const GError *error, gpointer user_data)
{
  TlQuicLink *link = user_data;
  const Twinlatch__V1__RegisterNodeResponse *answer = (const Twinlatch__V1__RegisterNodeResponse *)message;
  const char *gateway_id = tl_trust_bundle_gateway_id (tl_device_identity_bundle (link->with.rpc.identity));
  g_autoptr (GError) problem = NULL;

  link->registering = FALSE;
  if (answer == NULL && !may_come_later (error))
    tl_quic_link_fail (link, error);
  else if (answer == NULL)
    {
      tl_log_error (TL_LOG_INFO, "this node is registered later: its gateway does not answer over gRPC", error);
      tl_quic_link_set_source (link, &link->reregister, TL_QUIC_LINK_REREGISTER_MS, on_reregister);
      if (link->state == TL_QUIC_LINK_REGISTERING)
        ask_health (link);
    }
  else if (!tl_node_registration_check (answer, gateway_id, &problem))
    tl_quic_link_fail (link, problem);
  else
    {
      keep_answer (link, answer);
      open_stream_once (link);
    }
}

static void
start_registration (TlQuicLink *link)
{
  if (link->registering || link->announcement == NULL)
    return;
  link->registering = TRUE;
  tl_node_calls_start (link->calls, TL_NODE_SERVICE "RegisterNode", tl_node_registration_message (link->announcement),
                       &twinlatch__v1__register_node_response__descriptor, TL_QUIC_LINK_RPC_MS, on_registered, link,
                       NULL);
}

static gboolean
on_registration_slow (gpointer data)
{
  TlQuicLink *link = data;

  tl_quic_link_clear_source (&link->timer);
  if (link->state == TL_QUIC_LINK_REGISTERING)
    ask_health (link);
  return G_SOURCE_REMOVE;
}

void
tl_quic_link_register (TlQuicLink *link)
{
  tl_quic_link_set_source (link, &link->timer, TL_QUIC_LINK_REGISTER_MS, on_registration_slow);
  start_registration (link);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-admin-private.h"
#include "daemon/tl-pairing-service.h"
#include "daemon/tl-wire.h"

void
tl_admin_on_mint (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  tl_pairing_service_mint (gateway->pairing, call, (const Twinlatch__V1__MintNodePairingCodeRequest *)message);
}

static void
on_codes (const GError *error, gpointer result, gpointer user_data)
{
  g_autoptr (TlAdminWait) wait = user_data;
  const GPtrArray *records = result;
  Twinlatch__V1__ListPairingCodesResponse answer = TWINLATCH__V1__LIST_PAIRING_CODES_RESPONSE__INIT;
  g_autofree Twinlatch__V1__PairingCode *codes = NULL;
  g_autofree Twinlatch__V1__PairingCode **pointers = NULL;
  guint n;

  if (error != NULL)
    {
      tl_rpc_call_finish (wait->call, error);
      return;
    }
  n = MIN (records->len, wait->limit);
  codes = g_new0 (Twinlatch__V1__PairingCode, n);
  pointers = g_new0 (Twinlatch__V1__PairingCode *, n);
  for (guint i = 0; i < n; i++)
    {
      tl_wire_code (&codes[i], g_ptr_array_index (records, i));
      pointers[i] = &codes[i];
    }
  answer.n_codes = n;
  answer.codes = pointers;
  if (records->len > n)
    answer.next_page_token = codes[n - 1].code_id;
  tl_rpc_call_reply (wait->call, &answer.base);
}

void
tl_admin_on_list_codes (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__ListPairingCodesRequest *request = (const Twinlatch__V1__ListPairingCodesRequest *)message;
  TlAdminWait *wait = tl_admin_wait_new (gateway, call);
  const char *token;

  wait->limit = tl_admin_page (request->page, &token);
  tl_store_list_codes (gateway->store, request->all, token, wait->limit, tl_clock_wall_ms (gateway->clock), on_codes,
                       wait);
}

static void
on_code_cancelled (const GError *error, gpointer result, gpointer user_data)
{
  g_autoptr (TlAdminWait) wait = user_data;
  Twinlatch__V1__CancelPairingCodeResponse answer = TWINLATCH__V1__CANCEL_PAIRING_CODE_RESPONSE__INIT;
  Twinlatch__V1__PairingCode code;

  if (error != NULL)
    {
      tl_admin_fail (wait->gateway, wait->call, NULL, error);
      return;
    }
  tl_wire_code (&code, result);
  answer.code = &code;
  tl_rpc_call_reply (wait->call, &answer.base);
}

void
tl_admin_on_cancel_code (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__CancelPairingCodeRequest *request = (const Twinlatch__V1__CancelPairingCodeRequest *)message;

  tl_store_cancel_code (gateway->store, request->code_id, tl_rpc_call_peer (call)->actor,
                        tl_clock_wall_ms (gateway->clock), on_code_cancelled, tl_admin_wait_new (gateway, call));
}

static void
on_pairings (const GError *error, gpointer result, gpointer user_data)
{
  g_autoptr (TlAdminWait) wait = user_data;
  const GPtrArray *records = result;
  Twinlatch__V1__ListPairingRequestsResponse answer = TWINLATCH__V1__LIST_PAIRING_REQUESTS_RESPONSE__INIT;
  g_autoptr (GPtrArray) fingerprints = g_ptr_array_new_with_free_func (g_free);
  g_autofree Twinlatch__V1__PairingRequest *requests = NULL;
  g_autofree Twinlatch__V1__PairingRequest **pointers = NULL;
  guint n;

  if (error != NULL)
    {
      tl_rpc_call_finish (wait->call, error);
      return;
    }
  n = MIN (records->len, wait->limit);
  requests = g_new0 (Twinlatch__V1__PairingRequest, n);
  pointers = g_new0 (Twinlatch__V1__PairingRequest *, n);
  for (guint i = 0; i < n; i++)
    {
      char *fingerprint = NULL;
      tl_wire_pairing (&requests[i], g_ptr_array_index (records, i), &fingerprint);
      g_ptr_array_add (fingerprints, fingerprint);
      pointers[i] = &requests[i];
    }
  answer.n_requests = n;
  answer.requests = pointers;
  if (records->len > n)
    answer.next_page_token = requests[n - 1].request_id;
  tl_rpc_call_reply (wait->call, &answer.base);
}

void
tl_admin_on_list_pairings (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  const Twinlatch__V1__ListPairingRequestsRequest *request = (const Twinlatch__V1__ListPairingRequestsRequest *)message;
  TlAdminWait *wait = tl_admin_wait_new (gateway, call);
  const char *token;
  guint states = 0;

  for (gsize i = 0; i < request->n_states; i++)
    if (request->states[i] >= 1 && request->states[i] <= TWINLATCH__V1__PAIRING_STATE__PAIRING_STATE_COMPLETED)
      states |= 1u << (request->states[i] - 1);
  wait->limit = tl_admin_page (request->page, &token);
  tl_store_list_pairings (gateway->store, states, token, wait->limit, on_pairings, wait);
}

void
tl_admin_on_watch_pairings (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  tl_pairing_service_watch (((TlGateway *)user_data)->pairing, call);
}

void
tl_admin_on_watch_pairings_end (TlRpcCall *call, gpointer user_data)
{
  tl_pairing_service_unwatch (((TlGateway *)user_data)->pairing, call);
}

void
tl_admin_on_decide (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data)
{
  TlGateway *gateway = user_data;
  tl_pairing_service_decide (gateway->pairing, call, (const Twinlatch__V1__DecidePairingRequest *)message);
}

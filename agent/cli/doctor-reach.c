/* SPDX-License-Identifier: Apache-2.0 */
/* Over the network, as a node would: TCP, then TLS and health, then whether this device is admitted. */
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/tl-doctor.h"
#include "base/tl-error.h"
#include "pairing/tl-pairing-link.h"
#include "rpc/tl-rpc.h"
#include "twinlatch/v1/health.pb-c.h"
#include "twinlatch/v1/node.pb-c.h"
#include "tl-config-build.h"

#define HEALTH_CHECK     "/grpc.health.v1.Health/Check"
#define GET_GATEWAY_INFO "/twinlatch.v1.NodeService/GetGatewayInfo"
#define TCP_TIMEOUT_S    3
#define CALL_TIMEOUT_MS  5000
#define CLOCK_WARNING_MS (30 * 1000)
#define CLOCK_FAILED_MS  (10 * 60 * 1000) /* certificates are dated back by ten minutes (PROTOCOL 1) */
#define FIX_ROUTE        _ ("look at the network between the two: route, firewall, name; and whether twinlatchd runs there")

typedef enum
{
  REACH_NOTHING,
  REACH_TCP,
  REACH_SERVING,
} Reach;

/* *problem: why no further. */
static Reach
reach (TlDoctor *doctor, const char *address, TlTrustBundle *bundle, GError **problem)
{
  g_autoptr (GSocketClient) sockets = g_socket_client_new ();
  g_autoptr (GSocketConnection) connection = NULL;
  const char *addresses[] = { address, NULL };
  TlRpcClientOptions options = { .addresses = addresses, .bundle = bundle, .connect_timeout_ms = CALL_TIMEOUT_MS };
  Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
  g_autoptr (TlRpcClient) client = NULL;
  Grpc__Health__V1__HealthCheckResponse *answer;
  gboolean serving;

  g_socket_client_set_timeout (sockets, TCP_TIMEOUT_S);
  g_socket_client_set_enable_proxy (sockets, FALSE);
  connection = g_socket_client_connect_to_host (sockets, address, TL_DEFAULT_PORT, NULL, problem);
  if (connection == NULL)
    return REACH_NOTHING;
  client = tl_rpc_client_new (tl_cli_loop (doctor->cli), &options, problem);
  if (client == NULL)
    return REACH_TCP;
  answer = (Grpc__Health__V1__HealthCheckResponse *)
      tl_rpc_client_call_sync (client, HEALTH_CHECK, &request.base,
                               &grpc__health__v1__health_check_response__descriptor, CALL_TIMEOUT_MS, problem);
  if (answer == NULL)
    return REACH_TCP;
  serving = answer->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
  protobuf_c_message_free_unpacked (&answer->base, NULL);
  if (serving)
    return REACH_SERVING;
  g_set_error_literal (problem, TL_ERROR, TL_ERROR_UNAVAILABLE,
                       _ ("it answers that it does not serve now (its store cannot be written)"));
  return REACH_TCP;
}

/* otherwise: the verdict when it is not reached. */
static gboolean
check_address (TlDoctor *doctor, const char *name, const char *address, TlTrustBundle *bundle,
               TlDoctorVerdict otherwise)
{
  g_autoptr (GError) problem = NULL;

  switch (reach (doctor, address, bundle, &problem))
    {
    case REACH_SERVING:
      tl_doctor_add (doctor, name, TL_DOCTOR_OK, NULL, _ ("%s: the gateway answers, with the right certificate"),
                     address);
      return TRUE;
    case REACH_TCP:
      tl_doctor_add (
          doctor, name, TL_DOCTOR_FAILED,
          tl_error_is (problem, TL_ERROR_WRONG_CA)
              ? _ ("another gateway, or somebody else, has this address now; or the clock of this computer is wrong")
              : _ ("journalctl -u twinlatchd on the gateway says more"),
          _ ("%s: somebody listens, but: %s"), address, problem->message);
      return FALSE;
    case REACH_NOTHING:
      tl_doctor_add (doctor, name, otherwise, FIX_ROUTE, "%s: %s", address, problem->message);
      return FALSE;
    }
  g_assert_not_reached ();
}

/* ---- node ------------------------------------------------------------------------------------------------------ */

static void
judge_clock (TlDoctor *doctor, gint64 difference_ms)
{
  gint64 size = llabs (difference_ms);
  TlDoctorVerdict verdict = size >= CLOCK_FAILED_MS    ? TL_DOCTOR_FAILED
                            : size >= CLOCK_WARNING_MS ? TL_DOCTOR_WARNING
                                                       : TL_DOCTOR_OK;

  tl_doctor_add (doctor, "node.clock", verdict,
                 verdict != TL_DOCTOR_OK
                     ? _ ("set the clock of this computer, or the gateway's (timedatectl set-ntp true)")
                     : NULL,
                 _ ("%lld ms %s the gateway's"), (long long)size, difference_ms >= 0 ? _ ("behind") : _ ("ahead of"));
}

static TlRpcIdentity *
make_identity (TlDoctor *doctor, TlTrustBundle *bundle, GError **error)
{
  g_autoptr (TlSecret) key = tl_device_identity_key_pem (doctor->node.identity, error);
  g_autofree char *chain = tl_device_identity_chain_pem (doctor->node.identity);
  g_autofree char *roots = tl_trust_bundle_to_pem (bundle);

  return key != NULL ? tl_rpc_identity_new (chain, key, roots, error) : NULL;
}

static void
check_admitted (TlDoctor *doctor, const char *address, TlTrustBundle *bundle)
{
  const char *addresses[] = { address, NULL };
  TlRpcClientOptions options = { .addresses = addresses, .bundle = bundle, .connect_timeout_ms = CALL_TIMEOUT_MS };
  Twinlatch__V1__GetGatewayInfoRequest request = TWINLATCH__V1__GET_GATEWAY_INFO_REQUEST__INIT;
  Twinlatch__V1__GetGatewayInfoResponse *answer = NULL;
  g_autoptr (GError) problem = NULL;
  g_autoptr (TlRpcClient) client = NULL;

  options.identity = make_identity (doctor, bundle, &problem);
  if (options.identity != NULL)
    client = tl_rpc_client_new (tl_cli_loop (doctor->cli), &options, &problem);
  if (client != NULL)
    answer = (Twinlatch__V1__GetGatewayInfoResponse *)
        tl_rpc_client_call_sync (client, GET_GATEWAY_INFO, &request.base,
                                 &twinlatch__v1__get_gateway_info_response__descriptor, CALL_TIMEOUT_MS, &problem);
  if (answer != NULL)
    {
      tl_doctor_add (doctor, "node.admitted", TL_DOCTOR_OK, NULL, _ ("the gateway admits this device"));
      judge_clock (doctor, answer->server_time_unix_ms - tl_cli_now_ms (doctor->cli));
      protobuf_c_message_free_unpacked (&answer->base, NULL);
    }
  else
    tl_doctor_add (doctor, "node.admitted", TL_DOCTOR_FAILED,
                   _ ("ask an operator of the gateway whether this device was revoked or suspended; a row above says "
                      "whether its certificate has ended"),
                   _ ("the gateway is there, but does not admit this device: %s"), problem->message);
  g_clear_pointer (&options.identity, tl_rpc_identity_unref);
}

void
tl_doctor_node_reach (TlDoctor *doctor)
{
  const char *const *addresses = doctor->node.marker->addresses;
  const char *good = NULL;
  TlTrustBundle *bundle;
  guint first = doctor->rows->len;

  if (doctor->node.identity == NULL)
    return;
  bundle = tl_device_identity_bundle (doctor->node.identity);
  for (guint i = 0; addresses[i] != NULL; i++)
    if (check_address (doctor, "node.reach", addresses[i], bundle, TL_DOCTOR_FAILED) && good == NULL)
      good = addresses[i];
  if (good == NULL)
    return;
  /* One way is enough; the others are only worth knowing. */
  for (guint i = first; i < doctor->rows->len; i++)
    {
      TlDoctorRow *row = doctor->rows->pdata[i];

      if (row->verdict == TL_DOCTOR_FAILED)
        row->verdict = TL_DOCTOR_WARNING;
    }
  check_admitted (doctor, good, bundle);
}

/* ---- gateway --------------------------------------------------------------------------------------------------- */

static TlTrustBundle *
ask_bundle (TlDoctor *doctor, GError **error)
{
  Twinlatch__V1__GetCaBundleRequest request = TWINLATCH__V1__GET_CA_BUNDLE_REQUEST__INIT;
  g_autoptr (TlCaAnswer) answer = NULL;
  g_autoptr (GPtrArray) ders = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);

  answer = (TlCaAnswer *)tl_admin_call (doctor->cli, "GetCaBundle", &request.base,
                                        &twinlatch__v1__get_ca_bundle_response__descriptor, error);
  if (answer == NULL)
    return NULL;
  for (size_t i = 0; i < answer->n_certificates; i++)
    g_ptr_array_add (ders, g_bytes_new (answer->certificates[i]->certificate_der.data,
                                        answer->certificates[i]->certificate_der.len));
  return tl_trust_bundle_new ((GBytes *const *)ders->pdata, ders->len, error);
}

/* Where a client on this computer finds a listener; g_free(). */
static char *
from_here (const char *listener)
{
  const char *colon = strrchr (listener, ':');

  if (colon != NULL && g_str_has_prefix (listener, "0.0.0.0:"))
    return g_strconcat ("127.0.0.1", colon, NULL);
  if (colon != NULL && g_str_has_prefix (listener, "[::]:"))
    return g_strconcat ("[::1]", colon, NULL);
  return g_strdup (listener);
}

void
tl_doctor_gateway_reach (TlDoctor *doctor)
{
  const TlStatusAnswer *status = doctor->gateway.status;
  g_autoptr (GError) error = NULL;
  g_autoptr (TlTrustBundle) bundle = NULL;

  if (status == NULL)
    return;
  bundle = ask_bundle (doctor, &error);
  if (bundle == NULL)
    {
      tl_doctor_add (doctor, "gateway.reach", TL_DOCTOR_SKIPPED, NULL, "%s", error->message);
      return;
    }
  for (size_t i = 0; i < status->n_listeners; i++)
    {
      g_autofree char *address = from_here (status->listeners[i]);

      check_address (doctor, "gateway.reach", address, bundle, TL_DOCTOR_FAILED);
    }
  for (size_t i = 0; i < status->n_advertised; i++) /* behind a NAT this computer may be the only one that cannot */
    check_address (doctor, "gateway.advertised", status->advertised[i], bundle, TL_DOCTOR_WARNING);
  if (status->n_advertised == 0)
    tl_doctor_add (doctor, "gateway.advertised", TL_DOCTOR_WARNING, _ ("set advertise= in twinlatchd.conf"),
                   _ ("links and QR codes have no address that a device could reach"));
}

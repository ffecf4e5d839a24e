/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"
#include "crypto/tl-hash.h"
#include "quic/tl-quic-verifier.h"

typedef enum
{
  PIN_NONE,
  PIN_GIVEN,
  PIN_MALFORMED, /* fits nothing */
} PinState;

struct _TlQuicTrust
{
  TlTrustBundle *bundle;
  TlClock *clock;
  PinState pin_state;
  guint8 pin[TL_SHA256_LENGTH];
  GError *refusal;
};

TlQuicTrust *
tl_quic_trust_new (TlTrustBundle *bundle, const char *pin, TlClock *clock)
{
  TlQuicTrust *trust = g_new0 (TlQuicTrust, 1);

  trust->bundle = tl_trust_bundle_ref (bundle);
  trust->clock = clock;
  if (pin != NULL)
    trust->pin_state = tl_hex_decode (pin, trust->pin, sizeof trust->pin) ? PIN_GIVEN : PIN_MALFORMED;
  return trust;
}

void
tl_quic_trust_free (TlQuicTrust *trust)
{
  if (trust == NULL)
    return;
  tl_trust_bundle_unref (trust->bundle);
  g_clear_error (&trust->refusal);
  g_free (trust);
}

static guint8
check_gateway (TlQuicTrust *trust, const TlQuicPeerCertificate *peer, GError **error)
{
  g_autoptr (X509) leaf = tl_certificate_from_der (peer->leaf_der, peer->leaf_length, error);
  g_autoptr (GError) problem = NULL;
  guint8 alert = TL_QUIC_ALERT_BAD_CERTIFICATE;

  if (leaf == NULL)
    return TL_QUIC_ALERT_BAD_CERTIFICATE;
  if (!tl_trust_bundle_verify (trust->bundle, leaf, TL_LEAF_SERVER, tl_clock_wall_ms (trust->clock), NULL, &problem))
    {
      if (tl_error_is (problem, TL_ERROR_EXPIRED))
        alert = TL_QUIC_ALERT_CERTIFICATE_EXPIRED;
      else if (tl_error_is (problem, TL_ERROR_WRONG_CA))
        alert = TL_QUIC_ALERT_UNKNOWN_CA;
      else if (tl_error_is (problem, TL_ERROR_INTERNAL))
        alert = TL_QUIC_ALERT_INTERNAL_ERROR;
      g_propagate_prefixed_error (error, g_steal_pointer (&problem), "gateway over QUIC: ");
      return alert;
    }
  if (trust->pin_state == PIN_NONE || (trust->pin_state == PIN_GIVEN && tl_certificate_fits_pin (leaf, trust->pin)))
    return TL_QUIC_ALERT_NONE;
  g_set_error (error, TL_ERROR, TL_ERROR_WRONG_CA, "%s",
               trust->pin_state == PIN_GIVEN
                   ? "the gateway's certificate is not the pinned one: correct or remove server-pin"
                   : "server-pin is not the SHA-256 of a certificate or key in hex: no certificate fits it");
  return TL_QUIC_ALERT_CERTIFICATE_UNKNOWN;
}

guint8
tl_quic_trust_verify (const TlQuicPeerCertificate *peer, gpointer user_data)
{
  TlQuicTrust *trust = user_data;

  g_clear_error (&trust->refusal);
  return check_gateway (trust, peer, &trust->refusal);
}

gboolean
tl_quic_trust_get_refusal (TlQuicTrust *trust, GError **error)
{
  if (trust->refusal == NULL)
    return FALSE;
  if (error != NULL)
    *error = g_error_copy (trust->refusal);
  return TRUE;
}

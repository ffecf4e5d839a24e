/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/tl-quic-verifier.h"

#include <pthread.h>
#include <string.h>

#include "base/tl-error.h"
#include "quic/tl-quic-verified.h"

struct _TlQuicVerifier
{
  gatomicrefcount refs;
  TlAdmittedSet *admitted;
  TlClock *clock;
  TlQuicRefusedFunc refused;
  gpointer user_data;

  pthread_mutex_t lock;
  TlTrustBundle *bundle; /* under lock, like all below; `verified` holds for exactly this bundle */
  TlQuicVerified *verified;
  guint64 full, remembered;
};

/* What became of one certificate. */
typedef struct
{
  guint8 alert;
  const char *reason; /* NULL: accepted so far */
  TlQuicVerifiedLeaf leaf;
} Verdict;

TlQuicVerifier *
tl_quic_verifier_new (TlAdmittedSet *admitted, TlTrustBundle *bundle, TlClock *clock, TlQuicRefusedFunc refused,
                      gpointer user_data)
{
  TlQuicVerifier *verifier = g_new0 (TlQuicVerifier, 1);

  g_atomic_ref_count_init (&verifier->refs);
  pthread_mutex_init (&verifier->lock, NULL);
  verifier->admitted = tl_admitted_set_ref (admitted);
  verifier->bundle = tl_trust_bundle_ref (bundle);
  verifier->clock = clock;
  verifier->refused = refused;
  verifier->user_data = user_data;
  verifier->verified = tl_quic_verified_new (TL_QUIC_VERIFIER_MAX);
  return verifier;
}

TlQuicVerifier *
tl_quic_verifier_ref (TlQuicVerifier *verifier)
{
  g_atomic_ref_count_inc (&verifier->refs);
  return verifier;
}

void
tl_quic_verifier_unref (TlQuicVerifier *verifier)
{
  if (verifier == NULL || !g_atomic_ref_count_dec (&verifier->refs))
    return;
  tl_admitted_set_unref (verifier->admitted);
  tl_trust_bundle_unref (verifier->bundle);
  tl_quic_verified_free (verifier->verified);
  pthread_mutex_destroy (&verifier->lock);
  g_free (verifier);
}

void
tl_quic_verifier_set_bundle (TlQuicVerifier *verifier, TlTrustBundle *bundle)
{
  TlTrustBundle *old;

  pthread_mutex_lock (&verifier->lock);
  old = verifier->bundle;
  verifier->bundle = tl_trust_bundle_ref (bundle);
  tl_quic_verified_clear (verifier->verified);
  pthread_mutex_unlock (&verifier->lock);
  tl_trust_bundle_unref (old);
}

void
tl_quic_verifier_get_counts (TlQuicVerifier *verifier, guint64 *full, guint64 *remembered)
{
  pthread_mutex_lock (&verifier->lock);
  *full = verifier->full;
  *remembered = verifier->remembered;
  pthread_mutex_unlock (&verifier->lock);
}

static Verdict
refusal (guint8 alert, const char *reason)
{
  return (Verdict){ .alert = alert, .reason = reason };
}

static guint8
alert_of (const GError *error)
{
  if (tl_error_is (error, TL_ERROR_EXPIRED))
    return TL_QUIC_ALERT_CERTIFICATE_EXPIRED;
  if (tl_error_is (error, TL_ERROR_WRONG_CA))
    return TL_QUIC_ALERT_UNKNOWN_CA;
  if (tl_error_is (error, TL_ERROR_INTERNAL))
    return TL_QUIC_ALERT_INTERNAL_ERROR;
  return TL_QUIC_ALERT_BAD_CERTIFICATE;
}

static Verdict
refusal_of (const GError *error)
{
  guint8 alert = alert_of (error);

  switch (alert)
    {
    case TL_QUIC_ALERT_CERTIFICATE_EXPIRED:
      return refusal (alert, "expired");
    case TL_QUIC_ALERT_UNKNOWN_CA:
      return refusal (alert, "wrong_ca");
    case TL_QUIC_ALERT_INTERNAL_ERROR:
      return refusal (alert, "internal");
    default:
      return refusal (alert, "misfit");
    }
}

static void
limit_to_ca (TlTrustBundle *bundle, guint generation, TlQuicVerifiedLeaf *leaf)
{
  for (guint i = 0; i < tl_trust_bundle_size (bundle); i++)
    if (tl_trust_bundle_generation (bundle, i) == generation)
      {
        X509 *ca = tl_trust_bundle_get (bundle, i);

        leaf->not_before_ms = MAX (leaf->not_before_ms, tl_certificate_not_before_ms (ca));
        leaf->not_after_ms = MIN (leaf->not_after_ms, tl_certificate_not_after_ms (ca));
      }
}

/* Chain, use and name, at a time when the leaf is valid: so that what is remembered does not depend on when it was
 * looked at, and that a name is known to be true when the leaf has expired. Its validity now is looked at afterwards.
 */
static Verdict
verify_fully (TlTrustBundle *bundle, const TlQuicPeerCertificate *peer, gint64 now_ms)
{
  g_autoptr (X509) leaf = tl_certificate_from_der (peer->leaf_der, peer->leaf_length, NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *device_id = NULL;
  Verdict verdict = refusal (TL_QUIC_ALERT_NONE, NULL);
  guint generation;

  if (leaf == NULL)
    return refusal (TL_QUIC_ALERT_BAD_CERTIFICATE, "malformed");
  verdict.leaf.not_before_ms = tl_certificate_not_before_ms (leaf);
  verdict.leaf.not_after_ms = tl_certificate_not_after_ms (leaf);
  now_ms = MAX (MIN (now_ms, verdict.leaf.not_after_ms - 1), verdict.leaf.not_before_ms);
  if (!tl_trust_bundle_verify (bundle, leaf, TL_LEAF_DEVICE, now_ms, &generation, &error)
      || !tl_certificate_get_device (leaf, NULL, &device_id, &error))
    return refusal_of (error);
  limit_to_ca (bundle, generation, &verdict.leaf);
  g_strlcpy (verdict.leaf.device_id, device_id, sizeof verdict.leaf.device_id);
  return verdict;
}

/* Remembered or verified, for the bundle that is in force when this returns. No lock is held while verifying. */
static Verdict
verify_or_remember (TlQuicVerifier *verifier, const TlQuicPeerCertificate *peer, gint64 now_ms)
{
  gboolean known, current = FALSE;
  Verdict verdict = refusal (TL_QUIC_ALERT_NONE, NULL);

  while (!current)
    {
      g_autoptr (TlTrustBundle) bundle = NULL;

      pthread_mutex_lock (&verifier->lock);
      known = tl_quic_verified_lookup (verifier->verified, peer->fingerprint, &verdict.leaf);
      bundle = tl_trust_bundle_ref (verifier->bundle);
      verifier->remembered += known ? 1 : 0;
      pthread_mutex_unlock (&verifier->lock);
      if (known)
        return verdict;
      verdict = verify_fully (bundle, peer, now_ms);
      pthread_mutex_lock (&verifier->lock);
      verifier->full++;
      current = bundle == verifier->bundle;
      if (current && verdict.alert == TL_QUIC_ALERT_NONE)
        tl_quic_verified_add (verifier->verified, peer->fingerprint, &verdict.leaf);
      pthread_mutex_unlock (&verifier->lock);
    }
  return verdict;
}

/* What is looked at every time (PROTOCOL 1, P admission). */
static Verdict
check_admission (TlQuicVerifier *verifier, const TlQuicPeerCertificate *peer, gint64 now_ms, Verdict verdict)
{
  TlAdmission admission;

  if (now_ms < verdict.leaf.not_before_ms || now_ms >= verdict.leaf.not_after_ms)
    {
      verdict.alert = TL_QUIC_ALERT_CERTIFICATE_EXPIRED;
      verdict.reason = "expired";
    }
  else if (!tl_admitted_set_lookup (verifier->admitted, peer->fingerprint, now_ms, &admission))
    {
      verdict.alert = TL_QUIC_ALERT_CERTIFICATE_REVOKED;
      verdict.reason = "not_admitted";
    }
  else if (admission.superseded)
    {
      verdict.alert = TL_QUIC_ALERT_CERTIFICATE_REVOKED;
      verdict.reason = "superseded";
    }
  else if (strcmp (admission.device_id, verdict.leaf.device_id) != 0)
    {
      verdict.alert = TL_QUIC_ALERT_BAD_CERTIFICATE;
      verdict.reason = "misfit";
    }
  return verdict;
}

guint8
tl_quic_verifier_verify (const TlQuicPeerCertificate *peer, gpointer user_data)
{
  TlQuicVerifier *verifier = user_data;
  gint64 now_ms = tl_clock_wall_ms (verifier->clock);
  Verdict verdict = verify_or_remember (verifier, peer, now_ms);

  if (verdict.alert == TL_QUIC_ALERT_NONE)
    verdict = check_admission (verifier, peer, now_ms, verdict);
  if (verdict.alert != TL_QUIC_ALERT_NONE && verifier->refused != NULL)
    verifier->refused (peer->fingerprint, verdict.leaf.device_id[0] != '\0' ? verdict.leaf.device_id : NULL,
                       peer->address, verdict.reason, verifier->user_data);
  return verdict.alert;
}

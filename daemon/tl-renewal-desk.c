/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-renewal-desk.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-json.h"
#include "base/tl-log.h"
#include "base/tl-ulid.h"
#include "daemon/store/tl-journal.h"
#include "daemon/tl-challenge-table.h"

/* Challenges that wait for their use. Rate limits (tl-renewal-service.c) keep strangers below theirs. */
#define MAX_STRANGERS 1024
#define MAX_DEVICES   16384

struct _TlRenewalDesk
{
  TlRenewalDeskParts with;
  TlChallengeTable *strangers;
  TlChallengeTable *devices;
  TlRenewalDeskObserver observer;
  gpointer observer_data;
};

const char *
tl_renewal_desk_step_to_string (TlRenewalDeskStep step)
{
  switch (step)
    {
    case TL_DESK_CHALLENGED:
      return "challenged";
    case TL_DESK_ASKED:
      return "asked";
    case TL_DESK_PROVED:
      return "proved";
    case TL_DESK_RECORDED:
      return "recorded";
    case TL_DESK_ADMITTED:
      return "admitted";
    case TL_DESK_USED:
      return "used";
    case TL_DESK_SUPERSEDED:
      return "superseded";
    }
  g_assert_not_reached ();
}

void
tl_renewal_desk_reached (TlRenewalDesk *desk, TlRenewalDeskStep step)
{
  tl_log (TL_LOG_DEBUG, "renewal", "step", tl_renewal_desk_step_to_string (step), NULL);
  if (desk->observer != NULL)
    desk->observer (step, desk->observer_data);
}

void
tl_renewal_desk_set_observer (TlRenewalDesk *desk, TlRenewalDeskObserver observer, gpointer user_data)
{
  desk->observer = observer;
  desk->observer_data = user_data;
}

TlRenewalDesk *
tl_renewal_desk_new (const TlRenewalDeskParts *parts)
{
  TlRenewalDesk *desk = g_new0 (TlRenewalDesk, 1);

  desk->with = *parts;
  desk->strangers = tl_challenge_table_new (MAX_STRANGERS, parts->random);
  desk->devices = tl_challenge_table_new (MAX_DEVICES, parts->random);
  return desk;
}

void
tl_renewal_desk_free (TlRenewalDesk *desk)
{
  if (desk == NULL)
    return;
  tl_challenge_table_free (desk->strangers);
  tl_challenge_table_free (desk->devices);
  g_free (desk);
}

gint64
tl_renewal_desk_grace_end (TlRenewalDesk *desk, gint64 not_after_ms)
{
  return not_after_ms + desk->with.grace_ms;
}

gboolean
tl_renewal_desk_challenge (TlRenewalDesk *desk, const char *device_id, gboolean admitted,
                           guint8 challenge[TL_RENEWAL_CHALLENGE_LENGTH], GError **error)
{
  if (!tl_ulid_is_valid (device_id))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "device id is not a ULID");
      return FALSE;
    }
  if (!tl_challenge_table_give (admitted ? desk->devices : desk->strangers, device_id,
                                tl_clock_monotonic_us (desk->with.clock), challenge))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
                           "too many renewals are under way; try again in a minute");
      return FALSE;
    }
  tl_renewal_desk_reached (desk, TL_DESK_CHALLENGED);
  return TRUE;
}

/* ---- one renewal ---- */

typedef struct
{
  TlRenewalDesk *desk;
  char *device_id;
  char *actor;
  const char *how; /* static */
  GBytes *csr;
  EVP_PKEY *key;
  guint8 challenge[TL_RENEWAL_CHALLENGE_LENGTH];
  guint8 signature[TL_ED25519_SIGNATURE_LENGTH];
  TlRenewalDone done;
  gpointer user_data;
} Renewal;

static void
renewal_free (Renewal *renewal)
{
  g_free (renewal->device_id);
  g_free (renewal->actor);
  g_clear_pointer (&renewal->csr, g_bytes_unref);
  EVP_PKEY_free (renewal->key);
  g_free (renewal);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Renewal, renewal_free)

static void
on_issued (const GError *error, gpointer result, gpointer user_data)
{
  g_autoptr (Renewal) renewal = user_data;
  TlRenewalDesk *desk = renewal->desk;
  const TlRenewalRecord *record = result;
  TlAdmission admission = { 0 };

  if (error != NULL)
    {
      renewal->done (NULL, error, renewal->user_data);
      return;
    }
  tl_renewal_desk_reached (desk, TL_DESK_RECORDED);
  for (guint i = 0; record->ended != NULL && i < record->ended->len; i++)
    tl_admitted_set_remove (desk->with.admitted, g_ptr_array_index (record->ended, i));
  g_strlcpy (admission.device_id, renewal->device_id, sizeof admission.device_id);
  admission.role = record->role;
  admission.not_after_ms = record->certificate->not_after;
  admission.ca_generation = record->certificate->ca_generation;
  tl_admitted_set_add (desk->with.admitted, record->certificate->fingerprint, &admission);
  tl_renewal_desk_reached (desk, TL_DESK_ADMITTED);
  renewal->done (record, NULL, renewal->user_data);
}

static void
refuse (Renewal *renewal, TlErrorCode code, const char *message)
{
  TlRenewalDesk *desk = renewal->desk;
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, code, message);
  tl_json_auto detail = json_pack ("{s:s, s:s, s:s}", "how", renewal->how, "reason", tl_error_to_reason (error),
                                   "error", error->message);
  g_autofree char *text = tl_json_to_string (detail);

  tl_store_journal (desk->with.store, TL_JOURNAL_CERT_REFUSED, renewal->actor, renewal->device_id, text,
                    tl_clock_wall_ms (desk->with.clock), NULL, NULL);
  renewal->done (NULL, error, renewal->user_data);
}

/* One answer for all that a stranger may not tell apart. */
static void
refuse_proof (Renewal *renewal)
{
  refuse (renewal, TL_ERROR_PERMISSION_DENIED,
          "the gateway does not know this device, or its proof does not hold; if this stays so, pair again");
}

static gboolean
proof_holds (const Renewal *renewal, const TlDeviceRecord *device)
{
  gsize length = 0;
  TlRenewalProof proof = { .gateway_id = tl_gateway_identity_id (renewal->desk->with.identity),
                           .device_id = renewal->device_id,
                           .challenge = renewal->challenge,
                           .csr = g_bytes_get_data (renewal->csr, &length) };

  proof.csr_length = length;
  /* The store also finds devices by name. */
  return g_str_equal (device->device_id, renewal->device_id)
         && tl_renewal_proof_verify (&proof, device->identity_public, renewal->signature, sizeof renewal->signature);
}

static void
issue (Renewal *renewal, const TlDeviceRecord *device)
{
  TlRenewalDesk *desk = renewal->desk;
  TlCertificateAuthority *ca = tl_gateway_identity_ca (desk->with.identity);
  gint64 now = tl_clock_wall_ms (desk->with.clock);
  g_autoptr (GError) error = NULL;
  g_autoptr (X509) leaf = tl_certificate_authority_issue_device (ca, renewal->key, renewal->device_id, now,
                                                                 desk->with.lifetime_ms, desk->with.random, &error);
  g_autofree char *key = tl_key_fingerprint (renewal->key);
  g_autoptr (TlCertificateRecord) record = NULL;
  g_autoptr (GBytes) der = NULL;
  TlRenewalRequest request
      = { .identity_public = device->identity_public, .grace_ms = desk->with.grace_ms, .how = renewal->how };

  if (leaf == NULL)
    {
      renewal->done (NULL, error, renewal->user_data);
      renewal_free (renewal);
      return;
    }
  record = tl_certificate_record_new (leaf, renewal->device_id, key, tl_certificate_authority_generation (ca));
  der = tl_certificate_to_der (leaf);
  request.certificate = record;
  request.der = der;
  tl_renewal_desk_reached (desk, TL_DESK_PROVED);
  tl_store_renew_certificate (desk->with.store, &request, renewal->actor, now, on_issued, renewal);
}

static void
on_device (const GError *error, gpointer result, gpointer user_data)
{
  Renewal *renewal = user_data;

  if (error == NULL && proof_holds (renewal, result))
    {
      issue (renewal, result);
      return;
    }
  if (error != NULL && !tl_error_is_not_found (error) && !tl_error_is (error, TL_ERROR_AMBIGUOUS))
    renewal->done (NULL, error, renewal->user_data);
  else
    refuse_proof (renewal);
  renewal_free (renewal);
}

void
tl_renewal_desk_renew (TlRenewalDesk *desk, const TlRenewalAsk *ask, TlRenewalDone done, gpointer user_data)
{
  gint64 now_us = tl_clock_monotonic_us (desk->with.clock);
  g_autoptr (Renewal) renewal = g_new0 (Renewal, 1);
  g_autoptr (GError) error = NULL;
  Renewal *waiting;

  tl_renewal_desk_reached (desk, TL_DESK_ASKED);
  if (tl_admitted_set_is_closed (desk->with.admitted))
    {
      /* Its list of devices may be of before a revocation (PROTOCOL 4.4). */
      g_set_error_literal (&error, TL_ERROR, TL_ERROR_UNAVAILABLE,
                           "the gateway was restored, and its operator has to confirm the list of devices first");
      done (NULL, error, user_data);
      return;
    }
  if (!tl_ulid_is_valid (ask->device_id))
    {
      g_set_error_literal (&error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "device id is not a ULID");
      done (NULL, error, user_data);
      return;
    }
  renewal->desk = desk;
  renewal->device_id = g_strdup (ask->device_id);
  renewal->actor = g_strdup (ask->actor);
  renewal->how = ask->with_certificate ? "certificate" : "identity";
  renewal->csr = g_bytes_new (ask->csr, MIN (ask->csr_length, TL_CSR_MAX_DER + 1));
  renewal->done = done;
  renewal->user_data = user_data;
  /* Which table it came from is no secret: a device may fetch it over one connection and use it over another. */
  if ((!tl_challenge_table_take (desk->strangers, ask->challenge, ask->challenge_length, renewal->device_id, now_us)
       && !tl_challenge_table_take (desk->devices, ask->challenge, ask->challenge_length, renewal->device_id, now_us))
      || ask->signature_length != sizeof renewal->signature)
    {
      refuse_proof (renewal);
      return;
    }
  memcpy (renewal->challenge, ask->challenge, sizeof renewal->challenge);
  memcpy (renewal->signature, ask->signature, sizeof renewal->signature);
  renewal->key = tl_csr_verify (ask->csr, ask->csr_length, &error);
  if (renewal->key == NULL)
    {
      refuse (renewal, TL_ERROR_INVALID_ARGUMENT, error->message);
      return;
    }
  waiting = g_steal_pointer (&renewal);
  tl_store_find_device (desk->with.store, waiting->device_id, on_device, waiting);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-renewal.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-log.h"

/* By wall clock, so that a computer that slept or whose clock was set notices; a timer for the moment itself would not.
 */
#define CHECK_INTERVAL_S 30

struct _TlRenewal
{
  TlRenewalParts with;
  TlRenewalPlan plan;
  TlRenewalStep step;
  TlDeviceIdentity *next; /* begun and not kept yet: with a leaf from LEAF_STORED on */
  TlRenewalWay way;       /* of the attempt under way; NOT_NOW: none */
  GSource *timer;
  TlRenewalObserver observer;
  gpointer observer_data;
};

const char *
tl_renewal_step_to_string (TlRenewalStep step)
{
  switch (step)
    {
    case TL_RENEWAL_IDLE:
      return "idle";
    case TL_RENEWAL_KEY_STORED:
      return "key-stored";
    case TL_RENEWAL_CHALLENGED:
      return "challenged";
    case TL_RENEWAL_SIGNED:
      return "signed";
    case TL_RENEWAL_ANSWERED:
      return "answered";
    case TL_RENEWAL_LEAF_STORED:
      return "leaf-stored";
    case TL_RENEWAL_USED:
      return "used";
    case TL_RENEWAL_KEPT:
      return "kept";
    }
  g_assert_not_reached ();
}

static void
enter_step (TlRenewal *renewal, TlRenewalStep step)
{
  renewal->step = step;
  tl_log (TL_LOG_DEBUG, "renewal", "step", tl_renewal_step_to_string (step), NULL);
  if (renewal->observer != NULL)
    renewal->observer (step, renewal->observer_data);
}

static gint64
now_ms (TlRenewal *renewal)
{
  return tl_clock_wall_ms (renewal->with.clock);
}

static gint64
now_us (TlRenewal *renewal)
{
  return tl_clock_monotonic_us (renewal->with.clock);
}

static void
plan_certificate (TlRenewal *renewal)
{
  X509 *certificate = tl_device_identity_certificate (renewal->with.identity);

  tl_renewal_plan_set_certificate (&renewal->plan, tl_certificate_not_before_ms (certificate),
                                   tl_certificate_not_after_ms (certificate), renewal->with.random);
}

static void
drop_next (TlRenewal *renewal)
{
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&renewal->next, tl_device_identity_free);
  renewal->plan.begun = FALSE;
  if (!tl_node_state_drop_next (renewal->with.state, &error))
    tl_log_error (TL_LOG_WARNING, "the rest of a renewal stays on disk", error);
}

/* ---- one attempt ----------------------------------------------------------------------------------------------- */

static void
end_attempt (TlRenewal *renewal)
{
  renewal->way = TL_RENEWAL_NOT_NOW;
  renewal->with.transport->klass->end (renewal->with.transport);
}

static void
attempt_failed (TlRenewal *renewal, const GError *error)
{
  TlRenewalWay way = renewal->way;

  end_attempt (renewal);
  tl_log (TL_LOG_WARNING, "the certificate was not renewed", "way",
          way == TL_RENEWAL_BY_IDENTITY ? "identity" : "certificate", "reason", tl_error_to_reason (error), "error",
          error->message, NULL);
  tl_renewal_plan_failed (&renewal->plan, now_us (renewal), renewal->with.random);
  /* Once each: whoever refuses the certificate next time is believed again. */
  renewal->plan.refused
      = way == TL_RENEWAL_BY_CERTIFICATE && (renewal->plan.refused || tl_error_is (error, TL_ERROR_UNAUTHENTICATED));
  /* It was looked at and refused, perhaps for its key: the next attempt takes a new one. */
  if (renewal->step < TL_RENEWAL_LEAF_STORED && !tl_error_is_unavailable (error))
    drop_next (renewal);
  if (renewal->step < TL_RENEWAL_LEAF_STORED)
    renewal->step = TL_RENEWAL_IDLE;
  renewal->with.handlers->failed (renewal, way, error, renewal->with.user_data);
}

/* The leaf is good in its own time: this device's clock may be wrong, and RenewWithIdentity needs none. */
static gboolean
take_leaf (TlRenewal *renewal, const TlRenewalAnswer *answer, GError **error)
{
  /* A CA that this device does not know comes by hand-over record only (PROTOCOL 4.3), never with a leaf. */
  TlTrustBundle *bundle = tl_device_identity_bundle (renewal->with.identity);
  g_autoptr (X509) leaf = tl_certificate_from_der (answer->certificate, answer->certificate_length, error);

  return leaf != NULL
         && tl_device_identity_set_certificate (renewal->next, leaf, bundle, tl_certificate_not_after_ms (leaf) - 1000,
                                                error);
}

static void
on_renewed (const TlRenewalAnswer *answer, const GError *error, gpointer user_data)
{
  TlRenewal *renewal = user_data;
  g_autoptr (GError) problem = NULL;
  g_autofree char *end = NULL;

  if (error != NULL)
    {
      attempt_failed (renewal, error);
      return;
    }
  if (!take_leaf (renewal, answer, &problem))
    {
      attempt_failed (renewal, problem);
      return;
    }
  enter_step (renewal, TL_RENEWAL_ANSWERED);
  if (!tl_node_state_store_next (renewal->with.state, renewal->next, &problem))
    {
      attempt_failed (renewal, problem);
      return;
    }
  end_attempt (renewal);
  tl_device_identity_adopt (renewal->with.identity, renewal->next);
  plan_certificate (renewal);
  tl_renewal_plan_set_gateway_time (&renewal->plan, answer->server_time_ms, now_ms (renewal));
  end = tl_time_to_string (renewal->plan.not_after_ms);
  tl_log (TL_LOG_NOTICE, "the certificate was renewed", "ends", end, NULL);
  enter_step (renewal, TL_RENEWAL_LEAF_STORED);
  renewal->with.handlers->renewed (renewal, renewal->with.user_data);
}

static void
on_challenge (const guint8 *challenge, const GError *error, gpointer user_data)
{
  TlRenewal *renewal = user_data;
  TlDeviceIdentity *identity = renewal->with.identity;
  g_autoptr (GError) problem = NULL;
  g_autoptr (GBytes) csr = NULL;
  guint8 signature[TL_ED25519_SIGNATURE_LENGTH];
  gsize length = 0;
  TlRenewalProof proof = { .gateway_id = tl_trust_bundle_gateway_id (tl_device_identity_bundle (identity)),
                           .device_id = tl_device_identity_device_id (identity),
                           .challenge = challenge };
  TlRenewalMessage message
      = { .device_id = tl_device_identity_device_id (identity), .challenge = challenge, .signature = signature };

  if (error != NULL)
    {
      attempt_failed (renewal, error);
      return;
    }
  enter_step (renewal, TL_RENEWAL_CHALLENGED);
  csr = tl_device_identity_csr (renewal->next, &problem);
  if (csr != NULL)
    {
      proof.csr = g_bytes_get_data (csr, &length);
      proof.csr_length = length;
    }
  if (csr == NULL || !tl_renewal_proof_sign (&proof, identity, signature, &problem))
    {
      attempt_failed (renewal, problem);
      return;
    }
  message.csr = csr;
  enter_step (renewal, TL_RENEWAL_SIGNED);
  renewal->with.transport->klass->renew (renewal->with.transport, &message, on_renewed, renewal);
}

/* The new key is on disk before it leaves as a request: repeating the request after a crash gets the same leaf. */
static gboolean
prepare_key (TlRenewal *renewal, GError **error)
{
  g_autoptr (TlDeviceIdentity) next = NULL;

  if (renewal->step < TL_RENEWAL_LEAF_STORED && renewal->next != NULL)
    return TRUE;
  next = tl_device_identity_begin_renewal (renewal->with.identity, error);
  if (next == NULL)
    return FALSE;
  /* The slot is taken by a leaf that was stored and not known to be used. Unless the gateway refused it, it is as good
   * as the pair before it, and moves on. */
  if (renewal->step == TL_RENEWAL_LEAF_STORED && !renewal->plan.refused
      && !tl_node_state_store_identity (renewal->with.state, renewal->with.identity, error))
    return FALSE;
  if (!tl_node_state_store_next (renewal->with.state, next, error))
    return FALSE;
  g_clear_pointer (&renewal->next, tl_device_identity_free);
  renewal->next = g_steal_pointer (&next);
  return TRUE;
}

static void
begin (TlRenewal *renewal, TlRenewalWay way)
{
  g_autoptr (GError) error = NULL;

  renewal->way = way;
  if (!prepare_key (renewal, &error))
    {
      attempt_failed (renewal, error);
      return;
    }
  renewal->plan.begun = TRUE;
  enter_step (renewal, TL_RENEWAL_KEY_STORED);
  renewal->with.transport->klass->challenge (renewal->with.transport, way,
                                             tl_node_state_marker (renewal->with.state)->addresses,
                                             tl_device_identity_device_id (renewal->with.identity), on_challenge,
                                             renewal);
}

/* ---- when ------------------------------------------------------------------------------------------------------ */

void
tl_renewal_check (TlRenewal *renewal, gboolean world_changed)
{
  TlRenewalWay way;

  if (world_changed)
    tl_renewal_plan_reset (&renewal->plan);
  if (renewal->way != TL_RENEWAL_NOT_NOW || renewal->timer == NULL)
    return;
  way = tl_renewal_plan_way (&renewal->plan, now_ms (renewal), now_us (renewal));
  if (way != TL_RENEWAL_NOT_NOW)
    begin (renewal, way);
}

void
tl_renewal_ask (TlRenewal *renewal)
{
  renewal->plan.asked = TRUE;
  tl_renewal_check (renewal, TRUE);
}

void
tl_renewal_refused (TlRenewal *renewal)
{
  renewal->plan.refused = TRUE;
}

gboolean
tl_renewal_precedes_link (TlRenewal *renewal)
{
  gint64 now = now_ms (renewal);

  if (renewal->way == TL_RENEWAL_BY_IDENTITY)
    return TRUE;
  if (renewal->timer == NULL || !(renewal->plan.refused || tl_renewal_plan_has_ended (&renewal->plan, now)))
    return FALSE;
  /* Attempts are paced by whoever connects. */
  if (renewal->way != TL_RENEWAL_NOT_NOW)
    end_attempt (renewal);
  begin (renewal, TL_RENEWAL_BY_IDENTITY);
  return TRUE;
}

/* The new pair was used: it takes the old one's place on disk. */
static void
keep (TlRenewal *renewal)
{
  g_autoptr (GError) error = NULL;

  enter_step (renewal, TL_RENEWAL_USED);
  if (!tl_node_state_store_identity (renewal->with.state, renewal->with.identity, &error))
    {
      /* Both slots stay: the next connection tries again. */
      tl_log_error (TL_LOG_WARNING, "the new certificate is kept beside the old one", error);
      renewal->step = TL_RENEWAL_LEAF_STORED;
      return;
    }
  enter_step (renewal, TL_RENEWAL_KEPT);
  drop_next (renewal);
  enter_step (renewal, TL_RENEWAL_IDLE);
}

void
tl_renewal_link_up (TlRenewal *renewal, gint64 server_time_ms)
{
  renewal->plan.refused = FALSE;
  tl_renewal_plan_set_gateway_time (&renewal->plan, server_time_ms, now_ms (renewal));
  if (renewal->step == TL_RENEWAL_LEAF_STORED)
    keep (renewal);
  tl_renewal_check (renewal, TRUE); /* the gateway is there */
}

static gboolean
on_timer (gpointer data)
{
  tl_renewal_check (data, FALSE);
  return G_SOURCE_CONTINUE;
}

void
tl_renewal_start (TlRenewal *renewal)
{
  g_autoptr (GMainContext) context = g_main_context_ref_thread_default ();

  if (renewal->timer != NULL)
    return;
  renewal->timer = g_timeout_source_new_seconds (CHECK_INTERVAL_S);
  g_source_set_callback (renewal->timer, on_timer, renewal, NULL);
  g_source_attach (renewal->timer, context);
  tl_renewal_check (renewal, TRUE);
}

void
tl_renewal_stop (TlRenewal *renewal)
{
  if (renewal->timer == NULL)
    return;
  g_source_destroy (renewal->timer);
  g_clear_pointer (&renewal->timer, g_source_unref);
  end_attempt (renewal);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

/* What an earlier process left behind. */
static void
pick_up (TlRenewal *renewal)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlDeviceIdentity) next = tl_node_state_load_next (renewal->with.state, &error);

  if (next == NULL)
    {
      if (!tl_error_is_not_found (error))
        {
          tl_log_error (TL_LOG_WARNING, "a renewal that was begun is given up", error);
          drop_next (renewal);
        }
      return;
    }
  if (!g_str_equal (tl_device_identity_device_id (next), tl_device_identity_device_id (renewal->with.identity))
      || memcmp (tl_device_identity_public (next), tl_device_identity_public (renewal->with.identity), 32) != 0)
    {
      drop_next (renewal); /* of a pairing before this one */
      return;
    }
  renewal->next = g_steal_pointer (&next);
  if (tl_device_identity_is_paired (renewal->next))
    {
      tl_device_identity_adopt (renewal->with.identity, renewal->next);
      renewal->step = TL_RENEWAL_LEAF_STORED;
    }
  else
    {
      renewal->plan.begun = TRUE;
      renewal->step = TL_RENEWAL_KEY_STORED;
    }
}

TlRenewal *
tl_renewal_new (const TlRenewalParts *parts)
{
  TlRenewal *renewal = g_new0 (TlRenewal, 1);
  gboolean begun;

  renewal->with = *parts;
  renewal->with.clock = parts->clock != NULL ? parts->clock : tl_clock_system ();
  renewal->with.random = parts->random != NULL ? parts->random : tl_random_system ();
  pick_up (renewal);
  begun = renewal->plan.begun;
  plan_certificate (renewal);
  renewal->plan.begun = begun;
  return renewal;
}

void
tl_renewal_free (TlRenewal *renewal)
{
  if (renewal == NULL)
    return;
  tl_renewal_stop (renewal);
  renewal->with.transport->klass->free (renewal->with.transport);
  tl_device_identity_free (renewal->next);
  g_free (renewal);
}

void
tl_renewal_set_observer (TlRenewal *renewal, TlRenewalObserver observer, gpointer user_data)
{
  renewal->observer = observer;
  renewal->observer_data = user_data;
}

const TlRenewalPlan *
tl_renewal_plan (TlRenewal *renewal)
{
  return &renewal->plan;
}

TlRenewalStep
tl_renewal_step (TlRenewal *renewal)
{
  return renewal->step;
}

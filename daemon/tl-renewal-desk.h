/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-clock.h"
#include "daemon/store/tl-store.h"
#include "daemon/tl-gateway-identity.h"
#include "identity/tl-admitted-set.h"
#include "identity/tl-renewal-proof.h"

G_BEGIN_DECLS

/*
 * TlRenewalDesk: where devices get a new leaf for the certificate that ends (PROTOCOL 4.3). Gives challenges, checks
 * the proof of the identity key, issues in one transaction of the store, admits the new leaf before it is answered.
 * Knows nothing of transports: the services call it. Thread: main.
 */
typedef struct _TlRenewalDesk TlRenewalDesk;

/* Where a renewal stands. Each is announced to the observer, if there is one, when it is reached: tests end the process
 * there, since whatever is lost at any of them must not lock a device out. */
typedef enum
{
  TL_DESK_CHALLENGED, /* a challenge was drawn, its answer is not sent */
  TL_DESK_ASKED,      /* the request is here, nothing was looked at */
  TL_DESK_PROVED,     /* challenge and proof are right, a leaf is made; nothing is recorded */
  TL_DESK_RECORDED,   /* the leaf is in the store, but not admitted and not answered */
  TL_DESK_ADMITTED,   /* handshakes with it succeed; the answer is not sent */
  TL_DESK_USED,       /* its first use is in the store; the old leaf still starts handshakes here */
  TL_DESK_SUPERSEDED, /* the old leaf starts none any more, its connections have a minute */
} TlRenewalDeskStep;
#define TL_N_DESK_STEPS (TL_DESK_SUPERSEDED + 1)

const char *tl_renewal_desk_step_to_string (TlRenewalDeskStep step);
typedef void (*TlRenewalDeskObserver) (TlRenewalDeskStep step, gpointer user_data);

/* All borrowed. */
typedef struct
{
  TlStore *store;
  TlGatewayIdentity *identity;
  TlAdmittedSet *admitted;
  TlClock *clock;
  TlRandom *random;
  gint64 lifetime_ms; /* of the leaves */
  gint64 grace_ms;
} TlRenewalDeskParts;

/* What a device asks; borrowed during the call. Lengths are checked here. */
typedef struct
{
  const char *device_id;
  const guint8 *csr;
  gsize csr_length;
  const guint8 *challenge;
  gsize challenge_length;
  const guint8 *signature;
  gsize signature_length;
  gboolean with_certificate; /* over mTLS with the certificate that works now */
  const char *actor;         /* for the journal */
} TlRenewalAsk;

/* error NULL: record counts, borrowed during the call; it is admitted already, and what it ended is not any more. */
typedef void (*TlRenewalDone) (const TlRenewalRecord *record, const GError *error, gpointer user_data);

TlRenewalDesk *tl_renewal_desk_new (const TlRenewalDeskParts *parts);
/* Not while a renewal is under way: the store is closed before. */
void tl_renewal_desk_free (TlRenewalDesk *desk);

/* admitted: an admitted device asks; strangers have a table of their own, so that they cannot crowd devices out.
 * INVALID_ARGUMENT, RESOURCE_EXHAUSTED. */
gboolean tl_renewal_desk_challenge (TlRenewalDesk *desk, const char *device_id, gboolean admitted,
                                    guint8 challenge[TL_RENEWAL_CHALLENGE_LENGTH], GError **error);
/* Errors: PERMISSION_DENIED (one answer for an unknown device, a challenge that is not this device's and a proof that
 * does not hold; also a TLS key of another device), REVOKED, SUSPENDED, EXPIRED (past the grace), INVALID_ARGUMENT (the
 * request for the certificate), those of the store. Refusals are journalled. */
void tl_renewal_desk_renew (TlRenewalDesk *desk, const TlRenewalAsk *ask, TlRenewalDone done, gpointer user_data);
/* When RenewWithIdentity stops renewing a certificate that ends then. */
gint64 tl_renewal_desk_grace_end (TlRenewalDesk *desk, gint64 not_after_ms);

void tl_renewal_desk_set_observer (TlRenewalDesk *desk, TlRenewalDeskObserver observer, gpointer user_data);
/* For the part that sees certificates used (tl-gateway.c). */
void tl_renewal_desk_reached (TlRenewalDesk *desk, TlRenewalDeskStep step);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRenewalDesk, tl_renewal_desk_free)

G_END_DECLS

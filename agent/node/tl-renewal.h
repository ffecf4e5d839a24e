/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-node-state.h"
#include "agent/node/tl-renewal-transport.h"
#include "base/tl-clock.h"

G_BEGIN_DECLS

/*
 * TlRenewal: keeps a device's certificate good (PROTOCOL 4.3): at start, after resume, every half minute by wall clock,
 * when an operator asks and when the gateway refuses. A new TLS key each time. Two slots on disk: the pair that works
 * and the one that takes over; the old one goes when the new one was used, so that no crash and no lost answer at any
 * step locks the device out. Thread: main context.
 */
typedef struct _TlRenewal TlRenewal;

/* Where a renewal stands. Each is announced to the observer, if there is one, when it is reached: tests end the process
 * there. */
typedef enum
{
  TL_RENEWAL_IDLE,        /* nothing under way; one pair on disk */
  TL_RENEWAL_KEY_STORED,  /* the new TLS key is on disk; nothing was asked */
  TL_RENEWAL_CHALLENGED,  /* the challenge is here; nothing is signed */
  TL_RENEWAL_SIGNED,      /* the request is about to leave */
  TL_RENEWAL_ANSWERED,    /* the leaf is here, in memory only */
  TL_RENEWAL_LEAF_STORED, /* key and leaf are on disk beside the old pair and take over; the old one is still good */
  TL_RENEWAL_USED,        /* the gateway accepted the new leaf; on disk the old pair still comes first */
  TL_RENEWAL_KEPT,        /* the new pair took the old one's place on disk; its copy beside it remains */
} TlRenewalStep;
#define TL_N_RENEWAL_STEPS (TL_RENEWAL_KEPT + 1)

const char *tl_renewal_step_to_string (TlRenewalStep step);
typedef void (*TlRenewalObserver) (TlRenewalStep step, gpointer user_data);

typedef struct
{
  /* The identity carries the new certificate: connections are to be made anew. */
  void (*renewed) (TlRenewal *renewal, gpointer user_data);
  /* It will be tried again. way: how it was tried. */
  void (*failed) (TlRenewal *renewal, TlRenewalWay way, const GError *error, gpointer user_data);
} TlRenewalHandlers;

/* All borrowed and longer-lived, but the transport, which is taken. */
typedef struct
{
  TlNodeState *state;
  TlDeviceIdentity *identity; /* in use; takes over new certificates */
  TlRenewalTransport *transport;
  TlClock *clock;
  TlRandom *random;
  const TlRenewalHandlers *handlers; /* static */
  gpointer user_data;
} TlRenewalParts;

/* Picks up what an earlier process left: a leaf that was stored but not used takes over in `identity` at once. */
TlRenewal *tl_renewal_new (const TlRenewalParts *parts);
void tl_renewal_free (TlRenewal *renewal);
void tl_renewal_set_observer (TlRenewal *renewal, TlRenewalObserver observer, gpointer user_data);

/* Looks now, and from now on every half minute. */
void tl_renewal_start (TlRenewal *renewal);
/* No more renewals. */
void tl_renewal_stop (TlRenewal *renewal);
/* Is it time? Begins one if so. The world changed (resume, network): earlier failures do not delay it. */
void tl_renewal_check (TlRenewal *renewal, gboolean world_changed);
/* An operator wants a new certificate now (`certificate.renew`). On disk when it returns: survives a crash. */
void tl_renewal_ask (TlRenewal *renewal);
/* The gateway refuses the certificate. */
void tl_renewal_refused (TlRenewal *renewal);
/* TRUE: connecting is pointless until a renewal by identity came to its end (a handler says so); begins it. */
gboolean tl_renewal_precedes_link (TlRenewal *renewal);
/* A connection with the certificate is up: the new pair replaces the old one on disk. */
void tl_renewal_link_up (TlRenewal *renewal, gint64 server_time_ms);

const TlRenewalPlan *tl_renewal_plan (TlRenewal *renewal);
TlRenewalStep tl_renewal_step (TlRenewal *renewal);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRenewal, tl_renewal_free)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-renewal-plan.h"
#include "identity/tl-renewal-proof.h"

G_BEGIN_DECLS

/*
 * TlRenewalTransport: the two questions of a renewal (PROTOCOL 4.3) on their way to the gateway. Implementations: gRPC
 * (tl-renewal-grpc.h), tests. One renewal at a time: ask for a challenge, then renew with it, then end. Thread: main
 * context; callbacks come there, none after end() or free().
 */
typedef struct _TlRenewalTransport TlRenewalTransport;

/* challenge: TL_RENEWAL_CHALLENGE_LENGTH bytes; error NULL: it counts. Borrowed. */
typedef void (*TlChallengeFunc) (const guint8 *challenge, const GError *error, gpointer user_data);

/* What goes to the gateway; borrowed during the call. */
typedef struct
{
  const char *device_id;
  GBytes *csr;
  const guint8 *challenge;
  const guint8 *signature; /* 64 */
} TlRenewalMessage;

/* What came back; borrowed during the callback. Nothing of it is trusted because it came: the leaf has to verify. */
typedef struct
{
  const void *certificate;
  gsize certificate_length;
  guint ca_generation;
  gint64 server_time_ms;
  gint64 grace_end_ms;
} TlRenewalAnswer;

typedef void (*TlRenewedFunc) (const TlRenewalAnswer *answer, const GError *error, gpointer user_data);

typedef struct
{
  void (*challenge) (TlRenewalTransport *transport, TlRenewalWay way, const char *const *addresses,
                     const char *device_id, TlChallengeFunc func, gpointer user_data);
  void (*renew) (TlRenewalTransport *transport, const TlRenewalMessage *message, TlRenewedFunc func,
                 gpointer user_data);
  void (*end) (TlRenewalTransport *transport);
  void (*free) (TlRenewalTransport *transport);
} TlRenewalTransportClass;

/* First member of every implementation. */
struct _TlRenewalTransport
{
  const TlRenewalTransportClass *klass;
};

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "pairing/tl-pairing-messages.h"
#include "twinlatch/v1/pairing.pb-c.h"

G_BEGIN_DECLS

/*
 * Between protobuf messages and the plain values of shared/pairing, device's side. To the wire: pointers are borrowed
 * from the value, the message must not be freed. From the wire: lengths are checked here (PROTOCOL error), meaning is
 * checked by the session. Thread: any.
 */

/* What a WatchPairingResponse says; owns what `answer` points to. */
typedef struct
{
  TlPairingWatchAnswer answer;
  GPtrArray *bundle; /* GBytes */
  char **addresses;
  char *reason;
  char *policy;
  char *gateway_name;
} TlPairingWireWatch;

Twinlatch__V1__ClientKind tl_pairing_wire_client_kind (TlClientKind kind);

/* versions lives as long as the message; start has TL_PAIRING_VERSIONS_MAX at most. */
void tl_pairing_wire_start (const TlPairingStart *start, Twinlatch__V1__StartPairingRequest *message);
/* offer->ca_certificate is a reference of the caller's; strings are borrowed from the message. */
gboolean tl_pairing_wire_offer (const Twinlatch__V1__StartPairingResponse *message, TlPairingMethod method,
                                TlPairingOffer *offer, GError **error);
void tl_pairing_wire_complete (const TlPairingComplete *complete, Twinlatch__V1__CompletePairingRequest *message);
/* Strings borrowed from the message. */
gboolean tl_pairing_wire_complete_answer (const Twinlatch__V1__CompletePairingResponse *message,
                                          TlPairingCompleteAnswer *answer, GError **error);
TlPairingWireWatch *tl_pairing_wire_watch_answer (const Twinlatch__V1__WatchPairingResponse *message, GError **error);
void tl_pairing_wire_watch_free (TlPairingWireWatch *watch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlPairingWireWatch, tl_pairing_wire_watch_free)

G_END_DECLS

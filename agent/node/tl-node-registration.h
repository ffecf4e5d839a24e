/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-gateway-link.h"
#include "pairing/tl-pairing-messages.h"
#include "twinlatch/v1/node.pb-c.h"

G_BEGIN_DECLS

/*
 * TlNodeRegistration: what a node says of itself with RegisterNode (PROTOCOL 4), and how the answer is read; the same
 * for all transports. The message keeps its own strings but for the device id and the descriptions of capabilities,
 * which are borrowed. Thread: owner's.
 */
typedef struct _TlNodeRegistration TlNodeRegistration;

TlNodeRegistration *tl_node_registration_new (const TlGatewayLinkOpen *what, const char *device_id, TlClientKind kind);
void tl_node_registration_free (TlNodeRegistration *registration);
const ProtobufCMessage *tl_node_registration_message (const TlNodeRegistration *registration);

/* PROTOCOL when the answer does not fit: a version that was not offered, another gateway. */
gboolean tl_node_registration_check (const Twinlatch__V1__RegisterNodeResponse *answer, const char *gateway_id,
                                     GError **error);
/* *out borrows from the answer, and from addresses, which is filled for it. */
void tl_node_registration_read (const Twinlatch__V1__RegisterNodeResponse *answer, GPtrArray *addresses,
                                TlLinkRegistration *out);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeRegistration, tl_node_registration_free)

G_END_DECLS

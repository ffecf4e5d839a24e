/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/tl-device-identity.h"

G_BEGIN_DECLS

/*
 * TlNodeCertificate: which certificate the node uses now, for capabilities that tell (system.identity, system.health):
 * they run on other threads, and renewals change it. Thread: any (short pthread lock).
 */
typedef struct _TlNodeCertificate TlNodeCertificate;

TlNodeCertificate *tl_node_certificate_new (void);
TlNodeCertificate *tl_node_certificate_ref (TlNodeCertificate *certificate);
void tl_node_certificate_unref (TlNodeCertificate *certificate);

/* fingerprint: hex, copied. */
void tl_node_certificate_set (TlNodeCertificate *certificate, const char *fingerprint, gint64 not_after_ms);
/* The identity's; it is paired. */
void tl_node_certificate_follow (TlNodeCertificate *certificate, TlDeviceIdentity *identity);
/* The fingerprint, g_free(). */
char *tl_node_certificate_get (TlNodeCertificate *certificate, gint64 *not_after_ms);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeCertificate, tl_node_certificate_unref)

G_END_DECLS

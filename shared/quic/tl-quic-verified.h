/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlQuicVerified: what is known about certificates whose chain, use and name were verified, by fingerprint; at most so
 * many, the one not asked for longest goes first. Nothing in it depends on the time. Thread: owner's.
 */
typedef struct
{
  char device_id[27];
  gint64 not_before_ms, not_after_ms; /* both of them within these: the later start, the earlier end of leaf and CA */
} TlQuicVerifiedLeaf;

typedef struct _TlQuicVerified TlQuicVerified;

TlQuicVerified *tl_quic_verified_new (guint max);
void tl_quic_verified_free (TlQuicVerified *verified);
gboolean tl_quic_verified_lookup (TlQuicVerified *verified, const char *fingerprint, TlQuicVerifiedLeaf *leaf);
/* fingerprint: 64 hex digits. Replaces what was there. */
void tl_quic_verified_add (TlQuicVerified *verified, const char *fingerprint, const TlQuicVerifiedLeaf *leaf);
void tl_quic_verified_clear (TlQuicVerified *verified);
guint tl_quic_verified_size (TlQuicVerified *verified);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQuicVerified, tl_quic_verified_free)

G_END_DECLS

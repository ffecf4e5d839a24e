/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-quic-runtime-private.h"
#include "daemon/tl-token-bucket.h"

G_BEGIN_DECLS

/*
 * TlQuicMembers: the registered connections, by device and by certificate: what a revocation walks. Thread: quic.
 */
struct _TlQuicMember
{
  TlQuicThread *thread;
  TlQuicConnection *connection;
  TlQuicPeer *peer;
  gint64 not_after_ms; /* of the certificate */
  TlTokenBucket budget;
  TlQuicChannel *events; /* its event stream, NULL: none. Borrowed */
  gboolean closing;      /* by us: `closed` follows */
  guint unadmitted;      /* ticks since it fell out of the admitted set */
  GList of_all, of_device, of_certificate;
};

typedef struct _TlQuicMembers TlQuicMembers;

TlQuicMembers *tl_quic_members_new (void);
/* It has to be empty. */
void tl_quic_members_free (TlQuicMembers *members);
/* member: borrowed until it is removed; its links are ours. */
void tl_quic_members_add (TlQuicMembers *members, TlQuicMember *member);
void tl_quic_members_remove (TlQuicMembers *members, TlQuicMember *member);
/* TlQuicMember*, oldest first; NULL: none. Borrowed until the next change. */
const GQueue *tl_quic_members_all (TlQuicMembers *members);
const GQueue *tl_quic_members_of_device (TlQuicMembers *members, const char *device_id);
const GQueue *tl_quic_members_of_certificate (TlQuicMembers *members, const char *fingerprint);

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * QUIC v1 Initial packets of a client that nobody is behind: protected as RFC 9001 (5, A.2) wants, with a ClientHello
 * that a server answers. Made with OpenSSL alone, so that it shares nothing with what it is aimed at. Thread: any.
 */
#define QUIC_INITIAL_SIZE      1200 /* the least that a server has to look at (RFC 9000, 14.1) */
#define QUIC_INITIAL_CID       18   /* destination connection id */
#define QUIC_INITIAL_SCID      8
#define QUIC_INITIAL_MAX_TOKEN 256

typedef struct
{
  guint8 dcid[20];
  gsize dcid_length;
  guint8 scid[QUIC_INITIAL_SCID];
  const guint8 *token; /* borrowed */
  gsize token_length;  /* <= QUIC_INITIAL_MAX_TOKEN */
} QuicInitial;

/* Random connection ids, no token. */
void quic_initial_init (QuicInitial *self);
/* out: QUIC_INITIAL_SIZE bytes. Aborts when OpenSSL fails. */
void quic_initial_seal (const QuicInitial *self, guint8 *out);

/* The token and the server's connection id of a Retry packet; FALSE: it is not one. token: room for
 * QUIC_INITIAL_MAX_TOKEN. Its integrity tag is not checked: whoever asks is on loopback. */
gboolean quic_retry_parse (const guint8 *packet, gsize length, QuicInitial *answer, guint8 *token);

G_END_DECLS

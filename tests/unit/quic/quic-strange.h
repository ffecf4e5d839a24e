/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <ngtcp2/ngtcp2_crypto.h>

#include "identity/tl-certificate.h"

G_BEGIN_DECLS

/*
 * A side of a handshake that is none of ours: the library in use, set up by itself, with what somebody else would do.
 * It accepts whatever the other side shows. One file a back end.
 */
typedef struct
{
  gboolean is_server;
  const char *alpn;  /* the one protocol offered or chosen, whatever the other side says; NULL: none */
  X509 *certificate; /* alone; NULL: none (client) */
  EVP_PKEY *key;     /* need not fit it */
} QuicStrange;

/* The native handle; ref as for ngtcp2's back ends. NULL: the library cannot be made to show a certificate whose key it
 * has not. */
void *quic_strange_new (const QuicStrange *strange, ngtcp2_crypto_conn_ref *ref);
void quic_strange_free (void *native);

G_END_DECLS

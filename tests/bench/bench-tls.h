/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "bench-pki.h"

G_BEGIN_DECLS

/* TLS 1.3 handshakes, mutual, P-256 all through, between two OpenSSL objects in memory: what a handshake costs at
 * least. */
typedef struct _BenchTls BenchTls;

typedef struct
{
  guint count;
  double seconds;        /* both sides */
  double server_seconds; /* the server's part */
} BenchTlsTimes;

BenchTls *bench_tls_new (BenchPki *pki, GError **error);
void bench_tls_free (BenchTls *tls);
/* Adds to times. */
gboolean bench_tls_run (BenchTls *tls, guint count, BenchTlsTimes *times, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BenchTls, bench_tls_free)

G_END_DECLS

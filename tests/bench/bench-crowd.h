/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "bench-bare-tls.h"
#include "bench.h"

G_BEGIN_DECLS

/*
 * More devices than pairing would be done with in time: certificates of the gateway's own authority, recorded in its
 * store as if they had been paired. They differ in everything but the TLS key, so that the client's part stays cheap.
 */
typedef struct
{
  TlSecret *key_pem;
  TlTrustBundle *bundle;
  GPtrArray *leaves; /* char*, PEM, a device */
} BenchCrowd;

/* The gateway in <directory>/gateway does not run; device_id: one that was paired with it, and is copied. */
gboolean bench_crowd_plant (BenchCrowd *crowd, const char *directory, const char *device_id, guint count,
                            GError **error);
void bench_crowd_clear (BenchCrowd *crowd);
/* What device number `index` shows, by the bare client. */
BenchBareTls *bench_crowd_tls (const BenchCrowd *crowd, guint index, GError **error);

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/tl-certificate-authority.h"
#include "identity/tl-device-identity.h"
#include "pairing/tl-pairing-code.h"
#include "rpc/tl-rpc.h"

G_BEGIN_DECLS

/* A certificate authority of the benchmark's own, for everything that is measured without the daemon. */
typedef struct
{
  char *gateway_id;
  TlCertificateAuthority *ca;
  TlTrustBundle *bundle;
  EVP_PKEY *server_key;
  X509 *server_leaf;
  TlSecret *token; /* of a pairing link, and what the gateway keeps of it */
  TlPairingVerifier *verifier;
} BenchPki;

BenchPki *bench_pki_new (GError **error);
void bench_pki_free (BenchPki *pki);
/* chain.pem, key.pem, roots.pem: what a server needs. */
gboolean bench_pki_write_server (BenchPki *pki, const char *directory, GError **error);

/* A device that holds a certificate, the daemon's or this authority's. */
typedef struct
{
  TlDeviceIdentity *identity;
  char *node_dir; /* NULL: not on disk */
} BenchDevice;

BenchDevice *bench_device_new (TlDeviceIdentity *identity, const char *node_dir);
void bench_device_free (BenchDevice *device);
BenchDevice *bench_pki_new_device (BenchPki *pki, GError **error);
/* What the device shows in handshakes; has a thread of gRPC's own that watches for a new certificate. */
TlRpcIdentity *bench_device_rpc_identity (BenchDevice *device, GError **error);
TlRpcClient *bench_device_client (BenchDevice *device, TlRpcIdentity *rpc_identity, TlRpcLoop *loop,
                                  const char *address, GError **error);

/*
 * What both sides of one pairing compute, without sockets, store and TLS: the key exchanges, the keys of a new device,
 * its request and the certificate.
 */
gboolean bench_pki_pairing_crypto (BenchPki *pki, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BenchPki, bench_pki_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (BenchDevice, bench_device_free)

G_END_DECLS

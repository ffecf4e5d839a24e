/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-secret.h"

G_BEGIN_DECLS

/*
 * TlPairingLink: `twinlatch:pair?v=1&g=..&c=..&t=..&f=..&a=host:port[&a=..]&n=..` (PROTOCOL 3.1). A value, immutable.
 * Parsing one connects to nothing (P). Bad parts are named in the error; unknown parameters are ignored. Thread: any.
 */
#define TL_PAIRING_LINK_MAX           1024 /* bytes */
#define TL_PAIRING_LINK_ADDRESSES_MAX 4
#define TL_PAIRING_NAME_MAX           64 /* bytes, as device names */

typedef struct _TlPairingLink TlPairingLink;

/* addresses: "host:port", "192.0.2.1:7444", "[2001:db8::1]:7444"; 1..4, made canonical, the default port added,
 * repeated ones dropped. name may be NULL. */
TlPairingLink *tl_pairing_link_new (const char *gateway_id, const char *code_id, const TlSecret *token,
                                    const guint8 ca_sha256[32], const char *const *addresses, const char *name,
                                    GError **error);
/* Blanks and line ends around it are trimmed (it may come from a file or a scanner). */
TlPairingLink *tl_pairing_link_parse (const char *text, GError **error);
/* Text for the QR code: NUL-terminated inside the secret. At most TL_PAIRING_LINK_MAX bytes. */
TlSecret *tl_pairing_link_format (const TlPairingLink *link);
void tl_pairing_link_free (TlPairingLink *link);
/* Does the text look like a link at all (scheme), so that it is not taken for a PIN? */
gboolean tl_pairing_link_is_link (const char *text);

const char *tl_pairing_link_gateway_id (const TlPairingLink *link);
const char *tl_pairing_link_code_id (const TlPairingLink *link);
const TlSecret *tl_pairing_link_token (const TlPairingLink *link); /* canonical, 26 characters */
const guint8 *tl_pairing_link_ca_sha256 (const TlPairingLink *link);
const char *const *tl_pairing_link_addresses (const TlPairingLink *link); /* unverified */
const char *tl_pairing_link_name (const TlPairingLink *link);             /* unverified; NULL when absent */

/* "host", "host:port", "1.2.3.4", "[::1]:1", "::1" to canonical "host:port" with the default port where none is given
 * (default_port 0: a port is required). INVALID_ARGUMENT otherwise. g_free(). */
char *tl_address_normalise (const char *text, guint16 default_port, GError **error);
/* Names that people read: valid UTF-8, NFC, <= TL_PAIRING_NAME_MAX bytes, no control, format, line- or
 * paragraph-separator or unassigned characters, not empty, no blank at either end. */
gboolean tl_pairing_name_check (const char *what, const char *name, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlPairingLink, tl_pairing_link_free)

G_END_DECLS

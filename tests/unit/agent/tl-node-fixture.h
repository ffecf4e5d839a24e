/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-node-state.h"
#include "base/tl-json.h"
#include "identity/tl-certificate-authority.h"
#include "identity/tl-device-identity.h"

G_BEGIN_DECLS

/* What the node's tests share: a folder that goes away, a gateway's CA, a device that is paired with it. */
#define TL_FIXTURE_GATEWAY       "01J00000000000000000000001"
#define TL_FIXTURE_OTHER_GATEWAY "01J00000000000000000000002"

char *tl_fixture_directory (void);
void tl_fixture_remove (const char *directory);
void tl_fixture_write (const char *directory, const char *name, const char *text);
char *tl_fixture_read (const char *directory, const char *name);

TlCertificateAuthority *tl_fixture_ca (const char *gateway_id);
/* Paired, with a certificate of lifetime_ms from now. */
TlDeviceIdentity *tl_fixture_identity (TlCertificateAuthority *ca, gint64 lifetime_ms);
TlNodeState *tl_fixture_state (const char *directory, TlDeviceIdentity *identity, const char *address);

/* Runs the default main context until *flag is set; fails the test after ten seconds. */
void tl_fixture_wait (gboolean *flag, const char *what);
/* The same until the counter reaches `value`. */
void tl_fixture_wait_count (guint *counter, guint value, const char *what);
/* Lets everything that is ready now happen. */
void tl_fixture_settle (void);

G_END_DECLS

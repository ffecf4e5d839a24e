/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/cli/tl-cli.h"

G_BEGIN_DECLS

/*
 * TlAdminRemote: AdminService of a gateway over the network, with this computer's identity for it (PROTOCOL 4: an
 * admitted device with role operator). The identity is read anew each time one is made and nothing is locked, so that
 * it works beside a `node run` that renews it. Thread: main.
 */
typedef struct _TlAdminRemote TlAdminRemote;

/* gateway: id, unique prefix or name of one this computer is paired with. Does not connect yet. NOT_PAIRED, AMBIGUOUS,
 * EXPIRED (the certificate ended), and as the secret store says. */
TlAdminRemote *tl_admin_remote_new (TlCli *cli, const char *gateway, GError **error);
void tl_admin_remote_free (TlAdminRemote *remote);
TlRpcClient *tl_admin_remote_client (TlAdminRemote *remote); /* borrowed */

/* Makes of what a call failed with what a person can act on: not admitted any more (asks the gateway once, without the
 * certificate, whether it is there), no operator, unreachable. Blocks for at most a few seconds. */
void tl_admin_remote_explain (TlAdminRemote *remote, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlAdminRemote, tl_admin_remote_free)

G_END_DECLS

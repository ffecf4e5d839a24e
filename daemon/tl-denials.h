/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/store/tl-store.h"
#include "rpc/tl-rpc.h"

G_BEGIN_DECLS

/*
 * TlDenials: every call that was refused to its caller is a row `call.denied` of the journal: actor; subject: the code,
 * request or device it was about, as far as it is known; detail {"method", "reason"} and, after rows were left out,
 * {"left_out": N}. Bounded, because those who are refused choose how often they call: what is beyond the limits is
 * counted and told with the next row. Strangers have a budget of their own, so that they cannot hide what a device
 * tried. Thread: main.
 */
#define TL_DENIALS_PER_DEVICE   20 /* rows a minute */
#define TL_DENIALS_OF_DEVICES   120
#define TL_DENIALS_PER_SOURCE   5
#define TL_DENIALS_OF_STRANGERS 30

typedef struct _TlDenials TlDenials;

/* store: borrowed. */
TlDenials *tl_denials_new (TlStore *store, TlClock *clock);
void tl_denials_free (TlDenials *denials);
/* path: of the method, "/twinlatch.v1.AdminService/RevokeDevice". subject: an id, or NULL. */
void tl_denials_add (TlDenials *denials, const TlRpcPeer *peer, const char *path, const char *subject,
                     const GError *error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlDenials, tl_denials_free)

G_END_DECLS

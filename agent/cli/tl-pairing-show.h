/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/cli/tl-admin.h"

G_BEGIN_DECLS

/*
 * Codes and requests as people see them; used by the `pairing` verbs. Thread: main.
 */
void tl_pairing_show_codes (TlCli *cli, const GPtrArray *codes);
void tl_pairing_show_requests (TlCli *cli, const GPtrArray *requests);
/* One request in full: what an approver needs to know of the device. */
void tl_pairing_show_request (TlCli *cli, const Twinlatch__V1__PairingRequest *request);
/* The open request with that id or unique prefix; NOT_FOUND and AMBIGUOUS. Free with tl_admin_answer_free(). */
Twinlatch__V1__PairingRequest *tl_pairing_find_request (TlCli *cli, const char *request_id, GError **error);
/* DecidePairing; prints the outcome. code and reason may be NULL. */
gboolean tl_pairing_decide (TlCli *cli, const char *request_id, gboolean approve, const char *code, const char *reason,
                            GError **error);

G_END_DECLS

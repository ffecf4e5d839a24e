/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "pairing/tl-pairing-messages.h"

G_BEGIN_DECLS

/*
 * Inside shared/pairing (and its tests) only. The comparison code is computed by the device session, which shows it,
 * and by the gateway's check of typed digits; no public function of the gateway's side gives it out (P, PROTOCOL 3.3),
 * and nothing outside this folder includes this file.
 */
#define TL_PAIRING_COMPARISON_DIGITS 6

void tl_pairing_keys_comparison (TlPairingKeys *keys, const guint8 device_nonce[TL_PAIRING_NONCE_LENGTH],
                                 char digits[TL_PAIRING_COMPARISON_DIGITS + 1]);

G_END_DECLS

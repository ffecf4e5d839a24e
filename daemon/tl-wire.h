/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/store/tl-records.h"
#include "rpc/tl-rpc.h"
#include "twinlatch/v1/admin.pb-c.h"
#include "twinlatch/v1/node.pb-c.h"
#include "twinlatch/v1/pairing.pb-c.h"

G_BEGIN_DECLS

/*
 * Store records to protobuf messages: the messages borrow from the records and live no longer. Thread: any.
 */

/* NULL to protobuf-c's empty string. */
char *tl_wire_string (const char *text);
ProtobufCBinaryData tl_wire_bytes (const void *data, gsize length);
ProtobufCBinaryData tl_wire_gbytes (GBytes *bytes);

/* A message of its own with the same contents; protobuf_c_message_free_unpacked(). NULL: what a peer sent does not
 * survive packing (unknown fields can be such that protobuf-c writes what it cannot read): refuse it as malformed.
 * packed (may be NULL) gets the bytes. */
gpointer tl_wire_copy (const ProtobufCMessage *message, GBytes **packed);
/* Ends the call with INVALID_ARGUMENT, for a message that tl_wire_copy() refused. */
void tl_wire_finish_malformed (TlRpcCall *call);

Twinlatch__V1__Role tl_wire_role (TlRole role);
/* Unspecified is node; FALSE for numbers that this version does not know. */
gboolean tl_wire_role_from (Twinlatch__V1__Role wire, TlRole *role);
Twinlatch__V1__ClientKind tl_wire_client_kind (TlClientKind kind);
gboolean tl_wire_client_kind_from (Twinlatch__V1__ClientKind wire, TlClientKind *kind);
Twinlatch__V1__PairingState tl_wire_pairing_state (TlPairingState state);

void tl_wire_code (Twinlatch__V1__PairingCode *message, const TlCodeRecord *record);
void tl_wire_pairing (Twinlatch__V1__PairingRequest *message, const TlPairingRecord *record, char **fingerprint);
/* certificates: the array and its messages are allocated; free with tl_wire_device_clear(). */
void tl_wire_device (Twinlatch__V1__Device *message, const TlDeviceRecord *record);
void tl_wire_device_clear (Twinlatch__V1__Device *message);
/* Without what only GetCapabilityRequest tells. */
void tl_wire_request (Twinlatch__V1__CapabilityRequest *message, const TlCapabilityRecord *record);
/* The receipt as it was packed; NULL: none. twinlatch__v1__receipt__free_unpacked() */
Twinlatch__V1__Receipt *tl_wire_receipt (GBytes *packed);
void tl_wire_event (Twinlatch__V1__Event *message, const TlEventRecord *record);

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The journal's vocabulary (DESIGN, State): every decision and denial is a row
 *   seq, time (wall-clock ms), kind, actor, subject, detail, hash
 * chained by SHA-256 to the one before. actor: "uid:1000", "device:<id>", "source:<address>" or "gateway". subject: id
 * of the code, pairing request, device, capability request or certificate it is about; "" when there is none. detail: a
 * JSON object of at most 4096 bytes; never a secret, never input or output of a capability. Kinds are stable.
 */
#define TL_JOURNAL_CODE_MINTED        "code.minted"
#define TL_JOURNAL_CODE_CANCELLED     "code.cancelled"
#define TL_JOURNAL_CODE_REFUSED       "code.refused"   /* unknown, expired, spent, slowed down */
#define TL_JOURNAL_CODE_ATTEMPTED     "code.attempted" /* the attempt was counted */
#define TL_JOURNAL_PAIRING_REQUESTED  "pairing.requested"
#define TL_JOURNAL_PAIRING_REFUSED    "pairing.refused"  /* bans, identity or key known elsewhere, role */
#define TL_JOURNAL_PAIRING_COMPARED   "pairing.compared" /* wrong comparison code */
#define TL_JOURNAL_PAIRING_APPROVED   "pairing.approved"
#define TL_JOURNAL_PAIRING_REJECTED   "pairing.rejected"
#define TL_JOURNAL_PAIRING_EXPIRED    "pairing.expired"
#define TL_JOURNAL_PAIRING_COMPLETED  "pairing.completed"
#define TL_JOURNAL_CERT_ISSUED        "certificate.issued"
#define TL_JOURNAL_CERT_RENEWED       "certificate.renewed"
#define TL_JOURNAL_CERT_REFUSED       "certificate.refused"
#define TL_JOURNAL_CERT_USED          "certificate.used" /* first handshake; ends the older ones */
#define TL_JOURNAL_DEVICE_REVOKED     "device.revoked"
#define TL_JOURNAL_DEVICE_SUSPENDED   "device.suspended"
#define TL_JOURNAL_DEVICE_RESUMED     "device.resumed"
#define TL_JOURNAL_DEVICE_RENAMED     "device.renamed"
#define TL_JOURNAL_DEVICE_REMOVED     "device.removed"
#define TL_JOURNAL_DEVICE_CLEARED     "device.cleared"
#define TL_JOURNAL_DEVICE_ROTATED     "device.rotated" /* asked to renew now */
#define TL_JOURNAL_DEVICE_ROLE        "device.role"
#define TL_JOURNAL_NODE_CAPABILITY    "node.capability" /* switched on or off */
#define TL_JOURNAL_REQUEST_CREATED    "request.created"
#define TL_JOURNAL_REQUEST_REFUSED    "request.refused" /* not announced, switched off, not connected, no right */
#define TL_JOURNAL_REQUEST_CANCELLED  "request.cancelled"
#define TL_JOURNAL_REQUEST_ENDED      "request.ended" /* the final state, with the receipt and hash of the output */
#define TL_JOURNAL_RESULT_LATE        "result.late"
#define TL_JOURNAL_RESULT_REFUSED     "result.refused" /* another device's, bad receipt */
#define TL_JOURNAL_CONNECTION_REFUSED "connection.refused"
#define TL_JOURNAL_CALL_DENIED        "call.denied" /* method not for this caller */
#define TL_JOURNAL_CONFIG_CHANGED     "configuration.changed"
#define TL_JOURNAL_GATEWAY_CREATED    "gateway.created"
#define TL_JOURNAL_GATEWAY_STARTED    "gateway.started"
#define TL_JOURNAL_GATEWAY_RESTORED   "gateway.restored" /* an older store was found, or the list was confirmed */
#define TL_JOURNAL_STORE_DAMAGED      "store.damaged"    /* a page or table is not what was written */
#define TL_JOURNAL_STATE_IMPORTED     "state.imported"
#define TL_JOURNAL_EVENTS_RESET       "events.reset"
#define TL_JOURNAL_PRUNED             "journal.pruned" /* checkpoint: older rows are gone */

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-json-writer.h"
#include "quic/tl-quic-message.h"

G_BEGIN_DECLS

/* Shared by tl-quic-request.c and tl-quic-answer.c: members of a frame, each checked as it is taken. All: FALSE with
 * INVALID_ARGUMENT naming the member; strings are borrowed from the object. Thread: any. */

/* TRUE: certainly a well-formed `node.health` of our version, told without building its JSON. FALSE says nothing. */
gboolean tl_quic_request_is_plain_health (const guint8 *data, gsize length);
/* A frame's object, within the limits of PROTOCOL 0 and 5. */
json_t *tl_quic_message_parse (const guint8 *data, gsize length, GError **error);
/* max: bytes. Absent and not required: "". */
gboolean tl_quic_message_text (const json_t *object, const char *member, gboolean required, gsize max,
                               const char **value, GError **error);
gboolean tl_quic_message_ulid (const json_t *object, const char *member, const char **value, GError **error);
/* Below 2^53. Absent and not required: 0. */
gboolean tl_quic_message_uint (const json_t *object, const char *member, gboolean required, guint64 *value,
                               GError **error);
gboolean tl_quic_message_time (const json_t *object, const char *member, gint64 *value, GError **error);
/* Absent: FALSE, if it is not required. */
gboolean tl_quic_message_bool (const json_t *object, const char *member, gboolean required, gboolean *value,
                               GError **error);
/* A position in an event log: "" with 0, else a ULID. */
gboolean tl_quic_message_cursor (const json_t *object, const char *seq_member, const char *id_member, guint64 *seq,
                                 const char **id, GError **error);
/* base64url. step 0: exactly max bytes, or none; else a multiple of step, at most max. *bytes, *left: where they go. */
gboolean tl_quic_message_bytes (const json_t *object, const char *member, gsize step, gsize max, guint8 **bytes,
                                gsize *left, ProtobufCBinaryData *value, GError **error);

G_END_DECLS

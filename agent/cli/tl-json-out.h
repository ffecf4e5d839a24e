/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/tl-json.h"

G_BEGIN_DECLS

/*
 * Protobuf messages as JSON for `--json`, by their descriptors: members as in the .proto files, every member there,
 * integers as integers, enum values in lower case without the enum's prefix ("pending_approval"), bytes as lower-case
 * hex, absent messages null, members of a oneof only when set. Strings that hold JSON themselves (input, output, data,
 * detail, policy, progress and the schemas) are embedded parsed; empty ones are null, ones that do not parse stay
 * strings. Stable: documented in twinlatch(1). Thread: any.
 */
json_t *tl_json_from_message (const ProtobufCMessage *message);
/* {"items": [...]}; messages: ProtobufCMessage. */
json_t *tl_json_from_messages (const GPtrArray *messages);
/* A string that holds JSON, as above. */
json_t *tl_json_embed (const char *text);
/* Never fails: bytes that are not UTF-8 become U+FFFD. */
json_t *tl_json_text (const char *text);

/* Value of an enum as in `--json`; the number for one that this program does not know. g_free(). */
char *tl_enum_to_text (const ProtobufCEnumDescriptor *descriptor, int value);
/* The inverse, case-insensitive, '-' for '_'; FALSE for unknown words and "unspecified". */
gboolean tl_enum_from_text (const ProtobufCEnumDescriptor *descriptor, const char *text, int *value);

G_END_DECLS

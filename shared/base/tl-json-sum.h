/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-json.h"

G_BEGIN_DECLS

/*
 * A checksum inside a state file of JSON: the member "sum" of the object, hex SHA-256 of the rest in canonical form
 * (compact, members sorted). Against rot and half-hearted edits, not against an attacker. White space does not count,
 * so that a file may be looked at and formatted. Thread: any.
 */
#define TL_JSON_SUM "sum"

/* Sets or replaces the member. FALSE: not an object, or not UTF-8. */
gboolean tl_json_add_sum (json_t *object);
/* CORRUPT when the member is there and does not fit; files of before it are believed. */
gboolean tl_json_check_sum (const json_t *object, GError **error);

G_END_DECLS

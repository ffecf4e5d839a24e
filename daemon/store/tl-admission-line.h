/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "crypto/tl-hash.h"
#include "daemon/store/tl-admission-log.h"

G_BEGIN_DECLS

/*
 * The lines of `admission.log`: a JSON object whose last member is "mac", in lower-case hex: MAC (key;
 * `admission-log`, mac of the line before (32 zero bytes before the first), the line's bytes up to that member). The
 * MAC is checked over the bytes as they are before anything is parsed. Pure. Thread: any.
 */

/* Lines are without their line feed. TRUE: genuine, and *mac, which was the line before's, is now this one's. */
gboolean tl_admission_line_verify (const char *line, gsize length, const TlSecret *key, guint8 mac[TL_SHA256_LENGTH]);
/* Of a verified line; FALSE, NULL: not such a line. */
gboolean tl_admission_line_read_header (const char *line, gsize length, char **gateway_id, guint64 *base);
TlAdmissionEntry *tl_admission_line_read_entry (const char *line, gsize length);

/* Append a line with its line feed; *mac goes from the line before's to this one's. */
void tl_admission_line_append_header (GString *text, const char *gateway_id, guint64 base, const TlSecret *key,
                                      guint8 mac[TL_SHA256_LENGTH]);
void tl_admission_line_append_entry (GString *text, const TlAdmissionEntry *entry, const TlSecret *key,
                                     guint8 mac[TL_SHA256_LENGTH]);

G_END_DECLS

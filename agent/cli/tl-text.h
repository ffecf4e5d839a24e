/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Text for terminals. Strings in answers come from strangers' devices: nothing of theirs reaches a terminal before
 * tl_text_escape(). Thread: any. Every function returns a new string (g_free).
 */

/* One line that is safe to show: valid UTF-8; control, format (bidirectional overrides), separator and unassigned
 * characters become \u{1b}. */
char *tl_text_escape (const char *text);
/* The same for a text of several lines: keeps line feeds and tabs. */
char *tl_text_escape_lines (const char *text);
/* Columns that a terminal uses for it: wide characters two, combining ones none. */
guint tl_text_width (const char *text);
/* "042917" -> "042 917"; other lengths are copied. */
char *tl_text_group_digits (const char *digits);

/* "in 9 min (10:12:03)", "3 d ago (2026-11-18 09:00:00)", local time; 0 gives "-". */
char *tl_text_time (gint64 wall_ms, gint64 now_ms);
/* Coarse: "12 s", "9 min", "5 h", "3 d". */
char *tl_text_span (gint64 ms);

G_END_DECLS

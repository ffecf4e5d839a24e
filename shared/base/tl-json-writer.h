/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlJsonWriter: one JSON object as text, compact, members in the order they are written, without building a tree first:
 * for what is written often. Escapes as RFC 8259 asks (quotation mark, backslash, control characters) and leaves the
 * rest as UTF-8. A text that is not UTF-8 or a number beyond 2^53 is remembered and the writer gives nothing out. On
 * the stack of its user. Thread: owner's.
 */
typedef struct
{
  GString *text;
  gboolean comma;     /* the next member needs one */
  gboolean malformed; /* something cannot be written */
} TlJsonWriter;

/* Opens the object. size: bytes expected. */
void tl_json_writer_init (TlJsonWriter *writer, gsize size);
/* Closes it and gives its bytes; NULL: malformed. Either way the writer is empty. */
GBytes *tl_json_writer_end (TlJsonWriter *writer);

/* name: needs no escaping, not checked. value NULL: an empty string. */
void tl_json_writer_string (TlJsonWriter *writer, const char *name, const char *value);
void tl_json_writer_int (TlJsonWriter *writer, const char *name, gint64 value);
void tl_json_writer_uint (TlJsonWriter *writer, const char *name, guint64 value);
void tl_json_writer_bool (TlJsonWriter *writer, const char *name, gboolean value);
/* base64url without padding, as a string. */
void tl_json_writer_bytes (TlJsonWriter *writer, const char *name, const void *data, gsize length);
/* A value that is JSON already: not looked at. */
void tl_json_writer_raw (TlJsonWriter *writer, const char *name, const char *json);
/* A member that is an object, until tl_json_writer_close(). */
void tl_json_writer_open (TlJsonWriter *writer, const char *name);
void tl_json_writer_close (TlJsonWriter *writer);

G_END_DECLS

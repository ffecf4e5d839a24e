/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlSecret: a reference-counted buffer for keys, codes and tokens. Its memory is locked (mlock, best effort), excluded
 * from core dumps (MADV_DONTDUMP) and forked children (MADV_WIPEONFORK), and wiped when the last reference goes.
 * Contents are fixed after creation, except through tl_secret_data_mut() by the creator before sharing.
 * Thread: any. Nothing ever logs one.
 */
typedef struct _TlSecret TlSecret;

TlSecret *tl_secret_new (gsize length);                        /* zero filled, length 0 .. 1 MiB */
TlSecret *tl_secret_new_copy (const void *data, gsize length); /* the caller still wipes its own copy */
TlSecret *tl_secret_ref (TlSecret *secret);
void tl_secret_unref (TlSecret *secret);

gsize tl_secret_length (const TlSecret *secret);
const guint8 *tl_secret_data (const TlSecret *secret); /* followed by one NUL byte that does not count */
guint8 *tl_secret_data_mut (TlSecret *secret);
/* Constant time in the contents; lengths are public. */
gboolean tl_secret_equal (const TlSecret *a, const TlSecret *b);
gboolean tl_memory_equal (const void *a, const void *b, gsize length); /* constant time */
/* A slice as a secret of its own; offset + length must lie inside. */
TlSecret *tl_secret_slice (const TlSecret *secret, gsize offset, gsize length);

/* Wipes memory that the optimiser would leave; NULL is allowed with length 0. */
void tl_wipe (void *data, gsize length);
/* Wipes and g_free()s a NUL-terminated string; NULL allowed. */
void tl_wipe_string (char *text);

/* Once, at start of a program that holds keys: no core dumps, not traceable by the same user
 * (PR_SET_DUMPABLE 0, RLIMIT_CORE 0). */
void tl_secret_harden_process (void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlSecret, tl_secret_unref)

G_END_DECLS

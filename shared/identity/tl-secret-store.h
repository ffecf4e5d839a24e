/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>

#include "base/tl-secret.h"

G_BEGIN_DECLS

/*
 * TlSecretStore: named secrets behind an asynchronous interface. Back ends: memory (tests), file (here), keyring (a
 * library of its own). Names: [a-z0-9][a-z0-9.-]{0,63}. Values <= 64 KiB. Results come on the thread-default main
 * context of the caller; nothing blocks it. Errors: TL_ERROR_NOT_FOUND, LOCKED, CORRUPT (authentication tag, size),
 * READ_ONLY, IO.
 */
#define TL_SECRET_STORE_MAX_VALUE (64u * 1024u)

typedef struct _TlSecretStore TlSecretStore;

TlSecretStore *tl_secret_store_new_memory (void);
/* directory is made 0700; files 0600, written atomically. With key (32 bytes, from a systemd credential) every file is
 * AES-256-GCM with the name as associated data; without it files are plain (doctor says so). A directory or file that
 * others can read is refused. */
TlSecretStore *tl_secret_store_new_file (const char *directory, TlSecret *key, GError **error);
TlSecretStore *tl_secret_store_ref (TlSecretStore *store);
void tl_secret_store_unref (TlSecretStore *store);
gboolean tl_secret_store_is_encrypted (TlSecretStore *store);

void tl_secret_store_lookup_async (TlSecretStore *store, const char *name, GCancellable *cancellable,
                                   GAsyncReadyCallback callback, gpointer user_data);
TlSecret *tl_secret_store_lookup_finish (TlSecretStore *store, GAsyncResult *result, GError **error);
/* Durable (fsync) when finished. */
void tl_secret_store_store_async (TlSecretStore *store, const char *name, TlSecret *value, GCancellable *cancellable,
                                  GAsyncReadyCallback callback, gpointer user_data);
gboolean tl_secret_store_store_finish (TlSecretStore *store, GAsyncResult *result, GError **error);
/* Deleting what is not there is success. */
void tl_secret_store_delete_async (TlSecretStore *store, const char *name, GCancellable *cancellable,
                                   GAsyncReadyCallback callback, gpointer user_data);
gboolean tl_secret_store_delete_finish (TlSecretStore *store, GAsyncResult *result, GError **error);

/* What the bytes of a secret's file are, for those who look after them without the key. */
typedef enum
{
  TL_SECRET_FILE_STRANGE, /* not written by this store */
  TL_SECRET_FILE_PLAIN,
  TL_SECRET_FILE_ENCRYPTED,
} TlSecretFileKind;

TlSecretFileKind tl_secret_file_kind (const TlSecret *contents);

/* For start-up and command lines, where blocking is fine: run the call on a private main context. */
TlSecret *tl_secret_store_lookup_sync (TlSecretStore *store, const char *name, GError **error);
gboolean tl_secret_store_store_sync (TlSecretStore *store, const char *name, TlSecret *value, GError **error);
gboolean tl_secret_store_delete_sync (TlSecretStore *store, const char *name, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlSecretStore, tl_secret_store_unref)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#include "bench-crowd.h"

#include "base/tl-clock.h"
#include "base/tl-error.h"
#include "bench-store.h"
#include "identity/tl-secret-store.h"

#define DEVICE_ID_FORMAT "01J%023u" /* as SQL's printf() below */

static const BenchColumn device_columns[] = {
  { "device_id", "printf ('01J%023d', n)" },
  { "name", "'device ' || n" },
  { "identity_public", "randomblob (32)" },
  { NULL },
};
static const BenchColumn certificate_columns[] = {
  { "fingerprint", "lower (hex (randomblob (32)))" }, /* for now */
  { "device_id", "printf ('01J%023d', n)" },
  { "serial", "lower (hex (randomblob (16)))" },
  { "tls_key_fingerprint", "lower (hex (randomblob (32)))" },
  { NULL },
};

static TlCertificateAuthority *
load_authority (const char *directory, sqlite3 *db, GError **error)
{
  g_autofree char *folder = g_build_filename (directory, "gateway", "secrets", NULL);
  g_autoptr (TlSecretStore) secrets = tl_secret_store_new_file (folder, NULL, error);
  g_autoptr (TlSecret) key = secrets != NULL ? tl_secret_store_lookup_sync (secrets, "ca-key-g1", error) : NULL;
  TlCertificateAuthority *authority = NULL;
  sqlite3_stmt *query = NULL;

  if (key == NULL)
    return NULL;
  if (sqlite3_prepare_v2 (db, "SELECT der FROM cas WHERE generation = 1", -1, &query, NULL) != SQLITE_OK
      || sqlite3_step (query) != SQLITE_ROW)
    g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "the gateway's authority: %s", sqlite3_errmsg (db));
  else
    authority = tl_certificate_authority_load (sqlite3_column_blob (query, 0), (gsize)sqlite3_column_bytes (query, 0),
                                               key, error);
  sqlite3_finalize (query);
  return authority;
}

static gboolean
issue (BenchCrowd *crowd, TlCertificateAuthority *authority, EVP_PKEY *key, sqlite3_stmt *update, GError **error)
{
  gint64 now = tl_clock_wall_ms (tl_clock_system ());
  g_autofree char *device_id = g_strdup_printf (DEVICE_ID_FORMAT, crowd->leaves->len + 1);
  g_autofree char *fingerprint = NULL;
  g_autoptr (X509) leaf = tl_certificate_authority_issue_device (authority, key, device_id, now,
                                                                 TL_DEVICE_LEAF_DEFAULT_MS, tl_random_system (), error);

  if (leaf == NULL)
    return FALSE;
  fingerprint = tl_certificate_fingerprint (leaf);
  sqlite3_bind_text (update, 1, fingerprint, -1, SQLITE_STATIC);
  sqlite3_bind_text (update, 2, device_id, -1, SQLITE_STATIC);
  if (sqlite3_step (update) != SQLITE_DONE)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "a certificate for the gateway's store: %s",
                   sqlite3_errmsg (sqlite3_db_handle (update)));
      return FALSE;
    }
  sqlite3_reset (update);
  g_ptr_array_add (crowd->leaves, tl_certificate_to_pem (leaf));
  return TRUE;
}

static gboolean
issue_all (BenchCrowd *crowd, sqlite3 *db, TlCertificateAuthority *authority, guint count, GError **error)
{
  GBytes *der = tl_certificate_authority_der (authority);
  g_autoptr (EVP_PKEY) key = tl_p256_generate (error);
  sqlite3_stmt *update = NULL;
  gboolean done = TRUE;

  if (key == NULL || (crowd->key_pem = tl_p256_to_pem (key, error)) == NULL
      || (crowd->bundle = tl_trust_bundle_new (&der, 1, error)) == NULL)
    return FALSE;
  crowd->leaves = g_ptr_array_new_with_free_func (g_free);
  if (sqlite3_prepare_v2 (db, "UPDATE certificates SET fingerprint = ? WHERE device_id = ?", -1, &update, NULL)
      != SQLITE_OK)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "certificates for the gateway's store: %s", sqlite3_errmsg (db));
      return FALSE;
    }
  while (done && crowd->leaves->len < count)
    done = issue (crowd, authority, key, update, error);
  sqlite3_finalize (update);
  return done;
}

gboolean
bench_crowd_plant (BenchCrowd *crowd, const char *directory, const char *device_id, guint count, GError **error)
{
  g_autofree char *of_device = g_strdup_printf ("device_id = '%s'", device_id);
  sqlite3 *db = bench_store_open (directory, error);
  g_autoptr (TlCertificateAuthority) authority = db != NULL ? load_authority (directory, db, error) : NULL;
  gboolean done = authority != NULL && bench_store_multiply (db, "devices", of_device, device_columns, count, error)
                  && bench_store_multiply (db, "certificates", of_device, certificate_columns, count, error)
                  && issue_all (crowd, db, authority, count, error) && bench_store_commit (db, error);

  sqlite3_close (db);
  return done;
}

void
bench_crowd_clear (BenchCrowd *crowd)
{
  g_clear_pointer (&crowd->key_pem, tl_secret_unref);
  g_clear_pointer (&crowd->bundle, tl_trust_bundle_unref);
  g_clear_pointer (&crowd->leaves, g_ptr_array_unref);
}

BenchBareTls *
bench_crowd_tls (const BenchCrowd *crowd, guint index, GError **error)
{
  return bench_bare_tls_new (FALSE, g_ptr_array_index (crowd->leaves, index), crowd->key_pem, NULL, error);
}

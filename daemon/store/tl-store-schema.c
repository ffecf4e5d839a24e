/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-file.h"

/*
 * Version 1. CHECKs on lengths are a second line for what strangers sent; callers check first and say it better. A
 * code's w0 exists exactly while the code is live. In event_logs `base` is the last event that is gone (acknowledged or
 * too old): its id still tells a cursor at that seq from one of another log.
 */
static const char version_1[]
    = "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
      "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
      "CREATE TABLE cas ("
      "  generation INTEGER PRIMARY KEY, der BLOB NOT NULL, not_after INTEGER NOT NULL) STRICT;"

      "CREATE TABLE codes ("
      "  code_id TEXT PRIMARY KEY CHECK (length (code_id) = 26),"
      "  method INTEGER NOT NULL CHECK (method IN (0, 1)),"
      "  slot INTEGER NOT NULL CHECK (slot BETWEEN 0 AND 999 AND (slot > 0) = (method = 0)),"
      "  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),"
      "  role INTEGER NOT NULL CHECK (role IN (0, 1)),"
      "  label TEXT CHECK (length (CAST (label AS BLOB)) <= 64),"
      /* PROTOCOL 3.1: automatic approval only for links with role node */
      "  auto_approve INTEGER NOT NULL CHECK (auto_approve = 0 OR (auto_approve = 1 AND method = 1 AND role = 0)),"
      "  attempts INTEGER NOT NULL CHECK (attempts BETWEEN 1 AND 100),"
      "  attempts_left INTEGER NOT NULL CHECK (attempts_left BETWEEN 0 AND attempts),"
      "  minted_by TEXT NOT NULL,"
      "  created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, ended_at INTEGER NOT NULL,"
      "  kdf TEXT NOT NULL, kdf_n INTEGER NOT NULL, kdf_r INTEGER NOT NULL, kdf_p INTEGER NOT NULL,"
      "  salt BLOB NOT NULL CHECK (length (salt) = 16),"
      "  w0 BLOB CHECK (length (w0) = 32),"
      "  point BLOB NOT NULL CHECK (length (point) = 65),"
      "  CHECK ((w0 IS NOT NULL) = (state = " SQL_CODE_LIVE "))) STRICT;"
      "CREATE UNIQUE INDEX codes_live_slot ON codes (slot) WHERE state = " SQL_CODE_LIVE " AND slot > 0;"
      "CREATE INDEX codes_live ON codes (expires_at) WHERE state = " SQL_CODE_LIVE ";"
      "CREATE TABLE pin_failures ("
      "  attempt_id TEXT PRIMARY KEY CHECK (length (attempt_id) = 26), time INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

      "CREATE TABLE pairings ("
      "  request_id TEXT PRIMARY KEY CHECK (length (request_id) = 26),"
      "  session_id TEXT NOT NULL UNIQUE CHECK (length (session_id) = 26),"
      "  code_id TEXT NOT NULL UNIQUE CHECK (length (code_id) = 26)," /* one request a code */
      "  code_minted_by TEXT,"
      "  method INTEGER NOT NULL CHECK (method IN (0, 1)),"
      "  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),"
      "  device_id TEXT NOT NULL CHECK (length (device_id) = 26),"
      "  device_name TEXT NOT NULL CHECK (length (CAST (device_name AS BLOB)) <= 64),"
      "  platform TEXT CHECK (length (CAST (platform AS BLOB)) <= 256),"
      "  label TEXT CHECK (length (CAST (label AS BLOB)) <= 64),"
      "  replaces_device_id TEXT CHECK (length (CAST (replaces_device_id AS BLOB)) <= 26),"
      "  client_kind INTEGER NOT NULL CHECK (client_kind BETWEEN 0 AND 2),"
      "  role INTEGER NOT NULL CHECK (role IN (0, 1)),"
      "  auto_approve INTEGER NOT NULL CHECK (auto_approve IN (0, 1)),"
      "  identity_public BLOB NOT NULL CHECK (length (identity_public) = 32),"
      "  device_nonce BLOB NOT NULL CHECK (length (device_nonce) = 32),"
      "  tls_public_der BLOB CHECK (length (tls_public_der) <= 1024),"
      "  tls_key_fingerprint TEXT NOT NULL CHECK (length (tls_key_fingerprint) = 64),"
      "  sealed_keys BLOB CHECK (length (sealed_keys) <= 1024),"
      "  source TEXT CHECK (length (CAST (source AS BLOB)) <= 128),"
      "  wrong_codes INTEGER NOT NULL,"
      "  decided_by TEXT, reason TEXT,"
      "  requested_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, decided_at INTEGER NOT NULL,"
      "  certificate_der BLOB,"
      "  CHECK ((certificate_der IS NOT NULL) = (state = " SQL_PAIRING_COMPLETED "))) STRICT;"
      "CREATE INDEX pairings_open ON pairings (expires_at)"
      "  WHERE state <= " SQL_PAIRING_APPROVED ";"
      "CREATE INDEX pairings_sealed ON pairings (requested_at) WHERE sealed_keys IS NOT NULL;"

      "CREATE TABLE devices ("
      "  device_id TEXT PRIMARY KEY CHECK (length (device_id) = 26),"
      "  name TEXT NOT NULL,"
      "  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),"
      "  role INTEGER NOT NULL CHECK (role IN (0, 1)),"
      "  client_kind INTEGER NOT NULL CHECK (client_kind BETWEEN 0 AND 2),"
      "  platform TEXT,"
      "  identity_public BLOB NOT NULL CHECK (length (identity_public) = 32),"
      "  paired_at INTEGER NOT NULL, approved_by TEXT, replaced_device_id TEXT,"
      "  revoked_at INTEGER NOT NULL DEFAULT 0, revoked_by TEXT, revoked_reason TEXT,"
      "  last_seen_at INTEGER NOT NULL DEFAULT 0) STRICT;"
      "CREATE INDEX devices_name ON devices (name);"
      "CREATE UNIQUE INDEX devices_identity ON devices (identity_public) WHERE state <> " SQL_DEVICE_REMOVED ";"
      "CREATE TABLE certificates ("
      "  fingerprint TEXT PRIMARY KEY CHECK (length (fingerprint) = 64),"
      "  device_id TEXT NOT NULL REFERENCES devices (device_id),"
      "  serial TEXT NOT NULL,"
      "  tls_key_fingerprint TEXT NOT NULL CHECK (length (tls_key_fingerprint) = 64),"
      "  not_before INTEGER NOT NULL, not_after INTEGER NOT NULL,"
      "  ca_generation INTEGER NOT NULL,"
      "  used INTEGER NOT NULL CHECK (used IN (0, 1)), revoked INTEGER NOT NULL CHECK (revoked IN (0, 1)),"
      "  request_id TEXT) STRICT;"
      "CREATE INDEX certificates_device ON certificates (device_id);"
      "CREATE INDEX certificates_key ON certificates (tls_key_fingerprint);"

      "CREATE TABLE nodes ("
      "  device_id TEXT PRIMARY KEY REFERENCES devices (device_id),"
      "  platform TEXT, node_version TEXT, registration BLOB,"
      "  registered_at INTEGER NOT NULL, last_seen_at INTEGER NOT NULL) STRICT;"
      "CREATE TABLE event_logs ("
      "  device_id TEXT PRIMARY KEY CHECK (length (device_id) = 26),"
      "  latest_seq INTEGER NOT NULL, acknowledged_seq INTEGER NOT NULL,"
      "  base_seq INTEGER NOT NULL, base_id TEXT NOT NULL,"
      "  CHECK (base_seq <= latest_seq AND acknowledged_seq <= latest_seq)) STRICT, WITHOUT ROWID;"
      "CREATE TABLE events ("
      "  device_id TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, time INTEGER NOT NULL,"
      "  type TEXT NOT NULL, data TEXT NOT NULL, UNIQUE (device_id, seq)) STRICT;"

      "CREATE TABLE requests ("
      "  request_id TEXT PRIMARY KEY CHECK (length (request_id) = 26),"
      "  device_id TEXT NOT NULL CHECK (length (device_id) = 26),"
      "  capability TEXT NOT NULL CHECK (length (CAST (capability AS BLOB)) <= 64),"
      "  input TEXT,"
      "  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 9),"
      "  requested_by TEXT, max_payload_bytes INTEGER NOT NULL, timeout_ms INTEGER NOT NULL,"
      "  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, dispatched_at INTEGER NOT NULL,"
      "  completed_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,"
      "  output TEXT, error TEXT, error_reason TEXT, receipt BLOB) STRICT;"
      "CREATE INDEX requests_open ON requests (device_id) WHERE state < " SQL_REQUEST_FIRST_FINAL ";"
      "CREATE INDEX requests_final ON requests (completed_at) WHERE state >= " SQL_REQUEST_FIRST_FINAL ";";

/* Steps in order; a step is never changed after a release, only added. */
static const struct
{
  int version;
  const char *sql;
} migrations[] = {
  { 1, version_1 },
};

static gboolean
migrate (TlDatabase *db, int version, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (migrations); i++)
    {
      g_autofree char *stamp = NULL;

      if (migrations[i].version <= version)
        continue;
      stamp = g_strdup_printf ("PRAGMA application_id = %d; PRAGMA user_version = %d", TL_STORE_APPLICATION_ID,
                               migrations[i].version);
      if (!tl_database_exec (db, migrations[i].sql, error) || !tl_database_exec (db, stamp, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
migrate_in_transaction (TlDatabase *db, int version, GError **error)
{
  if (version == TL_STORE_SCHEMA_VERSION)
    return TRUE;
  if (!tl_database_exec (db, "BEGIN IMMEDIATE", error))
    return FALSE;
  if (migrate (db, version, error) && tl_database_exec (db, "COMMIT", error))
    return TRUE;

  if (!sqlite3_get_autocommit (db->handle))
    sqlite3_exec (db->handle, "ROLLBACK", NULL, NULL, NULL);
  return FALSE;
}

/* One value of a pragma; not through the cache, pragmas may run while they are compiled. */
static gboolean
pragma_text (TlDatabase *db, const char *sql, char **text, GError **error)
{
  sqlite3_stmt *statement = NULL;
  gboolean ok = sqlite3_prepare_v2 (db->handle, sql, -1, &statement, NULL) == SQLITE_OK
                && sqlite3_step (statement) == SQLITE_ROW;

  if (ok)
    *text = tl_column_text (statement, 0);
  else
    tl_database_set_error (db, error);
  sqlite3_finalize (statement);
  return ok;
}

static gboolean
pragma_integer (TlDatabase *db, const char *sql, gint64 *value, GError **error)
{
  g_autofree char *text = NULL;

  if (!pragma_text (db, sql, &text, error))
    return FALSE;
  *value = g_ascii_strtoll (text != NULL ? text : "", NULL, 10);
  return TRUE;
}

static gboolean
check_version (TlDatabase *db, int *version, GError **error)
{
  gint64 application, user, tables;

  if (!pragma_integer (db, "PRAGMA application_id", &application, error)
      || !pragma_integer (db, "PRAGMA user_version", &user, error)
      || !pragma_integer (db, "SELECT count (*) FROM sqlite_schema", &tables, error))
    return FALSE;

  if (application != TL_STORE_APPLICATION_ID && (application != 0 || user != 0 || tables != 0))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "%s is a database, but not Twinlatch's; move it away", db->path);
      return FALSE;
    }
  if (user > TL_STORE_SCHEMA_VERSION || user < 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NEWER_VERSION,
                   "%s was written by a newer Twinlatch (schema %d, this one knows %d); upgrade, or restore a backup",
                   db->path, (int)user, TL_STORE_SCHEMA_VERSION);
      return FALSE;
    }
  *version = (int)user;
  return TRUE;
}

static char *
look_uri (const char *path, gboolean wal)
{
  g_autofree char *escaped = g_uri_escape_string (path, "/", FALSE);

  /* A WAL database opened read-only the usual way gets -wal and -shm files. Without a WAL the file alone is the truth
   * (immutable). With one: no locks and, because of locking_mode EXCLUSIVE, the index on the heap. */
  return g_strdup_printf (wal ? "file:%s?mode=ro&vfs=unix-none" : "file:%s?mode=ro&immutable=1", escaped);
}

/* Reads the versions without touching anything: a newer Twinlatch's files stay byte for byte what they were. The caller
 * holds the directory's lock, so nobody writes meanwhile. */
static gboolean
look (const char *path, int *version, GError **error)
{
  g_autofree char *wal = g_strconcat (path, "-wal", NULL);
  struct stat info;
  gboolean has_wal = stat (wal, &info) == 0 && info.st_size > 0;
  g_autofree char *uri = look_uri (path, has_wal);
  g_autoptr (TlDatabase) db = tl_database_new (uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, error);

  if (db == NULL)
    return FALSE;
  g_free (db->path);
  db->path = g_strdup (path);
  sqlite3_db_config (db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  if (has_wal && !tl_database_exec (db, "PRAGMA locking_mode = EXCLUSIVE", error))
    return FALSE;
  return check_version (db, version, error);
}

/* SQLite gives -wal and -shm the mode of the database. */
static gboolean
create_private (const char *path, GError **error)
{
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

  if (fd < 0)
    {
      tl_error_set_errno (error, errno, "cannot create the store %s", path);
      return FALSE;
    }
  close (fd);
  return TRUE;
}

static gboolean
configure (TlDatabase *db, GError **error)
{
  g_autofree char *mode = NULL;

  if (sqlite3_db_readonly (db->handle, "main") == 1)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_READ_ONLY, "the store %s cannot be written; check owner and file system",
                   db->path);
      return FALSE;
    }
  if (!tl_database_exec (db,
                         "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON;"
                         "PRAGMA secure_delete = ON; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY",
                         error)
      || !pragma_text (db, "PRAGMA journal_mode = WAL", &mode, error))
    return FALSE;
  if (g_strcmp0 (mode, "wal") != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_READ_ONLY, "the file system of %s does not carry a write-ahead log",
                   db->path);
      return FALSE;
    }
  return TRUE;
}

static gboolean
quick_check (TlDatabase *db, GError **error)
{
  g_autofree char *verdict = NULL;

  if (!pragma_text (db, "PRAGMA quick_check (1)", &verdict, error))
    return FALSE;
  if (g_strcmp0 (verdict, "ok") == 0)
    return TRUE;

  g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "the store %s is damaged: %s; restore a backup", db->path, verdict);
  return FALSE;
}

TlDatabase *
tl_database_open (const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, TL_STORE_FILE, NULL);
  g_autoptr (TlDatabase) db = NULL;
  struct stat info;
  int version = 0;

  if (stat (path, &info) == 0 && info.st_size > 0 && !look (path, &version, error))
    return NULL;
  if (!create_private (path, error))
    return NULL;

  db = tl_database_new (path, SQLITE_OPEN_READWRITE, error);
  if (db == NULL || !configure (db, error) || !quick_check (db, error) || !check_version (db, &version, error)
      || !migrate_in_transaction (db, version, error))
    return NULL;
  return g_steal_pointer (&db);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

/* The schema, version by version. */

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

/*
 * Version 2: the journal. hash = H (T ("journal"; hash of the row before, u64 seq, u64 time, kind, actor, subject,
 * detail)), 32 zero bytes before the first row. AUTOINCREMENT: a number is never given twice, also when the last row
 * was removed.
 */
static const char version_2[] = "CREATE TABLE journal ("
                                "  seq INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL,"
                                "  kind TEXT NOT NULL CHECK (length (CAST (kind AS BLOB)) BETWEEN 1 AND 64),"
                                "  actor TEXT NOT NULL CHECK (length (CAST (actor AS BLOB)) <= 128),"
                                "  subject TEXT NOT NULL CHECK (length (CAST (subject AS BLOB)) <= 128),"
                                "  detail TEXT NOT NULL CHECK (length (CAST (detail AS BLOB)) <= 4096),"
                                "  hash BLOB NOT NULL CHECK (length (hash) = 32)) STRICT;";

/*
 * Version 3: when, by whom and why a device's admission changed last (for revoked ones it is known already). The
 * counter of the last change in admission.log is counters.admission; no row: there was no log yet.
 */
static const char version_3[] = "ALTER TABLE devices ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;"
                                "ALTER TABLE devices ADD COLUMN changed_by TEXT;"
                                "ALTER TABLE devices ADD COLUMN changed_reason TEXT;"
                                "UPDATE devices SET changed_at = revoked_at, changed_by = revoked_by,"
                                "  changed_reason = revoked_reason;"
                                /* What an operator admitted and minted is looked for when it stops being one. */
                                "CREATE INDEX devices_approved ON devices (approved_by);"
                                "CREATE INDEX devices_state ON devices (state) WHERE state <> 0;";

/* Version 4: the certificate itself is kept until it is used, so that a renewal whose answer was lost can be answered
 * again (PROTOCOL 4.3). */
static const char version_4[] = "ALTER TABLE certificates ADD COLUMN der BLOB CHECK (length (der) <= 4096);";

/*
 * Version 5: capability requests. The output leaves the request's row: it is kept for a short time in a table of its
 * own, in the order of the ends; the input goes when the request ends. What stays is a summary without secrets and the
 * digests. event_seq: the dispatch event in the device's log. cancel_at: somebody asked for its end. switches: what the
 * gateway refuses of a device, whatever the device announces.
 */
static const char version_5[]
    = "CREATE TABLE outputs ("
      "  id INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE CHECK (length (request_id) = 26),"
      "  completed_at INTEGER NOT NULL, bytes INTEGER NOT NULL, output TEXT NOT NULL) STRICT;"
      "INSERT INTO outputs (request_id, completed_at, bytes, output)"
      "  SELECT request_id, completed_at, length (CAST (output AS BLOB)), output FROM requests"
      "  WHERE output IS NOT NULL AND state >= " SQL_REQUEST_FIRST_FINAL " ORDER BY completed_at;"
      "UPDATE requests SET input = NULL WHERE state >= " SQL_REQUEST_FIRST_FINAL ";"
      "ALTER TABLE requests DROP COLUMN output;"
      "ALTER TABLE requests ADD COLUMN event_seq INTEGER NOT NULL DEFAULT 0;"
      "ALTER TABLE requests ADD COLUMN input_summary TEXT CHECK (length (CAST (input_summary AS BLOB)) <= 240);"
      "ALTER TABLE requests ADD COLUMN output_summary TEXT CHECK (length (CAST (output_summary AS BLOB)) <= 240);"
      "ALTER TABLE requests ADD COLUMN input_sha256 BLOB CHECK (length (input_sha256) = 32);"
      "ALTER TABLE requests ADD COLUMN output_sha256 BLOB CHECK (length (output_sha256) = 32);"
      "ALTER TABLE requests ADD COLUMN cancel_at INTEGER NOT NULL DEFAULT 0;"
      "ALTER TABLE requests ADD COLUMN cancelled_by TEXT;"
      "ALTER TABLE requests ADD COLUMN late INTEGER NOT NULL DEFAULT 0;"
      "CREATE INDEX requests_device ON requests (device_id, request_id);"
      "CREATE TABLE switches ("
      "  device_id TEXT NOT NULL CHECK (length (device_id) = 26),"
      "  capability TEXT NOT NULL CHECK (length (CAST (capability AS BLOB)) <= 64),"
      "  set_by TEXT NOT NULL, set_at INTEGER NOT NULL, PRIMARY KEY (device_id, capability)) STRICT, WITHOUT ROWID;";

/* Version 7: nodes that an imported inventory names, and what a node said last. */
static const char version_7[]
    = "CREATE TABLE known_nodes ("
      "  device_id TEXT PRIMARY KEY CHECK (length (device_id) = 26),"
      "  platform TEXT, capabilities TEXT NOT NULL, registered_at INTEGER NOT NULL, last_seen_at INTEGER NOT NULL,"
      "  last_event_name TEXT, last_event_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
      "ALTER TABLE nodes ADD COLUMN last_event_name TEXT;"
      "ALTER TABLE nodes ADD COLUMN last_event_at INTEGER NOT NULL DEFAULT 0;";

/* Version 8: every page carries a checksum (tl-checked-vfs.h). No table changes; tl_store_upgrade() has rewritten an
 * older database before this step says so. */
static const char version_8[] = "";

/* Steps in order; a step is never changed after a release, only added. */
static const TlStoreMigration migrations[] = {
  { 1, version_1 },
  { 2, version_2 },
  { 3, version_3 },
  { 4, version_4 },
  { 5, version_5 },
  { 7, version_7 },
  { TL_STORE_CHECKED_VERSION, version_8 },
  { 0, NULL },
};

const TlStoreMigration *
tl_store_migrations (void)
{
  return migrations;
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/store/tl-store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/tl-error.h"
#include "base/tl-json.h"
#include "base/tl-queue.h"
#include "daemon/store/tl-admission-log.h"
#include "daemon/store/tl-log-end.h"
#include "daemon/tl-operator-policy.h"

G_BEGIN_DECLS

/* Inside of daemon/store only. Everything about TlDatabase belongs to the store's thread (to the opener's before it
 * started). */

/* How long finished codes, pairing requests and capability requests are kept, and certificates after their end. */
#define TL_STORE_HISTORY_MS          (G_GINT64_CONSTANT (30) * 86400 * 1000)
#define TL_STORE_OLD_CERTIFICATES_MS (G_GINT64_CONSTANT (90) * 86400 * 1000)
#define TL_STORE_SEALED_KEYS_MS      (G_GINT64_CONSTANT (86400) * 1000)
#define TL_STORE_APPROVED_MS         (G_GINT64_CONSTANT (600) * 1000)
#define TL_STORE_HISTORY_MAX         1000000 /* capability requests that ended */
/* Outputs of capability requests: what nobody was there to take can still be asked for. */
#define TL_STORE_OUTPUTS_MS      (G_GINT64_CONSTANT (86400) * 1000)
#define TL_STORE_OUTPUTS_MAX     100000
#define TL_STORE_OUTPUTS_BYTES   (G_GINT64_CONSTANT (256) * 1024 * 1024)
#define TL_STORE_PREFIX_MIN      4          /* characters of an id that a person has to type */
#define TL_STORE_APPLICATION_ID  0x546c4757 /* "TlGW" */
#define TL_STORE_CHECKED_VERSION 8          /* from this schema on every page carries a checksum */

/* Enumerators inside SQL text: partial indexes match literals only, not parameters. */
#define SQL_CODE_LIVE           "0"
#define SQL_CODE_USED           "1"
#define SQL_CODE_EXHAUSTED      "2"
#define SQL_CODE_EXPIRED        "3"
#define SQL_CODE_CANCELLED      "4"
#define SQL_PAIRING_PENDING     "0"
#define SQL_PAIRING_APPROVED    "1"
#define SQL_PAIRING_REJECTED    "2"
#define SQL_PAIRING_EXPIRED     "3"
#define SQL_PAIRING_COMPLETED   "4"
#define SQL_DEVICE_ACTIVE       "0"
#define SQL_DEVICE_SUSPENDED    "1"
#define SQL_DEVICE_REVOKED      "2"
#define SQL_DEVICE_REMOVED      "3"
#define SQL_ROLE_OPERATOR       "1"
#define SQL_REQUEST_FIRST_FINAL "4"
#define SQL_REQUEST_FAILED      "5"
#define ACTOR_DEVICE            "device:" /* actors that are devices */
G_STATIC_ASSERT (TL_CODE_LIVE == 0 && TL_CODE_USED == 1 && TL_CODE_EXHAUSTED == 2 && TL_CODE_EXPIRED == 3);
G_STATIC_ASSERT (TL_CODE_CANCELLED == 4 && TL_PAIRING_PIN == 0 && TL_PAIRING_LINK == 1);
G_STATIC_ASSERT (TL_PAIRING_STATE_PENDING_APPROVAL == 0 && TL_PAIRING_STATE_APPROVED == 1);
G_STATIC_ASSERT (TL_PAIRING_STATE_REJECTED == 2 && TL_PAIRING_STATE_EXPIRED == 3 && TL_PAIRING_STATE_COMPLETED == 4);
G_STATIC_ASSERT (TL_DEVICE_ACTIVE == 0 && TL_DEVICE_SUSPENDED == 1);
G_STATIC_ASSERT (TL_DEVICE_REVOKED == 2 && TL_DEVICE_REMOVED == 3);
G_STATIC_ASSERT (TL_REQUEST_SUCCEEDED == 4 && TL_REQUEST_FAILED == 5 && TL_REQUEST_EXPIRED == 9);
G_STATIC_ASSERT (TL_ROLE_NODE == 0 && TL_ROLE_OPERATOR == 1);

/* ---- database (tl-store-database.c) ---- */

typedef struct
{
  sqlite3 *handle;
  GHashTable *statements; /* SQL literal (by address) -> sqlite3_stmt, prepared once */
  char *path;
  TlLogEnd *end;          /* of the writer's connection */
  guint log_frames;       /* in the log after the last commit: what a checkpoint would move */
  gboolean erase_pending; /* a secret was overwritten; its old bytes are still in the WAL */
  gboolean head_known;    /* journal_seq and journal_hash are those of the last row */
  guint64 journal_seq;
  guint8 journal_hash[32];
  TlAdmissionLog *admission; /* NULL before tl_store_open_admission() */
} TlDatabase;

/* A connection through the VFS that verifies pages. */
TlDatabase *tl_database_new (const char *path, int flags, GError **error);
/* How long a statement waits for a lock of somebody else; TL_STORE_BUSY_MS is the default: an administrator's `sqlite3`
 * may hold one for a moment, and waiting longer would stop every operation of the daemon. */
#define TL_STORE_BUSY_MS 2000
void tl_database_set_patience (TlDatabase *db, int milliseconds);
/* The first column of the first row of a statement that is not kept: pragmas. g_free(); NULL for NULL. */
gboolean tl_database_text (TlDatabase *db, const char *sql, char **text, GError **error);
void tl_database_free (TlDatabase *db);
/* Sets what the last SQLite call failed with: READ_ONLY, IO, CORRUPT (the disk's), ALREADY_EXISTS, INVALID_ARGUMENT,
 * NOT_FOUND (constraints), else INTERNAL. */
void tl_database_set_error (TlDatabase *db, GError **error);
/* The disk failed, not the operation: nothing of the batch can be trusted to be there. */
gboolean tl_database_is_disk_error (const GError *error);
/* Text without parameters (transactions, pragmas, schema); not cached. */
gboolean tl_database_exec (TlDatabase *db, const char *sql, GError **error);

typedef enum
{
  TL_VALUE_END,
  TL_VALUE_TEXT,
  TL_VALUE_INTEGER,
  TL_VALUE_BLOB,
} TlValueKind;

typedef struct
{
  TlValueKind kind;
  const void *data; /* NULL binds NULL */
  gint64 number;    /* value, or length of a blob */
} TlValue;

static inline TlValue
tl_text (const char *text)
{
  return (TlValue){ TL_VALUE_TEXT, text, 0 };
}

static inline TlValue
tl_int (gint64 number)
{
  return (TlValue){ TL_VALUE_INTEGER, NULL, number };
}

static inline TlValue
tl_blob (const void *data, gsize length)
{
  return (TlValue){ TL_VALUE_BLOB, data, (gint64)length };
}

static inline TlValue
tl_bytes (GBytes *bytes)
{
  /* An empty GBytes has no data; SQLite would take that for NULL. */
  if (bytes != NULL && g_bytes_get_size (bytes) == 0)
    return tl_blob ("", 0);
  return bytes != NULL ? tl_blob (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes)) : tl_blob (NULL, 0);
}

#define TL_VALUES(...)                                                                                                 \
  (const TlValue[])                                                                                                    \
  {                                                                                                                    \
    __VA_ARGS__ __VA_OPT__ (, )                                                                                        \
    {                                                                                                                  \
      TL_VALUE_END, NULL, 0                                                                                            \
    }                                                                                                                  \
  }

/* Starts a cached statement with its parameters (borrowed until reset); sql must be a literal. NULL on error. */
sqlite3_stmt *tl_database_start (TlDatabase *db, GError **error, const char *sql, const TlValue *values);
/* Steps; *row FALSE at the end. */
gboolean tl_database_next (TlDatabase *db, sqlite3_stmt *query, gboolean *row, GError **error);
/* Runs a statement without rows; *changes may be NULL. */
gboolean tl_database_run_values (TlDatabase *db, guint *changes, GError **error, const char *sql,
                                 const TlValue *values);
/* The first column of the first row; 0 when there is none. */
gboolean tl_database_integer_values (TlDatabase *db, gint64 *value, GError **error, const char *sql,
                                     const TlValue *values);
#define tl_database_query(db, error, sql, ...) tl_database_start (db, error, "" sql, TL_VALUES (__VA_ARGS__))
#define tl_database_run(db, changes, error, sql, ...)                                                                  \
  tl_database_run_values (db, changes, error, "" sql, TL_VALUES (__VA_ARGS__))
#define tl_database_integer(db, value, error, sql, ...)                                                                \
  tl_database_integer_values (db, value, error, "" sql, TL_VALUES (__VA_ARGS__))

void tl_query_reset (sqlite3_stmt **query);
#define tl_query_auto __attribute__ ((cleanup (tl_query_reset))) sqlite3_stmt *

char *tl_column_text (sqlite3_stmt *query, int column);    /* NULL for NULL */
GBytes *tl_column_bytes (sqlite3_stmt *query, int column); /* NULL for NULL */
/* Exactly `length` bytes (the schema's CHECK says so); zeroes otherwise, which fit no identity. */
void tl_column_array (sqlite3_stmt *query, int column, guint8 *array, gsize length);

/* Canonical (upper-case) prefix of an id, TL_STORE_PREFIX_MIN..26 characters of the alphabet; NULL when text cannot be
 * one. */
char *tl_store_id_prefix (const char *text);

/* ---- opening (tl-store-schema.c, tl-store-migrations.c) ---- */

typedef struct
{
  int version;
  const char *sql;
} TlStoreMigration;

/* In order; ends with a NULL sql. Static. */
const TlStoreMigration *tl_store_migrations (void);

/* What a look at the files says before SQLite has them (tl-store-inspect.c). */
typedef struct
{
  gboolean exists;
  int version;      /* of the schema */
  gboolean checked; /* pages carry checksums */
} TlStoreInspection;
/* An absent or empty file: nothing exists. NEWER_VERSION; CORRUPT: page 1, no database, or a log of which something is
 * lost. Touches nothing. */
gboolean tl_store_inspect (const char *path, TlStoreOpenFlags flags, TlStoreInspection *inspection, GError **error);

/* Rewrites a database of before TL_STORE_CHECKED_VERSION so that its pages carry checksums: beside it, then in its
 * place (tl-store-upgrade.c). A crash leaves the old one. */
gboolean tl_store_upgrade (const char *path, GError **error);
/* TL_STORE_ACCEPT_CHANGED_PAGES: takes every page for what it is now and gives it its checksum. */
gboolean tl_store_reseal (const char *path, GError **error);

/* Looks, creates, checks, migrates; errors as tl_store_open() but IN_USE. What it reads grows with neither history nor
 * devices: that every page is sound is checked in the background (tl-store-check.c). */
TlDatabase *tl_database_open (const char *directory, TlStoreOpenFlags flags, GError **error);

/* ---- all pages (tl-store-check.c) ---- */

/* How a check is ended before its time, from another thread. */
typedef struct
{
  atomic_bool cancelled;
  pthread_mutex_t mutex;
  sqlite3 *handle; /* while it runs, under the mutex */
} TlCheckControl;
void tl_check_control_init (TlCheckControl *control);
void tl_check_control_clear (TlCheckControl *control);
void tl_check_control_cancel (TlCheckControl *control);

/* Reads every page of the database and checks its structure on a connection of its own; takes seconds to minutes. TRUE:
 * all is well, or cancelled. CORRUPT naming page or table; IO. control NULL: not to be cancelled. Any thread. */
gboolean tl_store_check_all (const char *path, TlCheckControl *control, guint64 *pages, GError **error);

/* ---- operations (tl-store.c) ---- */

typedef struct _TlStoreOperation TlStoreOperation;
/* On the store's thread. Sets operation->result on success. */
typedef gboolean (*TlStoreRun) (TlStoreOperation *operation, TlDatabase *db, GError **error);

typedef enum
{
  TL_STORE_WRITE,         /* survives a killed process; power loss within a second */
  TL_STORE_WRITE_DURABLE, /* survives power loss before the callback */
  TL_STORE_READ,
} TlStoreAccess;

struct _TlStoreOperation
{
  TlStoreRun run;
  TlStoreAccess access;

  /* Arguments: each operation uses those it names. Owned. */
  char *id, *device_id, *actor, *reason, *token, *event_id, *type, *data, *failure;
  GBytes *bytes;
  gpointer record;
  GDestroyNotify free_record; /* NULL: the record is borrowed from somebody who waits */
  gint64 now, age;
  guint64 seq;
  guint number, states, limit;
  int role;
  gboolean flag;

  /* Outcome. */
  gpointer result;
  GDestroyNotify free_result;
  GError *error;
  gboolean keep_changes;    /* what run() wrote before it failed is part of the answer ("the code is still USED") */
  gboolean discard_changes; /* it went well and nothing of it stays: a dry run */
  gboolean changed;         /* something was written */
  gboolean heartbeat;       /* what it writes means nothing to anybody */

  TlStoreCallback callback; /* NULL: nobody, or somebody waits (waited) */
  gpointer user_data;
  gboolean waited;
  gboolean done; /* waited: under the store's mutex */
};

/* Frees the outcome only. */
void tl_store_operation_clear (TlStoreOperation *operation);
void tl_store_operation_free (TlStoreOperation *operation);
TlStoreOperation *tl_store_operation_new (TlStoreRun run, TlStoreAccess access, GDestroyNotify free_result);
/* Takes the operation. */
void tl_store_submit (TlStore *store, TlStoreOperation *operation, TlStoreCallback callback, gpointer user_data);
/* Takes the operation, blocks until it is committed; *result (may be NULL) is the caller's on success. */
gboolean tl_store_run_sync (TlStore *store, TlStoreOperation *operation, gpointer *result, GError **error);

/* ---- the store's thread (tl-store-writer.c) ---- */

struct _TlStore
{
  GMainContext *context;
  char *path; /* of the directory */
  char *database_path;
  int directory; /* open directory that carries the lock */
  pthread_t thread;
  TlQueue *operations; /* main -> store's thread: TlStoreOperation */
  TlQueue *batches;    /* store's thread -> main: GPtrArray of TlStoreOperation */
  atomic_bool writable;
  atomic_uint_fast64_t generation; /* batches that changed something */

  /* the check of all pages: a thread of its own */
  pthread_t check_thread;
  TlCheckControl check_control;
  pthread_mutex_t check_mutex;
  pthread_cond_t check_wake;
  TlStoreCheck check; /* under check_mutex */

  /* main */
  guint64 submitted, completed;
  gboolean closing;

  /* operations that somebody waits for */
  pthread_mutex_t mutex;
  pthread_cond_t finished;

  /* store's thread */
  TlDatabase *db;
  gboolean full_sync;
  gboolean unsynced;       /* committed, not yet on disk */
  gboolean checkpoint_due; /* the log is long, or could not be moved */
  gint64 housekeeping_due; /* monotonic us; -1 nothing to do */
};

/* pthread entry; closes the database at the end. */
void *tl_store_thread (void *store);
/* pthread entry: checks all pages at start and then once a day (tl-store-check.c). */
void *tl_store_check_thread (void *store);
/* A page or row that is damaged was met: health says so until the gateway is started anew. Any thread. */
void tl_store_note_damage (TlStore *store, const GError *error);

/* ---- shared between the files of operations ---- */

/* JOURNAL: appends a row to the chain, in the transaction under way: what is decided and its row are committed
 * together. actor "uid:1000", "device:<id>", "source:<address>" or "gateway"; subject: id of what it is about, or "";
 * detail: a JSON object without secrets, or NULL. Longer than the table allows: INVALID_ARGUMENT. */
gboolean tl_store_journal_append (TlDatabase *db, gint64 now, const char *kind, const char *actor, const char *subject,
                                  const char *detail, GError **error);
/* The same with a detail of json_pack(), which it takes; NULL (a text that is not UTF-8): without one. */
gboolean tl_store_journal_record (TlDatabase *db, gint64 now, const char *kind, const char *actor, const char *subject,
                                  json_t *detail, GError **error);
/* db->journal_seq and db->journal_hash are the last row's. */
gboolean tl_store_journal_load_head (TlDatabase *db, GError **error);
/* The transaction, or a part of it, was rolled back: the head has to be read again. */
void tl_store_journal_forget_head (TlDatabase *db);

/* OPERATOR: what a call's actor may do, read in the transaction that does it (PROTOCOL 4, P; tl-operator-policy.h).
 * NOT_OPERATOR, LOCAL_ONLY; actors on the local socket may do everything. */
gboolean tl_store_authorise (TlDatabase *db, const char *actor, TlOperatorAction action, const TlOperatorTarget *target,
                             GError **error);
gboolean tl_store_authorise_cancel (TlDatabase *db, const char *actor, const TlCodeRecord *code, GError **error);
gboolean tl_store_authorise_decision (TlDatabase *db, const char *actor, const TlPairingRecord *request,
                                      GError **error);
/* A device that gives itself up needs no rights. */
gboolean tl_store_authorise_revocation (TlDatabase *db, const char *actor, const TlDeviceRecord *device,
                                        GError **error);

/* CODES: moves what ran out to EXPIRED and erases its secret. */
gboolean tl_store_expire_codes (TlDatabase *db, gint64 now, GError **error);
#define CODE_COLUMNS                                                                                                   \
  "code_id, method, slot, state, role, label, auto_approve, attempts, attempts_left, minted_by, created_at, "          \
  "expires_at, kdf, kdf_n, kdf_r, kdf_p, salt, w0, point"
/* Takes the row of a query for CODE_COLUMNS, with the verifier when the code is live; *code NULL when there is none. */
gboolean tl_store_take_code (TlDatabase *db, sqlite3_stmt *query, gint64 now, TlCodeRecord **code, GError **error);
/* The code becomes the operation's result; NOT_FOUND. */
gboolean tl_store_load_code (TlStoreOperation *operation, TlDatabase *db, const char *code_id, GError **error);
/* ATTEMPTS */
void tl_store_set_code_invalid (GError **error);
/* PAIRINGS: one by exact request id; NOT_FOUND. */
TlPairingRecord *tl_store_load_pairing (TlDatabase *db, const char *request_id, GError **error);
/* operation->id becomes the result. */
gboolean tl_store_load_pairing_result (TlStoreOperation *operation, TlDatabase *db, GError **error);
/* DEVICES */
#define CERTIFICATE_COLUMNS                                                                                            \
  "c.fingerprint, c.device_id, c.serial, c.tls_key_fingerprint, c.not_before, c.not_after, c.ca_generation, c.used, "  \
  "c.revoked"
TlCertificateRecord *tl_store_read_certificate (sqlite3_stmt *query);
/* NOT_FOUND */
TlDeviceRecord *tl_store_load_device (TlDatabase *db, const char *device_id, GError **error);
/* ADMISSION: PROTOCOL 3.5 and bans for a request, TRUE: nothing speaks against it. */
gboolean tl_store_check_device (TlDatabase *db, const TlPairingRecord *request, GError **error);
gboolean tl_store_put_device (TlDatabase *db, const TlPairingRecord *request, gint64 now, GError **error);
/* The fingerprints of a device's unrevoked certificates but one ("" = all), which become revoked; only_unused: of those
 * that nobody used yet. */
GPtrArray *tl_store_revoke_certificates (TlDatabase *db, const char *device_id, const char *but, gboolean only_unused,
                                         GError **error);
gboolean tl_store_put_certificate (TlDatabase *db, const TlCertificateRecord *certificate, const char *request_id,
                                   GError **error);
/* CHANGES: makes an entry of the log true in the store (ban, certificates, queue, what an operator leaves behind).
 * device: as it is, NULL when the store does not know it. change (may be NULL) is told what was done. */
gboolean tl_store_apply_change (TlDatabase *db, const TlAdmissionEntry *entry, const TlDeviceRecord *device,
                                TlDeviceChange *change, GError **error);
/* Pairing again with a code for a lower role is a change of role: log, journal, and what an operator leaves behind.
 * *lowered: it was one. */
gboolean tl_store_change_role_by_pairing (TlDatabase *db, const TlPairingRecord *request, gint64 now, gboolean *lowered,
                                          GError **error);
/* Takes the next counter, writes it down and stages the entry (whose counter is set). */
gboolean tl_store_stage_change (TlDatabase *db, TlAdmissionEntry *entry, GError **error);
/* NODES: appends to a device's log. */
TlEventRecord *tl_store_append_event (TlDatabase *db, const char *device_id, const char *event_id, const char *type,
                                      const char *data, gint64 now, GError **error);
gboolean tl_store_expire_events (TlDatabase *db, gint64 now, GError **error);
/* REQUESTS: the open ones of a device become FAILED. GPtrArray of TlCapabilityRecord */
GPtrArray *tl_store_fail_requests (TlDatabase *db, const char *device_id, const char *failure, const char *reason,
                                   gint64 now, GError **error);

#define REQUEST_COLUMNS                                                                                                \
  "request_id, device_id, capability, input, state, requested_by, max_payload_bytes, timeout_ms, created_at, "         \
  "updated_at, dispatched_at, completed_at, expires_at, error, error_reason, receipt, event_seq, input_summary, "      \
  "output_summary, input_sha256, output_sha256, cancel_at, cancelled_by"
/* Named, or SQLite reads all of history in the order of its ids to find the few that are open. */
#define FROM_OPEN_REQUESTS " FROM requests INDEXED BY requests_open WHERE state < " SQL_REQUEST_FIRST_FINAL
/* The row of a query for REQUEST_COLUMNS. */
TlCapabilityRecord *tl_store_read_request (sqlite3_stmt *query);
/* All rows of one: GPtrArray of TlCapabilityRecord. */
GPtrArray *tl_store_read_requests (TlDatabase *db, sqlite3_stmt *query, GError **error);
/* By exact id; NOT_FOUND. */
TlCapabilityRecord *tl_store_load_request (TlDatabase *db, const char *request_id, GError **error);
/* HISTORY: the gateway ended this request by itself: its dispatch event becomes the cancel event of the same number and
 * id, so that a device that has not read it yet never starts it, and the log has no hole. */
gboolean tl_store_withdraw_event (TlDatabase *db, const char *request_id, const char *reason, GError **error);
gboolean tl_store_keep_output (TlDatabase *db, const char *request_id, const char *output, gint64 now, GError **error);
/* What is over goes when it is old or too much. */
gboolean tl_store_expire_requests (TlDatabase *db, gint64 now, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlDatabase, tl_database_free)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/store/tl-admission-log.h"
#include "daemon/store/tl-records.h"
#include "journal/tl-journal-row.h"

G_BEGIN_DECLS

/*
 * TlStore: the gateway's durable state as operations, not SQL (DESIGN, State). SQLite behind it, on a thread of its own
 * that is the only writer; it takes all that waits, runs each operation in a savepoint, commits once (synchronous FULL
 * if any of the batch is durable, else NORMAL) and then tells everyone. Nothing outside may assume that this process is
 * the only one: what has to be atomic is one operation.
 *
 * Operations are submitted on the main context's thread; arguments are copied (records) unless said otherwise; the
 * callback comes on the main context after the commit, exactly once, in order of submission. error NULL = committed.
 * `result` is borrowed for the call, its type stands with each operation. callback may be NULL. Marked [durable]:
 * survives power loss before the callback; the others survive a killed process, and power loss within a second.
 *
 * When the disk fails (full, read-only, I/O, locked by another program), every write of the batch fails with READ_ONLY
 * or IO, tl_store_is_writable() turns FALSE until something was written again, and the store tries again with the next
 * write; no callback claims success. Reads are still answered from what was committed before.
 *
 * One process at a time: the directory carries a lock (flock on the directory itself, gone with its owner; no file is
 * made, so that refusing a newer schema changes nothing). The database stays readable for an administrator's `sqlite3`
 * (WAL, normal locking); a program that holds SQLite's write lock for longer than two seconds fails the batch.
 *
 * Secrets (w0 of a code, sealed keys) are overwritten when they end (secure_delete) and leave the WAL within seconds (a
 * truncating checkpoint follows). Callbacks may submit, but neither flush nor close.
 */
typedef struct _TlStore TlStore;
typedef void (*TlStoreCallback) (const GError *error, gpointer result, gpointer user_data);

#define TL_STORE_FILE           "twinlatch.db"
#define TL_STORE_SCHEMA_VERSION 8

/* Limits that are part of transactions (PROTOCOL 3.4). */
#define TL_STORE_MAX_LIVE_CODES         100
#define TL_STORE_MAX_LIVE_CODES_DEVICE  25 /* of one operator over the network: others must be able to mint, too */
#define TL_STORE_PIN_FAILURES_MAX       10
#define TL_STORE_PIN_FAILURES_WINDOW_MS (G_GINT64_CONSTANT (3600) * 1000)
#define TL_STORE_PIN_SLOW_INTERVAL_MS   (60 * 1000)
#define TL_STORE_MAX_WRONG_COMPARISONS  3
#define TL_STORE_EVENTS_MAX             10000
#define TL_STORE_CANCEL_EVENT           "capability.cancel"
#define TL_STORE_EVENTS_AGE_MS          (G_GINT64_CONSTANT (7) * 86400 * 1000)

/* Opens or creates <directory>/twinlatch.db (0600), migrates older schemas in one transaction. TL_ERROR_NEWER_VERSION
 * (touches nothing), READ_ONLY, CORRUPT (page 1, the schema, the log; not a database), IN_USE. Blocks, but for a time
 * that does not grow with what is stored: start-up only. */
TlStore *tl_store_open (const char *directory, GMainContext *context, GError **error);
/* What an administrator may order for one start (twinlatchd(8), DAMAGED STORE). Each is followed by a check of
 * everything before anything is served. */
typedef enum
{
  TL_STORE_OPEN_NORMAL = 0,
  TL_STORE_ACCEPT_TRUNCATED_LOG = 1, /* go on without what a damaged log cannot give back */
  TL_STORE_ACCEPT_CHANGED_PAGES = 2, /* another program wrote into the database, and was meant to */
} TlStoreOpenFlags;
TlStore *tl_store_open_with (const char *directory, TlStoreOpenFlags flags, GMainContext *context, GError **error);
/* Runs what was submitted, commits, checkpoints, closes, joins the thread; callbacks still come before it returns (it
 * iterates the context). What a callback submits meanwhile fails with UNAVAILABLE. NULL is allowed. */
void tl_store_close (TlStore *store);
/* Iterates the main context until everything submitted so far is done: start-up and tests. */
void tl_store_flush (TlStore *store);
/* Any thread. */
gboolean tl_store_is_writable (TlStore *store);
/* The check of all pages, which runs beside everything else after the start and then once a day. */
typedef enum
{
  TL_STORE_CHECK_RUNNING, /* the first one is not over yet */
  TL_STORE_CHECK_GOOD,
  TL_STORE_CHECK_DAMAGED, /* also: a damaged page was met in passing. Stays until the gateway is started anew */
  TL_STORE_CHECK_FAILED,  /* could not be made: the disk does not let itself be read */
} TlStoreCheckVerdict;
typedef struct
{
  TlStoreCheckVerdict verdict;
  gint64 finished_at; /* wall clock, ms; 0: none yet */
  guint64 pages;      /* that were read */
  char *problem;      /* one line; NULL unless DAMAGED or FAILED */
} TlStoreCheck;
const char *tl_store_check_verdict_to_string (TlStoreCheckVerdict verdict);
/* Any thread; *check is the caller's: tl_store_check_clear(). */
void tl_store_get_check (TlStore *store, TlStoreCheck *check);
void tl_store_check_clear (TlStoreCheck *check);
/* A real write that changes nothing of meaning (a heartbeat row), so that health notices a full disk. result: none */
void tl_store_probe (TlStore *store, gint64 now, TlStoreCallback callback, gpointer user_data);

/* Small settings (gateway_id, gateway_name, ...). Start-up: before anything was submitted. NULL when absent. */
char *tl_store_get_meta (TlStore *store, const char *key, GError **error);
gboolean tl_store_set_meta (TlStore *store, const char *key, const char *value, GError **error); /* [durable], sync */
/* CA generations, newest first: GPtrArray of GBytes (DER); sync, start-up. */
GPtrArray *tl_store_list_cas (TlStore *store, GError **error);
gboolean tl_store_add_ca (TlStore *store, guint generation, GBytes *der, gint64 not_after,
                          GError **error); /* [durable] */

/* ---- codes ---- */
/* Operations that name an actor ask tl-operator-policy.h in their transaction: NOT_OPERATOR, LOCAL_ONLY. */
/* [durable] Assigns a free random slot to a PIN. RESOURCE_EXHAUSTED above the limits of live codes. result:
 * TlCodeRecord */
void tl_store_add_code (TlStore *store, const TlCodeRecord *code, gint64 now, TlStoreCallback callback,
                        gpointer user_data);
/* A live code by slot (code_id NULL) or id, with its verifier. CODE_INVALID for everything else, whatever the reason.
 * result: TlCodeRecord */
void tl_store_find_live_code (TlStore *store, guint slot, const char *code_id, gint64 now, TlStoreCallback callback,
                              gpointer user_data);
/* [durable] The attempt (PROTOCOL 3.2, P): code live, not expired and attempts_left > 0, then attempts_left - 1 (0:
 * EXHAUSTED), and for a PIN a failure row. CODE_INVALID otherwise. PIN exchanges slow down (RESOURCE_EXHAUSTED, nothing
 * taken) when TL_STORE_PIN_FAILURES_MAX failures lie within the window and the last PIN exchange is younger than the
 * interval. attempt_id: a ULID that names the failure row (links: may be NULL). result: TlCodeRecord */
void tl_store_take_attempt (TlStore *store, const char *code_id, const char *attempt_id, const char *actor, gint64 now,
                            TlStoreCallback callback, gpointer user_data);
/* result: guint32* = failures of PIN exchanges in the last hour */
void tl_store_count_pin_failures (TlStore *store, gint64 now, TlStoreCallback callback, gpointer user_data);
/* [durable] id or unique prefix (NOT_FOUND, AMBIGUOUS) or slot number as text. Already not live: success, unchanged.
 * result: TlCodeRecord */
void tl_store_cancel_code (TlStore *store, const char *code, const char *actor, gint64 now, TlStoreCallback callback,
                           gpointer user_data);
/* Newest first; page_token = "" or from before. result: GPtrArray of TlCodeRecord (at most limit + 1 rows: one more
 * than limit means there is a next page, whose token is the id of the last row inside the limit) */
void tl_store_list_codes (TlStore *store, gboolean all, const char *page_token, guint limit, gint64 now,
                          TlStoreCallback callback, gpointer user_data);

/* ---- pairing requests ---- */
/* [durable] One transaction: the code of the session's attempt (USED already by another request: CODE_INVALID;
 * attempts_left may be 0 now) becomes USED, the failure row attempt_id goes, PROTOCOL 3.5 and bans are checked:
 * device_id known with another identity, identity known under another device_id, TLS key known to another device:
 * PERMISSION_DENIED; device or identity revoked: REVOKED; suspended: FAILED_PRECONDITION; a role higher than the known
 * device's: PERMISSION_DENIED; in all these the code is still USED. The request is inserted as it is given
 * (PENDING_APPROVAL or APPROVED). Cancelled or past
 * its end meanwhile: CODE_INVALID. Role, method or APPROVED that the code does not give: PERMISSION_DENIED. The same
 * request told twice answers the stored one. attempt_id may be NULL for links. result: TlPairingRecord */
void tl_store_add_pairing (TlStore *store, const TlPairingRecord *request, const char *attempt_id, gint64 now,
                           TlStoreCallback callback, gpointer user_data);
/* [durable] confirm_p was right, but something else was not (reason): gives the failure back and journals the refusal.
 * result: none */
void tl_store_give_back_failure (TlStore *store, const char *attempt_id, const char *code_id, const char *device_id,
                                 const char *actor, const char *reason, gint64 now, TlStoreCallback callback,
                                 gpointer user_data);
/* By request id (exact), session id (exact), or unique prefix of a request id. NOT_FOUND, AMBIGUOUS. result:
 * TlPairingRecord */
void tl_store_get_pairing (TlStore *store, const char *request_id, TlStoreCallback callback, gpointer user_data);
void tl_store_get_pairing_by_session (TlStore *store, const char *session_id, TlStoreCallback callback,
                                      gpointer user_data);
/* [durable] Wrong comparison code: counts; the third rejects. FAILED_PRECONDITION when not pending. result:
 * TlPairingRecord */
void tl_store_wrong_comparison (TlStore *store, const char *request_id, const char *actor, gint64 now,
                                TlStoreCallback callback, gpointer user_data);
/* [durable] pending -> APPROVED | REJECTED, once; an expired one becomes EXPIRED and the call fails EXPIRED. Decided
 * already: FAILED_PRECONDITION saying how. APPROVED sets expires_at = now + 10 min. result: TlPairingRecord */
void tl_store_decide_pairing (TlStore *store, const char *request_id, gboolean approve, const char *actor,
                              const char *reason, gint64 now, TlStoreCallback callback, gpointer user_data);
/* [durable] Issuance, one transaction: the request is APPROVED and not expired (COMPLETED already: nothing changes,
 * result is the stored one with its certificate), bans are looked at again, the device is inserted or updated (pairing
 * again: same identity; replaced_device_id from the request), the device's unused certificates are revoked and this one
 * recorded (`ended` of the result), the request COMPLETED. result:
 * TlPairingRecord */
void tl_store_complete_pairing (TlStore *store, const char *request_id, const TlCertificateRecord *certificate,
                                GBytes *certificate_der, gint64 now, TlStoreCallback callback, gpointer user_data);
/* states: bit set of 1 << TlPairingState, 0 = all. Newest first, paging as list_codes. result: GPtrArray of
 * TlPairingRecord */
void tl_store_list_pairings (TlStore *store, guint states, const char *page_token, guint limit,
                             TlStoreCallback callback, gpointer user_data);
/* [durable] Moves what ran out: codes to EXPIRED, pending and approved requests to EXPIRED, sealed keys older than 24 h
 * dropped, old failure rows, old events, finished capability requests and dead codes/requests older than 30 d. result:
 * GPtrArray of TlPairingRecord that became EXPIRED */
void tl_store_expire (TlStore *store, gint64 now, TlStoreCallback callback, gpointer user_data);

/* ---- devices ---- */
/* id, unique prefix (>= 4 characters), or a name that only one not-removed device has. NOT_FOUND, AMBIGUOUS (the
 * message lists up to three). result: TlDeviceRecord */
void tl_store_find_device (TlStore *store, const char *device, TlStoreCallback callback, gpointer user_data);
/* states: bit set of 1 << TlDeviceState, 0 = all; role -1 = all. By id, paging as list_codes. result: GPtrArray of
 * TlDeviceRecord */
void tl_store_list_devices (TlStore *store, guint states, int role, const char *page_token, guint limit,
                            TlStoreCallback callback, gpointer user_data);
/* Certificates of active devices with not_after > now, not revoked: what the admitted set holds. result: GPtrArray of
 * TlCertificateRecord; roles: GHashTable device_id -> GINT_TO_POINTER (TlRole) through the second member.
 * Sync, start-up. */
typedef struct
{
  GPtrArray *certificates; /* TlCertificateRecord */
  GHashTable *roles;       /* char* -> GINT_TO_POINTER (TlRole) */
} TlAdmissions;
TlAdmissions *tl_store_list_admissions (TlStore *store, gint64 now, GError **error);
void tl_admissions_free (TlAdmissions *admissions);
/* [durable] First completed handshake: used = TRUE, sealed keys of the request go, all other leaves of the device are
 * revoked (PROTOCOL 3.5, 4.3: the old certificate ends when the new one was used). Unknown or used already: success,
 * nothing changes. result: TlCertificateUse */
typedef struct
{
  gboolean renewal; /* the leaf came of a renewal, not of a pairing: the old one's connections may end in peace */
  GPtrArray *ended; /* char* fingerprints that were revoked by it */
} TlCertificateUse;
void tl_store_certificate_used (TlStore *store, const char *fingerprint, gint64 now, TlStoreCallback callback,
                                gpointer user_data);
/* ---- changes of admission (PROTOCOL 4.4); every one is in admission.log before it is answered ---- */
/* What a change did, or would do. */
typedef struct
{
  TlDeviceRecord *device; /* after it; as it is in a dry run */
  gboolean already;       /* it was so; nothing changed */
  gboolean dry_run;
  guint certificates;  /* ended, suspended with it, or good again (resume) */
  GPtrArray *requests; /* TlCapabilityRecord that failed by it */
  guint requests_kept; /* suspend: open ones */
  /* Of an operator that is one no longer. */
  GPtrArray *codes;    /* TlCodeRecord, cancelled */
  GPtrArray *pairings; /* TlPairingRecord: undecided ones rejected, approved ones expired */
  GPtrArray *admitted; /* TlDeviceRecord that it approved and that are not removed; unchanged */
} TlDeviceChange;
/* Any thread. */
TlDeviceChange *tl_device_change_ref (TlDeviceChange *change);
void tl_device_change_unref (TlDeviceChange *change);
/* [durable] kind: REVOKE, SUSPEND, RESUME, REMOVE, CLEAR, ROLE (role is used). device_id exact. Already so: success,
 * result->already. NOT_FOUND for a removed one (but REMOVE, CLEAR: already). FAILED_PRECONDITION: suspend or resume of
 * a revoked device, removal of one (it is cleared instead), clearing a suspended one. dry_run: nothing stays. result:
 * TlDeviceChange */
void tl_store_change_device (TlStore *store, TlAdmissionKind kind, const char *device_id, TlRole role,
                             const char *actor, const char *reason, gboolean dry_run, gint64 now,
                             TlStoreCallback callback, gpointer user_data);
/* How the store and the log were found. */
typedef struct
{
  guint64 counter;
  guint64 log_bytes;
  guint applied; /* lines of the log that the store did not know */
  gboolean created;
  gboolean restored; /* nobody is admitted until tl_store_confirm_devices() */
  char *restored_reason;
  gint64 restored_at;
} TlStoreAdmission;
/* Start-up, sync, once, before any change of admission: opens admission.log beside the database, makes it when there
 * never was one, applies what the store does not know yet. A log that is missing although the store had one, is behind
 * the store, is damaged or another gateway's makes this a restored gateway (P): codes and open pairing requests are
 * voided, in the same transaction. key: 32 bytes. Fails only when it cannot be read or written. */
TlStoreAdmission *tl_store_open_admission (TlStore *store, const char *gateway_id, TlSecret *key, gint64 now,
                                           GError **error);
void tl_store_admission_free (TlStoreAdmission *admission);
/* result: TlStoreAdmission */
void tl_store_get_admission (TlStore *store, TlStoreCallback callback, gpointer user_data);
/* [durable] The operator confirmed the list of devices. restored_at names the restoration whose list was looked at:
 * FAILED_PRECONDITION when it is another; 0: whichever. result: TlStoreConfirmation */
typedef struct
{
  guint devices;    /* active */
  gboolean already; /* there was nothing to confirm */
} TlStoreConfirmation;
void tl_store_confirm_devices (TlStore *store, gint64 restored_at, const char *actor, const char *reason, gint64 now,
                               TlStoreCallback callback, gpointer user_data);

/* ---- devices, what admits nobody ---- */
/* [durable] result: char* = the name before, equal to the new one when nothing changed */
void tl_store_rename_device (TlStore *store, const char *device_id, const char *name, const char *actor, gint64 now,
                             TlStoreCallback callback, gpointer user_data);
/* Asks an active or suspended device to renew now: `certificate.renew` in its log. result: TlStoreRotation */
typedef struct
{
  TlEventRecord *event;
  gboolean already; /* one is there that it has not acknowledged */
} TlStoreRotation;
void tl_store_rotate_device (TlStore *store, const char *device_id, const char *event_id, const char *actor, gint64 now,
                             TlStoreCallback callback, gpointer user_data);
/* [durable] Renewal (PROTOCOL 4.3), one transaction: the device is looked at again (REVOKED: revoked or removed;
 * SUSPENDED; NOT_FOUND; PERMISSION_DENIED: another identity key than the one whose proof was checked), so is the time
 * (EXPIRED: the newest certificate ended longer than grace ago) and the TLS key (PERMISSION_DENIED: another device's,
 * or used before). Its unused leaves are revoked and this one is recorded; but an unused one for the same key with more
 * than half of its life left is given out again instead. All journalled, refusals too. result: TlRenewalRecord */
typedef struct
{
  TlCertificateRecord *certificate; /* of the device named there */
  GBytes *der;
  const guint8 *identity_public; /* 32 bytes */
  gint64 grace_ms;
  const char *how; /* "certificate" or "identity", for the journal */
} TlRenewalRequest;
typedef struct
{
  TlCertificateRecord *certificate;
  GBytes *der;
  TlRole role;
  gboolean repeated; /* issued before, the answer was lost */
  GPtrArray *ended;  /* char* fingerprints of unused leaves that were revoked by it */
} TlRenewalRecord;
void tl_store_renew_certificate (TlStore *store, const TlRenewalRequest *request, const char *actor, gint64 now,
                                 TlStoreCallback callback, gpointer user_data);
/* Presence, when it changed meaning. last_event (may be NULL): the type of what the node said last, and when. result:
 * none */
void tl_store_device_seen (TlStore *store, const char *device_id, const char *last_event, gint64 last_event_at,
                           gint64 now);

/* ---- nodes and their event logs (PROTOCOL 4.1) ---- */
/* result: TlNodeRecord */
void tl_store_put_node (TlStore *store, const TlNodeRecord *node, TlStoreCallback callback, gpointer user_data);
/* NOT_FOUND when it never registered. result: TlNodeRecord */
void tl_store_get_node (TlStore *store, const char *device_id, TlStoreCallback callback, gpointer user_data);
/* Sync, start-up: all nodes. GPtrArray of TlNodeRecord */
GPtrArray *tl_store_list_nodes (TlStore *store, GError **error);
/* Assigns the next seq of the device's log. result: TlEventRecord */
void tl_store_add_event (TlStore *store, const char *device_id, const char *event_id, const char *type,
                         const char *data, gint64 now, TlStoreCallback callback, gpointer user_data);
/* What a cursor means for the log. */
typedef enum
{
  TL_CURSOR_OK,    /* events after it follow */
  TL_CURSOR_GAP,   /* older than retained: oldest is the first that there is */
  TL_CURSOR_RESET, /* another id at that seq, or beyond the log's end */
} TlCursorKind;
typedef struct
{
  TlCursorKind kind;
  guint64 latest_seq;
  guint64 oldest_seq; /* retained; 0 when none */
  char *oldest_id;
  GPtrArray *events; /* TlEventRecord after the cursor (GAP, RESET: from the oldest), at most limit */
} TlEventRange;
/* event_id "" with seq 0. result: TlEventRange */
void tl_store_read_events (TlStore *store, const char *device_id, guint64 seq, const char *event_id, guint limit,
                           TlStoreCallback callback, gpointer user_data);
/* One event by seq (1 or more), whether the cursor before it is known or not (FetchEvent). result: TlEventRange with at
 * most one event, the first whose seq is not smaller */
void tl_store_read_event (TlStore *store, const char *device_id, guint64 seq, TlStoreCallback callback,
                          gpointer user_data);
/* Cumulative: deletes what is acknowledged, keeps the id at seq for resume. OUT_OF_RANGE beyond the log's end or with
 * another id. result: none */
void tl_store_ack_events (TlStore *store, const char *device_id, guint64 seq, const char *event_id,
                          TlStoreCallback callback, gpointer user_data);

/* ---- capability requests (PROTOCOL 4.2) ---- */
/* Inserts the request and, in the same transaction, its `capability.dispatch` event (event_data) and the journal's row.
 * result: TlEventRecord */
void tl_store_add_request (TlStore *store, const TlCapabilityRecord *request, const char *event_id,
                           const char *event_data, gint64 now, TlStoreCallback callback, gpointer user_data);
/* A request's move; strings and bytes may be NULL and are then kept as they are stored. Borrowed. */
typedef struct
{
  const char *request_id;
  const char *device_id; /* non-NULL: it must be the request's device, else PERMISSION_DENIED */
  guint from;            /* states it may be in (bit set of 1 << TlRequestState), else FAILED_PRECONDITION */
  TlRequestState to;
  gint64 dispatched_at; /* wall-clock ms, 0: as it is stored, or now when that is where it goes */
  const char *output, *error, *error_reason;
  const char *output_summary;  /* tl_json_summary() */
  const guint8 *output_sha256; /* 32 bytes */
  GBytes *receipt;            /* NULL with a final state: the gateway's own decision, the device's event is withdrawn */
  const guint8 *receipt_hash; /* H(receipt), 32 bytes: for the journal's row of a final state */
  const char *actor;          /* JOURNAL: who ended it; NULL: the gateway itself. Without a receipt an operator */
  gint64 now;
} TlRequestMove;

/* NOT_FOUND, and as said above; NOT_OPERATOR: who ends it has the right no longer. A final state writes its row into
 * the journal, drops the input, keeps the output for a while. result: none */
void tl_store_move_request (TlStore *store, const TlRequestMove *move, TlStoreCallback callback, gpointer user_data);
/* result: TlCapabilityRecord */
void tl_store_get_request (TlStore *store, const char *request_id, TlStoreCallback callback, gpointer user_data);
/* Sync, start-up: requests that are not final. GPtrArray of TlCapabilityRecord */
GPtrArray *tl_store_list_open_requests (TlStore *store, GError **error);

/* As operators name it, by id or unique prefix (NOT_FOUND, AMBIGUOUS), with its output while that is kept. result:
 * TlCapabilityRecord */
void tl_store_find_request (TlStore *store, const char *request, TlStoreCallback callback, gpointer user_data);
typedef struct
{
  const char *device_id, *capability, *requested_by; /* NULL: any */
  guint states;                                      /* bit set of 1 << TlRequestState; 0: any */
  gint64 since;                                      /* created then or later, wall-clock ms */
} TlRequestFilter;
typedef struct
{
  GPtrArray *requests; /* TlCapabilityRecord without input, output, receipt */
  char *next_token;    /* NULL: that was the last page */
} TlRequestPage;
/* Newest first; page_token "" or from before. A page may have fewer rows than limit, even none, and a next one all the
 * same: the rows looked at for one page are bounded. result: TlRequestPage */
void tl_store_list_requests (TlStore *store, const TlRequestFilter *filter, const char *page_token, guint limit,
                             TlStoreCallback callback, gpointer user_data);
/* Marks an open request as one whose end was asked for, once (FAILED_PRECONDITION), with the journal's row; event_id
 * non-NULL: and tells the device by this event. The move to CANCELLED is another operation. result: TlEventRecord, NULL
 * without an event */
void tl_store_cancel_request (TlStore *store, const char *request_id, const char *actor, const char *reason,
                              const char *event_id, const char *event_data, gint64 now, TlStoreCallback callback,
                              gpointer user_data);
/* A result came after the request's end: the journal's row, once a request, however often the device repeats it. Actor
 * and detail: tl-journal.h. result: none */
void tl_store_late_result (TlStore *store, const char *request_id, const char *actor, const char *detail, gint64 now,
                           TlStoreCallback callback, gpointer user_data);

/* ---- switches (SetNodeCapability) ---- */
/* [durable] Set as it is already: success, nothing is journalled. result: none */
void tl_store_set_switch (TlStore *store, const char *device_id, const char *capability, gboolean enabled,
                          const char *actor, gint64 now, TlStoreCallback callback, gpointer user_data);
/* Sync, start-up: what is off. GPtrArray of TlSwitchRecord */
GPtrArray *tl_store_list_switches (TlStore *store, GError **error);

/* ---- journal ---- */
/* A row for a decision that changes nothing else in the store (a denial, a refused connection); decisions of the
 * operations above write theirs in the same transaction. Arguments: tl-journal.h. result: none */
void tl_store_journal (TlStore *store, const char *kind, const char *actor, const char *subject, const char *detail,
                       gint64 now, TlStoreCallback callback, gpointer user_data);

/* [durable] The newest row, for keeping elsewhere. result: TlJournalHead */
void tl_store_journal_head (TlStore *store, gint64 now, TlStoreCallback callback, gpointer user_data);
/* [durable] A row of the gateway's own and a setting, together. Sync, start-up. */
gboolean tl_store_journal_setting (TlStore *store, const char *kind, const char *subject, const char *detail,
                                   const char *key, const char *value, gint64 now, GError **error);
/* Retention: when the oldest rows are older than `age_ms` (by more than TL_STORE_JOURNAL_SLACK_MS), or there are more
 * than `max_rows` (by more than one in TL_STORE_JOURNAL_SLACK_ROWS), those go, at most TL_STORE_JOURNAL_PRUNE_MAX at
 * once; a checkpoint row says which one was the last and what its hash was. The newest TL_STORE_JOURNAL_KEEP rows stay
 * whatever the clock says. result: TlJournalCheckpoint (rows 0: nothing was due; rows PRUNE_MAX: there are more;
 * damaged: a row that had been changed) */
#define TL_STORE_JOURNAL_SLACK_MS   (G_GINT64_CONSTANT (86400) * 1000)
#define TL_STORE_JOURNAL_SLACK_ROWS 64
#define TL_STORE_JOURNAL_PRUNE_MAX  5000
#define TL_STORE_JOURNAL_KEEP       1000
void tl_store_journal_prune (TlStore *store, gint64 age_ms, guint64 max_rows, gint64 now, TlStoreCallback callback,
                             gpointer user_data);

/* ---- size ---- */
typedef struct
{
  guint64 bytes; /* database + WAL */
  guint64 wal_bytes;
  gint64 requests_kept, events_kept, certificates_kept; /* history, logs */
  guint known_nodes;                                    /* imported, not paired */
  guint devices_active, devices_suspended, devices_revoked, codes_live, pairings_pending, requests_open;
  guint64 journal_rows;
  gint64 journal_oldest; /* wall-clock ms; 0: no row */
  TlJournalHead journal_head;
} TlStoreStatus;
/* result: TlStoreStatus */
void tl_store_get_status (TlStore *store, gint64 now, TlStoreCallback callback, gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlAdmissions, tl_admissions_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlStoreAdmission, tl_store_admission_free)

G_END_DECLS

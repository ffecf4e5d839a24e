/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-secret.h"
#include "identity/tl-admitted-set.h"

G_BEGIN_DECLS

/*
 * TlAdmissionLog: `admission.log` in the state root (PROTOCOL 4.4): every change of who is admitted, append-only, not
 * part of backups, so that an old copy of the store put back beside it does not let a revoked device in again.
 *
 * JSON lines. The first names the gateway and `base`, the counter at which the file was (re)written; each other line is
 * one change with its counter, which grows strictly and, above base, without gaps. Every line ends with a MAC over its
 * bytes and the MAC of the line before: a changed byte, a removed, swapped or foreign line is CORRUPT. A MAC and not a
 * bare hash because start *applies* what is in here to the store: who can write this file (or the medium it is copied
 * to) but has not the key in the secret store must not be able to lift a ban.
 *
 * Lines are staged while a transaction of the store is under way, written and synced before it commits (flush), and
 * taken back when it does not (roll_back). A crash between leaves the log ahead of the store, which start repairs as it
 * does for a restored store: by applying the newer lines. A last line that is cut off was never acknowledged and is
 * ignored. The file does not grow for ever: above a size it is rewritten with the last change of each kind of each
 * device, counters kept.
 *
 * Thread: the store's. Blocking.
 */
#define TL_ADMISSION_LOG_FILE "admission.log"

/* Numbers are not stored; words are. */
typedef enum
{
  TL_ADMISSION_REVOKE,  /* banned until cleared; its certificates end */
  TL_ADMISSION_SUSPEND, /* not admitted until resumed; certificates and queue stay */
  TL_ADMISSION_RESUME,
  TL_ADMISSION_REMOVE, /* forgotten; its certificates end */
  TL_ADMISSION_CLEAR,  /* the ban is lifted; it may pair again */
  TL_ADMISSION_ROLE,
  TL_ADMISSION_RESTORED, /* of the gateway: nobody is admitted until CONFIRM */
  TL_ADMISSION_CONFIRM,
} TlAdmissionKind;

/* One change, with what is needed to make it in a store that never saw it. Strings are owned. */
typedef struct
{
  guint64 counter;
  gint64 time; /* wall-clock ms */
  TlAdmissionKind kind;
  char *device_id; /* "" for RESTORED and CONFIRM */
  char *name;      /* of the device, for a ban of one that the store does not know; "" */
  guint8 identity_public[32];
  TlRole role; /* after the change */
  char *actor;
  char *reason; /* "" when none was given */
} TlAdmissionEntry;

typedef struct _TlAdmissionLog TlAdmissionLog;

/* Reads and verifies all of it. NOT_FOUND: there is no file. CORRUPT: a line does not verify, or the file is another
 * gateway's. Others: the file system's. key: 32 bytes. */
TlAdmissionLog *tl_admission_log_open (const char *path, const char *gateway_id, TlSecret *key, GError **error);
/* Writes a new file over whatever is there, atomically and durably. entries: TlAdmissionEntry in order of counters,
 * none above base, with a free function; taken over (the array's reference). */
TlAdmissionLog *tl_admission_log_create (const char *path, const char *gateway_id, TlSecret *key, GPtrArray *entries,
                                         guint64 base, GError **error);
/* What was not flushed is dropped. NULL is allowed. */
void tl_admission_log_free (TlAdmissionLog *log);

/* Of the last line that is on disk, or base. */
guint64 tl_admission_log_counter (TlAdmissionLog *log);
/* Everything on disk, in order. Borrowed. */
const GPtrArray *tl_admission_log_entries (TlAdmissionLog *log);
guint64 tl_admission_log_bytes (TlAdmissionLog *log);

/* A change of the transaction under way; copied. Its counter has to be the next one. IO after a failure that only the
 * next start repairs. */
gboolean tl_admission_log_stage (TlAdmissionLog *log, const TlAdmissionEntry *entry, GError **error);
/* For operations that fail alone inside a batch: how much is staged, and back to that. */
guint tl_admission_log_mark (TlAdmissionLog *log);
void tl_admission_log_reset (TlAdmissionLog *log, guint mark);
/* Appends what is staged, in one write, and syncs. FALSE: nothing of it counts, roll back. */
gboolean tl_admission_log_flush (TlAdmissionLog *log, GError **error);
/* The transaction committed; rewrites the file when it became too large. */
void tl_admission_log_commit (TlAdmissionLog *log);
/* It did not: staged and flushed lines are taken back. If the disk does not even allow that, the next change tries
 * again first, and fails while it does not; a start before that applies them. */
void tl_admission_log_roll_back (TlAdmissionLog *log);
/* Whether it committed is unknown: the lines stay, because a log that is ahead of the store is repaired and one that is
 * behind it is not trusted. Every later flush fails until the next start. */
void tl_admission_log_abandon (TlAdmissionLog *log);

/* Above this size, and twice what it was after it was last rewritten. */
#define TL_ADMISSION_LOG_COMPACT_BYTES (G_GUINT64_CONSTANT (1024) * 1024)

void tl_admission_entry_free (TlAdmissionEntry *entry);
TlAdmissionEntry *tl_admission_entry_copy (const TlAdmissionEntry *entry);
/* "revoke", "suspend", ... */
const char *tl_admission_kind_to_string (TlAdmissionKind kind);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlAdmissionLog, tl_admission_log_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlAdmissionEntry, tl_admission_entry_free)

G_END_DECLS

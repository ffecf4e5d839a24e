/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Where the write-ahead log ends, told beside it ("twinlatch.db-end"). SQLite takes a frame that does not verify for
 * the end of the log: a byte that rots there would silently take back what was committed after it. This record says how
 * far the log went: after a killed process (same boot) to the byte, after a power loss how far it had been synced.
 *
 * The rule that makes it a lower bound at every instant: it grows after the log did and shrinks before the log does.
 * Written in place without a sync (the kernel keeps it over a killed process). Damaged or missing, it only knows less.
 * Store's thread (the opener's before it started).
 */
#define TL_LOG_END_SUFFIX "-end"
#define TL_BOOT_ID_LENGTH 16
#define TL_LOG_SALTS      8

typedef struct
{
  guint8 boot_id[TL_BOOT_ID_LENGTH]; /* of the kernel that ran when it was written */
  guint8 salts[TL_LOG_SALTS];        /* which generation of the log it is about, as in the log's header */
  guint64 end;                       /* bytes of the log up to the last commit; 0: nothing that counts */
  guint64 synced;                    /* of these, on disk */
  guint32 page;                      /* the last frame's page, 0 not known */
  guint64 page_sum;                  /* and the sum it carries: how one sees that the log went into the database */
  guint64 file;                      /* the database's tl_file_identity() */
} TlLogEndRecord;

/* Text of a boot id or NULL; zeroes when it is none. */
void tl_boot_id_parse (const char *text, guint8 boot_id[TL_BOOT_ID_LENGTH]);
/* The running kernel's; zeroes when it does not say, which equals no other boot. */
void tl_boot_id_read (guint8 boot_id[TL_BOOT_ID_LENGTH]);
gboolean tl_log_end_same_boot (const TlLogEndRecord *record, const guint8 boot_id[TL_BOOT_ID_LENGTH]);

/* Of a file on this machine (inode, time of birth): another one when it was put in its place, as a backup is. 0: none.
 */
guint64 tl_file_identity (const char *path);

/* Bytes of a record file: CORRUPT for anything else. */
gboolean tl_log_end_parse (const guint8 *data, gsize length, TlLogEndRecord *record, GError **error);
/* NOT_FOUND, CORRUPT, IO. */
gboolean tl_log_end_load (const char *path, TlLogEndRecord *record, GError **error);

typedef struct _TlLogEnd TlLogEnd;

/* Opens or creates the file (0600) for writing; the record is empty until it is set. file: of the database. */
TlLogEnd *tl_log_end_open (const char *path, guint64 file, GError **error);
void tl_log_end_close (TlLogEnd *end);
const TlLogEndRecord *tl_log_end_get (TlLogEnd *end);
/* Writes the record (its boot id and file are filled in). FALSE: the disk failed. */
gboolean tl_log_end_set (TlLogEnd *end, const TlLogEndRecord *record);

G_END_DECLS

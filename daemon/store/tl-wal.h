/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/store/tl-log-end.h"

G_BEGIN_DECLS

/*
 * SQLite's write-ahead log as bytes (https://www.sqlite.org/fileformat2.html#walformat): a header of 32 bytes, then
 * frames of 24 bytes and a page, each with a checksum over everything from the header on. Pure; any thread.
 */
#define TL_WAL_HEADER_LENGTH 32
#define TL_WAL_FRAME_HEADER  24

/* Runs the log's checksum over data (a multiple of 8 bytes) from sums, which it replaces. */
void tl_wal_checksum (const guint8 *data, gsize length, gboolean big_endian, guint32 sums[2]);
/* 4 bytes, big-endian, as all numbers of the log and of the database's header are. */
guint32 tl_wal_get_u32 (const guint8 *data);
void tl_wal_put_u32 (guint8 *data, guint32 value);

/* What a log's header says. FALSE: not a header that SQLite would follow. */
typedef struct
{
  guint page_size;
  gboolean big_endian; /* words of the checksums */
  guint8 salts[TL_LOG_SALTS];
  guint32 sums[2]; /* where the frames' checksums begin */
} TlWalHeader;
gboolean tl_wal_parse_header (const guint8 *data, gsize length, TlWalHeader *header);

typedef struct
{
  gboolean header_is_good;
  TlWalHeader header;
  guint64 length;     /* of the whole log */
  guint64 committed;  /* bytes up to and with the last commit that SQLite would recover */
  guint64 bad_at;     /* where the first frame begins that does not verify; length when none */
  gboolean continues; /* whole frames of the same generation stand after that: somebody wrote on beyond it */
  guint64 first_page; /* where the newest committed copy of page 1 begins; 0 when none */
} TlWalScan;

/* Reads as SQLite's recovery does. Any bytes are allowed. */
void tl_wal_scan (const guint8 *data, gsize length, TlWalScan *scan);

typedef enum
{
  TL_WAL_GOOD,
  TL_WAL_TORN,    /* ends in a transaction that was not finished, as after a power loss: nothing promised is lost */
  TL_WAL_DAMAGED, /* what was committed would be lost */
} TlWalVerdict;

/* What else is known when a log is judged. */
typedef struct
{
  const TlLogEndRecord *end; /* where it should end; NULL: not known */
  gboolean same_boot;        /* as when that was written */
  gboolean same_file;        /* the database is still the file that it was */
  guint64 page_sum;          /* that the database's copy of end->page carries; 0: there is none */
} TlWalContext;

/* *where: the first byte that is not as it should be. */
TlWalVerdict tl_wal_judge (const TlWalScan *scan, const TlWalContext *context, guint64 *where);

G_END_DECLS

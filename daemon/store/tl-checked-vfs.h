/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/store/tl-log-end.h"

#include <sqlite3.h>

G_BEGIN_DECLS

/*
 * A layer over SQLite's default VFS that puts a checksum (tl-page-sum.h) on every page it writes, into the database and
 * into the write-ahead log, and verifies it on every page it reads: SQLITE_IOERR_DATA for a page that was changed. Only
 * for databases with TL_PAGE_SUM_LENGTH reserved bytes; others pass unchanged. Such files stay ordinary ones: any
 * SQLite reads and checkpoints them. What another program *writes* carries no valid checksum and is refused here
 * afterwards.
 *
 * SQLite has computed the checksum of a log's frame when the VFS sees the page, so the layer computes the frame's anew
 * over the page as it is written; SQLite itself looks at those only when it recovers a log, and then finds ours.
 *
 * Registered once per process, never as the default; any thread, as SQLite's own.
 */
#define TL_CHECKED_VFS "twinlatch"

/* Idempotent. */
void tl_checked_vfs_register (void);
/* Pages of this connection's database carry checksums (known once its first page was read or written). */
gboolean tl_checked_vfs_is_checked (sqlite3 *handle);
/* The last page that did not verify on this connection, from 1; 0: none. */
guint32 tl_checked_vfs_bad_page (sqlite3 *handle);
/* Keeps the record of the log's end from now on; borrowed until the connection is closed. One connection: the writer.
 */
void tl_checked_vfs_keep_end (sqlite3 *handle, TlLogEnd *end);
/* Reads page `number` from the database file as it is now, past the log, into page (page_size bytes). SQLITE_OK,
 * SQLITE_IOERR_SHORT_READ (beyond the end), SQLITE_IOERR_DATA (does not verify; page is filled) or another error. */
int tl_checked_vfs_read_page (sqlite3 *handle, guint32 number, guint8 *page, gsize page_size);

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <unistd.h>

#include "base/tl-log.h"

/* The store's thread: batches, savepoints, group commit, and what has to be on disk within a second. */

/* Operations of one transaction. More would not make them cheaper, but keep those that come after waiting. */
#define MAX_BATCH 32
/* Writes that are not durable are synced this long after the first of them: with the sync itself inside the promised
 * second. */
#define SYNC_DELAY_US ((gint64)800 * 1000)
/* The log is moved into the database when it is this long (16 MB), after the answers went out. */
#define CHECKPOINT_FRAMES 4000
/* A checkpoint that an administrator's reader holds up, or a failed sync, is tried again. */
#define RETRY_DELAY_US ((gint64)5 * 1000 * 1000)

static void
run_operation (TlStore *store, TlStoreOperation *operation)
{
  TlDatabase *db = store->db;
  gint64 before = sqlite3_total_changes64 (db->handle);

  if (!operation->run (operation, db, &operation->error))
    g_assert (operation->error != NULL);
  if (tl_error_is (operation->error, TL_ERROR_CORRUPT))
    tl_store_note_damage (store, operation->error);
  operation->changed = sqlite3_total_changes64 (db->handle) != before;
}

/* Runs one operation so that its failure leaves the others alone. FALSE: the disk failed, the batch is lost. */
static gboolean
run_in_savepoint (TlStore *store, TlStoreOperation *operation, GError **error)
{
  TlDatabase *db = store->db;

  if (operation->access == TL_STORE_READ)
    run_operation (store, operation);
  else
    {
      guint staged = db->admission != NULL ? tl_admission_log_mark (db->admission) : 0;

      if (!tl_database_run (db, NULL, error, "SAVEPOINT operation"))
        return FALSE;
      run_operation (store, operation);
      if (operation->error != NULL ? !operation->keep_changes && !tl_database_is_disk_error (operation->error)
                                   : operation->discard_changes)
        {
          operation->changed = FALSE;
          tl_store_journal_forget_head (db);
          if (db->admission != NULL)
            tl_admission_log_reset (db->admission, staged);
          if (!tl_database_run (db, NULL, error, "ROLLBACK TO operation"))
            return FALSE;
        }
    }

  if (operation->error != NULL && tl_database_is_disk_error (operation->error))
    {
      g_propagate_error (error, g_error_copy (operation->error));
      return FALSE;
    }
  return operation->access == TL_STORE_READ || tl_database_run (db, NULL, error, "RELEASE operation");
}

static gboolean
set_synchronous (TlStore *store, gboolean full, GError **error)
{
  if (store->full_sync == full)
    return TRUE;
  if (!tl_database_exec (store->db, full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", error))
    return FALSE;
  store->full_sync = full;
  return TRUE;
}

static gboolean
run_transaction (TlStore *store, GPtrArray *batch, GError **error)
{
  TlDatabase *db = store->db;

  if (!tl_database_run (db, NULL, error, "BEGIN IMMEDIATE"))
    return FALSE;
  for (guint i = 0; i < batch->len; i++)
    {
      if (!run_in_savepoint (store, batch->pdata[i], error))
        return FALSE;
    }
  /* The log first: what it is ahead of the store is made up for at the next start (PROTOCOL 4.4). */
  if (db->admission != NULL && !tl_admission_log_flush (db->admission, error))
    return FALSE;
  if (!tl_database_run (db, NULL, error, "COMMIT"))
    {
      /* A failed sync leaves it open whether the commit is there after a crash; a failed write does not. */
      if (db->admission != NULL && !tl_error_is (*error, TL_ERROR_READ_ONLY)
          && sqlite3_extended_errcode (db->handle) != SQLITE_IOERR_WRITE)
        tl_admission_log_abandon (db->admission);
      return FALSE;
    }
  if (db->admission != NULL)
    tl_admission_log_commit (db->admission);
  return TRUE;
}

static void
end_transaction (TlDatabase *db)
{
  /* After a full disk SQLite may have rolled back itself. */
  if (!sqlite3_get_autocommit (db->handle))
    sqlite3_exec (db->handle, "ROLLBACK", NULL, NULL, NULL);
  if (db->admission != NULL)
    tl_admission_log_roll_back (db->admission);
}

static void
roll_back (TlDatabase *db)
{
  tl_store_journal_forget_head (db);
  end_transaction (db);
}

/* Reads see one snapshot. */
static void
run_reads (TlStore *store, GPtrArray *batch)
{
  TlDatabase *db = store->db;
  g_autoptr (GError) error = NULL;
  gboolean ok = tl_database_run (db, NULL, &error, "BEGIN");

  for (guint i = 0; i < batch->len; i++)
    {
      TlStoreOperation *operation = batch->pdata[i];

      if (operation->access != TL_STORE_READ)
        continue;
      tl_store_operation_clear (operation);
      if (ok)
        run_operation (store, operation);
      else
        operation->error = g_error_copy (error);
    }
  end_transaction (db);
}

static void
schedule_housekeeping (TlStore *store, gint64 delay_us)
{
  if (store->housekeeping_due < 0)
    store->housekeeping_due = g_get_monotonic_time () + delay_us;
}

static void
note_committed (TlStore *store, GPtrArray *batch, gboolean durable)
{
  gboolean changed = FALSE;
  gboolean news = FALSE;

  for (guint i = 0; i < batch->len; i++)
    {
      const TlStoreOperation *operation = batch->pdata[i];

      changed = changed || operation->changed;
      news = news || (operation->changed && !operation->heartbeat);
    }

  /* Only a commit that wrote something proves that the disk takes writes. */
  if (changed)
    atomic_store (&store->writable, TRUE);
  if (news)
    atomic_fetch_add (&store->generation, 1);
  if (changed && durable)
    store->unsynced = FALSE;
  else if (changed)
    store->unsynced = TRUE;
  if (store->unsynced || store->db->erase_pending)
    schedule_housekeeping (store, SYNC_DELAY_US);
}

static void
run_writes (TlStore *store, GPtrArray *batch, gboolean durable)
{
  g_autoptr (GError) error = NULL;

  if (set_synchronous (store, durable, &error) && run_transaction (store, batch, &error))
    {
      note_committed (store, batch, durable);
      return;
    }

  roll_back (store->db);
  atomic_store (&store->writable, FALSE);
  if (tl_error_is (error, TL_ERROR_CORRUPT))
    tl_store_note_damage (store, error);
  for (guint i = 0; i < batch->len; i++)
    {
      TlStoreOperation *operation = batch->pdata[i];

      tl_store_operation_clear (operation);
      if (operation->access != TL_STORE_READ)
        operation->error = g_error_copy (error);
    }
  run_reads (store, batch);
}

/* Hands the batch to the main context; wakes those that wait for single operations. */
static void
finish_batch (TlStore *store, GPtrArray *batch)
{
  GPtrArray *answers = g_ptr_array_new_full (batch->len, (GDestroyNotify)tl_store_operation_free);

  pthread_mutex_lock (&store->mutex);
  for (guint i = 0; i < batch->len; i++)
    {
      TlStoreOperation *operation = batch->pdata[i];

      if (operation->waited)
        operation->done = TRUE; /* not ours any more once the mutex is free */
      else
        g_ptr_array_add (answers, operation);
    }
  pthread_cond_broadcast (&store->finished);
  pthread_mutex_unlock (&store->mutex);

  if (answers->len > 0)
    tl_queue_push (store->batches, answers);
  else
    g_ptr_array_unref (answers);
}

static void
run_batch (TlStore *store, gpointer *items, guint n)
{
  g_autoptr (GPtrArray) batch = g_ptr_array_sized_new (n);
  gboolean writes = FALSE;
  gboolean durable = FALSE;

  for (guint i = 0; i < n; i++)
    {
      TlStoreOperation *operation = items[i];

      g_ptr_array_add (batch, operation);
      writes = writes || operation->access != TL_STORE_READ;
      durable = durable || operation->access == TL_STORE_WRITE_DURABLE;
    }

  if (writes)
    run_writes (store, batch, durable);
  else
    run_reads (store, batch);
  finish_batch (store, batch);
}

static gboolean
sync_wal (TlDatabase *db, GError **error)
{
  sqlite3_file *wal = NULL;

  if (sqlite3_file_control (db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) != SQLITE_OK || wal == NULL
      || wal->pMethods == NULL)
    return TRUE; /* nothing was written since the last checkpoint */
  if (wal->pMethods->xSync (wal, SQLITE_SYNC_NORMAL) == SQLITE_OK)
    return TRUE;

  g_set_error (error, TL_ERROR, TL_ERROR_IO, "the store %s could not be synced to disk", db->path);
  return FALSE;
}

/* Moves the log into the database and, with TRUNCATE, empties it, so that erased secrets are not left in old frames.
 * FALSE with error: the disk failed; *done FALSE: a reader of another process is in the way. */
static gboolean
checkpoint (TlDatabase *db, int mode, gboolean *done, GError **error)
{
  int rc = sqlite3_wal_checkpoint_v2 (db->handle, NULL, mode, NULL, NULL);

  *done = rc == SQLITE_OK;
  if (*done)
    db->log_frames = 0;
  if (rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY)
    return TRUE;
  tl_database_set_error (db, error);
  return FALSE;
}

static void
keep_house (TlStore *store)
{
  g_autoptr (GError) error = NULL;
  TlDatabase *db = store->db;
  gboolean done = TRUE;
  gboolean ok = !store->unsynced || sync_wal (db, &error);

  if (ok)
    store->unsynced = FALSE;
  if (ok && (db->erase_pending || store->checkpoint_due))
    ok = checkpoint (db, db->erase_pending ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &done, &error);
  if (ok && done)
    db->erase_pending = store->checkpoint_due = FALSE;

  store->housekeeping_due = -1;
  if (!ok)
    {
      atomic_store (&store->writable, FALSE);
      tl_log_error (TL_LOG_ERROR, "store", error); /* nobody is waiting for this answer */
      if (tl_error_is (error, TL_ERROR_CORRUPT))
        tl_store_note_damage (store, error);
    }
  if (!ok || !done)
    schedule_housekeeping (store, RETRY_DELAY_US);
}

static void
close_database (TlStore *store)
{
  g_autofree char *end_path = g_strconcat (store->database_path, TL_LOG_END_SUFFIX, NULL);
  g_autoptr (GError) error = NULL;
  gboolean done;

  if (!checkpoint (store->db, SQLITE_CHECKPOINT_TRUNCATE, &done, &error))
    tl_log_error (TL_LOG_WARNING, "store", error);
  g_clear_pointer (&store->db, tl_database_free);
  if (error == NULL && done)
    unlink (end_path); /* with the log goes the record of its end */
}

void *
tl_store_thread (void *data)
{
  TlStore *store = data;
  gboolean closed = FALSE;

  while (!closed)
    {
      guint n = 0;
      g_autofree gpointer *items = tl_queue_wait_until (store->operations, store->housekeeping_due, &n, &closed);

      for (guint first = 0; first < n; first += MAX_BATCH)
        run_batch (store, items + first, MIN (n - first, MAX_BATCH));
      if (store->db->log_frames >= CHECKPOINT_FRAMES && !store->checkpoint_due)
        {
          store->checkpoint_due = TRUE;
          store->housekeeping_due = g_get_monotonic_time ();
        }
      if (store->housekeeping_due >= 0 && g_get_monotonic_time () >= store->housekeeping_due)
        keep_house (store);
    }
  close_database (store);
  return NULL;
}

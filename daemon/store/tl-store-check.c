/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/tl-log.h"
#include "daemon/store/tl-checked-vfs.h"
#include "daemon/store/tl-page-sum.h"

/* All pages of the database: that each carries its checksum, and that they make up a database. Beside the store's
 * thread, which goes on writing. */

#define CHECK_INTERVAL_S (24 * 3600)
#define CHECK_NICENESS   10
/* A checkpoint may be writing the very page: read again before it counts. */
#define REREAD_TRIES      5
#define REREAD_DELAY_US   20000
#define PAUSE_EVERY_PAGES 1024
#define PAUSE_US          2000
/* The page that SQLite locks bytes in; it holds nothing and is never written. */
#define LOCK_BYTE_OFFSET 0x40000000

/* ---- ending it early ---- */

void
tl_check_control_init (TlCheckControl *control)
{
  atomic_init (&control->cancelled, FALSE);
  pthread_mutex_init (&control->mutex, NULL);
  control->handle = NULL;
}

void
tl_check_control_clear (TlCheckControl *control)
{
  pthread_mutex_destroy (&control->mutex);
}

void
tl_check_control_cancel (TlCheckControl *control)
{
  pthread_mutex_lock (&control->mutex);
  atomic_store (&control->cancelled, TRUE);
  if (control->handle != NULL)
    sqlite3_interrupt (control->handle); /* the check of one table may take seconds */
  pthread_mutex_unlock (&control->mutex);
}

static gboolean
is_cancelled (TlCheckControl *control)
{
  return control != NULL && atomic_load (&control->cancelled);
}

static void
set_handle (TlCheckControl *control, sqlite3 *handle)
{
  if (control == NULL)
    return;
  pthread_mutex_lock (&control->mutex);
  control->handle = handle;
  pthread_mutex_unlock (&control->mutex);
}

/* ---- pages ---- */

static gboolean
is_hole (const guint8 *page, gsize page_size)
{
  return page[0] == 0 && memcmp (page, page + 1, page_size - 1) == 0;
}

/* SQLITE_OK also for a page that no checkpoint has written yet: its contents are in the log. */
static int
check_page (TlDatabase *db, guint32 number, guint8 *page, gsize page_size)
{
  int rc = SQLITE_OK;

  for (guint try = 0; try < REREAD_TRIES; try++)
    {
      rc = tl_checked_vfs_read_page (db->handle, number, page, page_size);
      if (rc != SQLITE_IOERR_DATA || is_hole (page, page_size))
        return rc == SQLITE_IOERR_DATA ? SQLITE_OK : rc;
      g_usleep (REREAD_DELAY_US);
    }
  return rc;
}

static gboolean
check_pages (TlDatabase *db, TlCheckControl *control, guint64 *pages, GError **error)
{
  g_autofree char *text = NULL;
  g_autofree guint8 *page = NULL;
  gsize page_size;
  guint32 number = 1;
  int rc = SQLITE_OK;

  if (!tl_database_text (db, "PRAGMA page_size", &text, error))
    return FALSE;
  page_size = (gsize)g_ascii_strtoull (text, NULL, 10);
  page = g_malloc (page_size);
  for (; !is_cancelled (control); number++)
    {
      if (number != LOCK_BYTE_OFFSET / page_size + 1)
        rc = check_page (db, number, page, page_size);
      if (rc != SQLITE_OK)
        break;
      if (number % PAUSE_EVERY_PAGES == 0)
        g_usleep (PAUSE_US);
    }
  *pages = number - 1;
  if (rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ)
    return TRUE;
  if (rc == SQLITE_IOERR_DATA)
    g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT,
                 "the store %s is damaged: page %u does not carry its checksum; restore a backup, or see twinlatchd(8),"
                 " DAMAGED STORE",
                 db->path, number);
  else
    g_set_error (error, TL_ERROR, TL_ERROR_IO, "page %u of the store %s cannot be read: %s", number, db->path,
                 sqlite3_errstr (rc));
  return FALSE;
}

/* ---- structure ---- */

static GPtrArray *
list_tables (TlDatabase *db, GError **error)
{
  tl_query_auto query
      = tl_database_query (db, error, "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0");
  g_autoptr (GPtrArray) tables = g_ptr_array_new_with_free_func (g_free);
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      if (!row)
        return g_steal_pointer (&tables);
      g_ptr_array_add (tables, tl_column_text (query, 0));
    }
  return NULL;
}

static gboolean
check_table (TlDatabase *db, const char *table, TlCheckControl *control, GError **error)
{
  g_autofree char *sql = g_strdup_printf ("PRAGMA quick_check (%s)", table);
  g_autofree char *verdict = NULL;
  g_autoptr (GError) problem = NULL;

  if (!tl_database_text (db, sql, &verdict, &problem))
    {
      if (is_cancelled (control))
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&problem));
      return FALSE;
    }
  if (g_strcmp0 (verdict, "ok") == 0 || is_cancelled (control))
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT,
               "the store %s is damaged: table %s: %s; restore a backup, or see twinlatchd(8), DAMAGED STORE", db->path,
               table, verdict);
  return FALSE;
}

/* Table by table: a long transaction would keep the log from being emptied, and erased secrets in it. */
static gboolean
check_structure (TlDatabase *db, TlCheckControl *control, GError **error)
{
  g_autoptr (GPtrArray) tables = list_tables (db, error);

  if (tables == NULL)
    return FALSE;
  for (guint i = 0; i < tables->len && !is_cancelled (control); i++)
    {
      if (!check_table (db, tables->pdata[i], control, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
tl_store_check_all (const char *path, TlCheckControl *control, guint64 *pages, GError **error)
{
  g_autoptr (TlDatabase) db = tl_database_new (path, SQLITE_OPEN_READONLY, error);
  gboolean ok;

  if (db == NULL)
    return FALSE;
  set_handle (control, db->handle);
  ok = check_pages (db, control, pages, error) && check_structure (db, control, error);
  set_handle (control, NULL);
  return ok;
}

/* ---- the thread ---- */

const char *
tl_store_check_verdict_to_string (TlStoreCheckVerdict verdict)
{
  switch (verdict)
    {
    case TL_STORE_CHECK_RUNNING:
      return "running";
    case TL_STORE_CHECK_GOOD:
      return "good";
    case TL_STORE_CHECK_DAMAGED:
      return "damaged";
    case TL_STORE_CHECK_FAILED:
      return "failed";
    }
  return "unknown";
}

void
tl_store_check_clear (TlStoreCheck *check)
{
  g_clear_pointer (&check->problem, g_free);
}

void
tl_store_get_check (TlStore *store, TlStoreCheck *check)
{
  pthread_mutex_lock (&store->check_mutex);
  *check = store->check;
  check->problem = g_strdup (store->check.problem);
  pthread_mutex_unlock (&store->check_mutex);
}

/* Damage stays: what was read since then may be wrong as well. */
static void
set_verdict (TlStore *store, TlStoreCheckVerdict verdict, const GError *error)
{
  pthread_mutex_lock (&store->check_mutex);
  if (store->check.verdict != TL_STORE_CHECK_DAMAGED)
    {
      g_free (store->check.problem);
      store->check.problem = error != NULL ? g_strdup (error->message) : NULL;
      store->check.verdict = verdict;
    }
  pthread_mutex_unlock (&store->check_mutex);
}

void
tl_store_note_damage (TlStore *store, const GError *error)
{
  set_verdict (store, TL_STORE_CHECK_DAMAGED, error);
}

static void
check_once (TlStore *store)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_strdup (store->database_path);
  guint64 pages = 0;
  gboolean ok = tl_store_check_all (path, &store->check_control, &pages, &error);

  if (is_cancelled (&store->check_control))
    return;
  if (ok)
    set_verdict (store, TL_STORE_CHECK_GOOD, NULL);
  else if (tl_error_is (error, TL_ERROR_CORRUPT))
    tl_store_note_damage (store, error);
  else
    {
      set_verdict (store, TL_STORE_CHECK_FAILED, error);
      tl_log_error (TL_LOG_WARNING, "the store could not be checked", error);
    }
  pthread_mutex_lock (&store->check_mutex);
  store->check.finished_at = g_get_real_time () / 1000;
  store->check.pages = pages;
  pthread_mutex_unlock (&store->check_mutex);
}

void *
tl_store_check_thread (void *data)
{
  TlStore *store = data;

  setpriority (PRIO_PROCESS, (id_t)syscall (SYS_gettid), CHECK_NICENESS); /* of this thread alone, on Linux */
  while (!is_cancelled (&store->check_control))
    {
      struct timespec until;

      check_once (store);
      clock_gettime (CLOCK_MONOTONIC, &until);
      until.tv_sec += CHECK_INTERVAL_S;
      pthread_mutex_lock (&store->check_mutex);
      while (!is_cancelled (&store->check_control)
             && pthread_cond_timedwait (&store->check_wake, &store->check_mutex, &until) == 0)
        ;
      pthread_mutex_unlock (&store->check_mutex);
    }
  return NULL;
}

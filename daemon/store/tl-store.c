/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/tl-file.h"

/* ---- operations ---- */

TlStoreOperation *
tl_store_operation_new (TlStoreRun run, TlStoreAccess access, GDestroyNotify free_result)
{
  TlStoreOperation *operation = g_new0 (TlStoreOperation, 1);

  operation->run = run;
  operation->access = access;
  operation->free_result = free_result;
  return operation;
}

void
tl_store_operation_clear (TlStoreOperation *operation)
{
  if (operation->result != NULL && operation->free_result != NULL)
    operation->free_result (operation->result);
  operation->result = NULL;
  g_clear_error (&operation->error);
  operation->keep_changes = FALSE;
  operation->discard_changes = FALSE;
  operation->changed = FALSE;
}

void
tl_store_operation_free (TlStoreOperation *operation)
{
  if (operation == NULL)
    return;

  tl_store_operation_clear (operation);
  if (operation->record != NULL && operation->free_record != NULL)
    operation->free_record (operation->record);
  g_clear_pointer (&operation->bytes, g_bytes_unref);
  g_free (operation->id);
  g_free (operation->device_id);
  g_free (operation->actor);
  g_free (operation->reason);
  g_free (operation->token);
  g_free (operation->event_id);
  g_free (operation->type);
  g_free (operation->data);
  g_free (operation->failure);
  g_free (operation);
}

static void
set_closing_error (GError **error)
{
  g_set_error_literal (error, TL_ERROR, TL_ERROR_UNAVAILABLE, "the gateway is shutting down; try again later");
}

void
tl_store_submit (TlStore *store, TlStoreOperation *operation, TlStoreCallback callback, gpointer user_data)
{
  operation->callback = callback;
  operation->user_data = user_data;
  store->submitted++;
  if (store->closing)
    {
      GPtrArray *batch = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_store_operation_free);

      set_closing_error (&operation->error);
      g_ptr_array_add (batch, operation);
      tl_queue_push (store->batches, batch);
      return;
    }
  tl_queue_push (store->operations, operation);
}

gboolean
tl_store_run_sync (TlStore *store, TlStoreOperation *operation, gpointer *result, GError **error)
{
  gboolean ok;

  g_assert (!store->closing);
  operation->waited = TRUE;
  tl_queue_push (store->operations, operation);
  pthread_mutex_lock (&store->mutex);
  while (!operation->done)
    pthread_cond_wait (&store->finished, &store->mutex);
  pthread_mutex_unlock (&store->mutex);

  ok = operation->error == NULL;
  if (!ok)
    g_propagate_error (error, g_steal_pointer (&operation->error));
  else if (result != NULL)
    *result = g_steal_pointer (&operation->result);
  tl_store_operation_free (operation);
  return ok;
}

/* ---- main ---- */

static void
deliver (gpointer *items, guint n, gpointer user_data)
{
  TlStore *store = user_data;

  for (guint i = 0; i < n; i++)
    {
      g_autoptr (GPtrArray) batch = items[i];

      for (guint j = 0; j < batch->len; j++)
        {
          TlStoreOperation *operation = batch->pdata[j];

          if (operation->callback != NULL)
            operation->callback (operation->error, operation->error == NULL ? operation->result : NULL,
                                 operation->user_data);
          store->completed++;
        }
    }
}

/* A lock on the directory itself needs no file, so refusing a newer version changes nothing; the kernel lets go of it.
 * Other programs can still read the database with `sqlite3`. */
static int
lock_directory (const char *directory, GError **error)
{
  int fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd < 0)
    {
      tl_error_set_errno (error, errno, "cannot open the state directory %s", directory);
      return -1;
    }
  if (flock (fd, LOCK_EX | LOCK_NB) == 0)
    return fd;

  if (errno == EWOULDBLOCK)
    g_set_error (error, TL_ERROR, TL_ERROR_IN_USE, "another gateway uses the store in %s; stop it first", directory);
  else
    tl_error_set_errno (error, errno, "cannot lock the state directory %s", directory);
  close (fd);
  return -1;
}

static pthread_t
start_thread (TlStore *store, void *(*entry) (void *))
{
  sigset_t all, before;
  pthread_t thread;
  int rc;

  /* Signals are the main context's. */
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  rc = pthread_create (&thread, NULL, entry, store);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  if (rc != 0)
    g_error ("cannot start a thread of the store: %s", g_strerror (rc));
  return thread;
}

static void
start_check (TlStore *store)
{
  pthread_condattr_t attributes;

  tl_check_control_init (&store->check_control);
  pthread_mutex_init (&store->check_mutex, NULL);
  pthread_condattr_init (&attributes);
  pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
  pthread_cond_init (&store->check_wake, &attributes);
  pthread_condattr_destroy (&attributes);
  store->check_thread = start_thread (store, tl_store_check_thread);
}

static void
stop_check (TlStore *store)
{
  pthread_mutex_lock (&store->check_mutex);
  tl_check_control_cancel (&store->check_control);
  pthread_cond_signal (&store->check_wake);
  pthread_mutex_unlock (&store->check_mutex);
  pthread_join (store->check_thread, NULL);
}

TlStore *
tl_store_open (const char *directory, GMainContext *context, GError **error)
{
  return tl_store_open_with (directory, TL_STORE_OPEN_NORMAL, context, error);
}

TlStore *
tl_store_open_with (const char *directory, TlStoreOpenFlags flags, GMainContext *context, GError **error)
{
  TlStore *store;
  TlDatabase *db;
  int fd = lock_directory (directory, error);

  if (fd < 0)
    return NULL;
  db = tl_database_open (directory, flags, error);
  if (db == NULL)
    {
      close (fd);
      return NULL;
    }

  store = g_new0 (TlStore, 1);
  store->database_path = g_strdup (db->path);
  store->path = g_strdup (directory);
  store->directory = fd;
  store->db = db;
  store->full_sync = TRUE; /* tl_database_open() left it so */
  store->housekeeping_due = -1;
  store->context = context != NULL ? g_main_context_ref (context) : g_main_context_ref_thread_default ();
  store->operations = tl_queue_new ((GDestroyNotify)tl_store_operation_free);
  store->batches = tl_queue_new_for_context (store->context, deliver, store, (GDestroyNotify)g_ptr_array_unref);
  atomic_init (&store->writable, TRUE);
  atomic_init (&store->generation, 0);
  pthread_mutex_init (&store->mutex, NULL);
  pthread_cond_init (&store->finished, NULL);
  store->thread = start_thread (store, tl_store_thread);
  start_check (store);
  return store;
}

void
tl_store_flush (TlStore *store)
{
  guint64 target = store->submitted;

  while (store->completed < target)
    g_main_context_iteration (store->context, TRUE);
}

void
tl_store_close (TlStore *store)
{
  if (store == NULL)
    return;

  store->closing = TRUE;
  stop_check (store); /* its connection would keep the log from being emptied */
  tl_queue_close (store->operations);
  while (store->completed < store->submitted)
    g_main_context_iteration (store->context, TRUE);
  pthread_join (store->thread, NULL);
  tl_queue_close (store->batches);

  tl_queue_unref (store->operations);
  tl_queue_unref (store->batches);
  pthread_cond_destroy (&store->finished);
  pthread_mutex_destroy (&store->mutex);
  pthread_cond_destroy (&store->check_wake);
  pthread_mutex_destroy (&store->check_mutex);
  tl_check_control_clear (&store->check_control);
  tl_store_check_clear (&store->check);
  g_main_context_unref (store->context);
  close (store->directory);
  g_free (store->path);
  g_free (store->database_path);
  g_free (store);
}

gboolean
tl_store_is_writable (TlStore *store)
{
  return atomic_load (&store->writable);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/tl-secret-store.h"

#include <string.h>

#include "base/tl-error.h"
#include "identity/tl-secret-store-private.h"

#define NAME_MAX_LENGTH 64

typedef enum
{
  OPERATION_LOOKUP,
  OPERATION_STORE,
  OPERATION_DELETE,
} OperationKind;

typedef struct
{
  TlSecretStore *store;
  OperationKind kind;
  char *name;
  TlSecret *value;
} Operation;

static void
operation_free (Operation *operation)
{
  tl_secret_store_unref (operation->store);
  g_free (operation->name);
  g_clear_pointer (&operation->value, tl_secret_unref);
  g_free (operation);
}

void
tl_secret_store_init (TlSecretStore *store, const TlSecretStoreBackend *backend, gboolean encrypted)
{
  store->backend = backend;
  store->encrypted = encrypted;
  g_atomic_ref_count_init (&store->references);
  pthread_mutex_init (&store->lock, NULL);
  g_queue_init (&store->pending);
}

TlSecretStore *
tl_secret_store_ref (TlSecretStore *store)
{
  g_atomic_ref_count_inc (&store->references);
  return store;
}

void
tl_secret_store_unref (TlSecretStore *store)
{
  if (store == NULL || !g_atomic_ref_count_dec (&store->references))
    return;
  pthread_mutex_destroy (&store->lock);
  store->backend->finalize (store);
}

gboolean
tl_secret_store_is_encrypted (TlSecretStore *store)
{
  return store->encrypted;
}

/* Names become file names and keyring attributes: nothing that could leave the directory. */
static gboolean
check_name (const char *name, GError **error)
{
  gsize length = name != NULL ? strlen (name) : 0;
  gboolean good = length > 0 && length <= NAME_MAX_LENGTH && name[0] != '.' && name[0] != '-'
                  && strspn (name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == length;

  if (!good)
    g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                         "name of a secret must be 1 to 64 of a-z, 0-9, '.' and '-', with a letter or digit first");
  return good;
}

static gboolean
check_operation (const Operation *operation, GError **error)
{
  if (!check_name (operation->name, error))
    return FALSE;
  if (operation->value == NULL || tl_secret_length (operation->value) <= TL_SECRET_STORE_MAX_VALUE)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
               "secret \"%s\" has %" G_GSIZE_FORMAT " bytes, %u are allowed", operation->name,
               tl_secret_length (operation->value), TL_SECRET_STORE_MAX_VALUE);
  return FALSE;
}

/* GTask hands results over under GLib's own locks, which ThreadSanitizer cannot see; passing through the store's lock
 * on both sides makes the order of worker and caller visible to it. */
static void
synchronise (TlSecretStore *store)
{
  pthread_mutex_lock (&store->lock);
  pthread_mutex_unlock (&store->lock);
}

static void
run_operation (GTask *task)
{
  Operation *operation = g_task_get_task_data (task);
  TlSecretStore *store = operation->store;
  TlSecret *found = NULL;
  GError *error = NULL;

  if (g_cancellable_set_error_if_cancelled (g_task_get_cancellable (task), &error))
    {
      g_task_return_error (task, error);
      return;
    }
  switch (operation->kind)
    {
    case OPERATION_LOOKUP:
      found = store->backend->lookup (store, operation->name, &error);
      break;
    case OPERATION_STORE:
      store->backend->save (store, operation->name, operation->value, &error);
      break;
    case OPERATION_DELETE:
      store->backend->remove (store, operation->name, &error);
      break;
    }
  synchronise (store);
  if (error != NULL)
    g_task_return_error (task, error);
  else if (operation->kind == OPERATION_LOOKUP)
    g_task_return_pointer (task, found, (GDestroyNotify)tl_secret_unref);
  else
    g_task_return_boolean (task, TRUE);
}

static gpointer
work (gpointer data)
{
  TlSecretStore *store = data;

  for (;;)
    {
      pthread_mutex_lock (&store->lock);
      GTask *task = g_queue_pop_head (&store->pending);
      store->working = task != NULL;
      pthread_mutex_unlock (&store->lock);
      if (task == NULL)
        break;
      run_operation (task);
      g_object_unref (task);
    }
  tl_secret_store_unref (store);
  return NULL;
}

/* A queue and one short-lived thread instead of g_task_run_in_thread(): GLib's pool runs tasks of one store side by
 * side and in any order, so that of two values stored under one name the older could win. */
static void
enqueue (TlSecretStore *store, GTask *task_taken)
{
  pthread_mutex_lock (&store->lock);
  g_queue_push_tail (&store->pending, task_taken);
  gboolean start = !store->working;
  store->working = TRUE;
  pthread_mutex_unlock (&store->lock);
  if (!start)
    return;

  tl_secret_store_ref (store);
  GThread *thread = g_thread_try_new ("tl-secret-store", work, store, NULL);
  if (thread != NULL)
    g_thread_unref (thread);
  else
    work (store); /* out of threads: late is better than never */
}

static void
submit (TlSecretStore *store, OperationKind kind, const char *name, TlSecret *value, GCancellable *cancellable,
        GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Operation *operation = g_new0 (Operation, 1);
  GError *error = NULL;

  operation->store = tl_secret_store_ref (store);
  operation->kind = kind;
  operation->name = g_strdup (name);
  operation->value = value != NULL ? tl_secret_ref (value) : NULL;
  g_task_set_task_data (task, operation, (GDestroyNotify)operation_free);
  g_task_set_source_tag (task, (gpointer)submit);
  /* What was written is reported as written, even when somebody cancels a moment later. */
  g_task_set_check_cancellable (task, FALSE);
  if (check_operation (operation, &error))
    enqueue (store, g_steal_pointer (&task));
  else
    g_task_return_error (task, error);
}

static gboolean
is_result_of (TlSecretStore *store, GAsyncResult *result, OperationKind kind)
{
  if (!g_task_is_valid (result, NULL) || g_task_get_source_tag (G_TASK (result)) != (gpointer)submit)
    return FALSE;
  Operation *operation = g_task_get_task_data (G_TASK (result));
  return operation->store == store && operation->kind == kind;
}

void
tl_secret_store_lookup_async (TlSecretStore *store, const char *name, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data)
{
  submit (store, OPERATION_LOOKUP, name, NULL, cancellable, callback, user_data);
}

TlSecret *
tl_secret_store_lookup_finish (TlSecretStore *store, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (is_result_of (store, result, OPERATION_LOOKUP), NULL);
  synchronise (store);
  return g_task_propagate_pointer (G_TASK (result), error);
}

void
tl_secret_store_store_async (TlSecretStore *store, const char *name, TlSecret *value, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data)
{
  submit (store, OPERATION_STORE, name, value, cancellable, callback, user_data);
}

gboolean
tl_secret_store_store_finish (TlSecretStore *store, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (is_result_of (store, result, OPERATION_STORE), FALSE);
  return g_task_propagate_boolean (G_TASK (result), error);
}

void
tl_secret_store_delete_async (TlSecretStore *store, const char *name, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data)
{
  submit (store, OPERATION_DELETE, name, NULL, cancellable, callback, user_data);
}

gboolean
tl_secret_store_delete_finish (TlSecretStore *store, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (is_result_of (store, result, OPERATION_DELETE), FALSE);
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
on_sync_ready (GObject *source, GAsyncResult *result, gpointer user_data)
{
  (void)source;
  *(GAsyncResult **)user_data = g_object_ref (result);
}

static GAsyncResult *
run_sync (TlSecretStore *store, OperationKind kind, const char *name, TlSecret *value)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  GAsyncResult *result = NULL;

  g_main_context_push_thread_default (context);
  submit (store, kind, name, value, NULL, on_sync_ready, &result);
  while (result == NULL)
    g_main_context_iteration (context, TRUE);
  g_main_context_pop_thread_default (context);
  return result;
}

TlSecret *
tl_secret_store_lookup_sync (TlSecretStore *store, const char *name, GError **error)
{
  g_autoptr (GAsyncResult) result = run_sync (store, OPERATION_LOOKUP, name, NULL);

  return tl_secret_store_lookup_finish (store, result, error);
}

gboolean
tl_secret_store_store_sync (TlSecretStore *store, const char *name, TlSecret *value, GError **error)
{
  g_autoptr (GAsyncResult) result = run_sync (store, OPERATION_STORE, name, value);

  return tl_secret_store_store_finish (store, result, error);
}

gboolean
tl_secret_store_delete_sync (TlSecretStore *store, const char *name, GError **error)
{
  g_autoptr (GAsyncResult) result = run_sync (store, OPERATION_DELETE, name, NULL);

  return tl_secret_store_delete_finish (store, result, error);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-runtime-snapshot.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-log.h"
#include "base/tl-queue.h"
#include "daemon/tl-inventory.h"

/* A snapshot of ten thousand nodes takes a while: at most a twentieth of one core goes into it. */
#define REST_FACTOR 20

struct _TlRuntimeSnapshot
{
  char *state_dir, *path, *gateway_id;
  TlClock *clock;
  pthread_t thread;
  TlQueue *wishes; /* main -> thread; the items say nothing */

  pthread_mutex_t mutex;
  TlRuntimeSnapshotStatus status; /* under the mutex */
};

/* ---- its thread ---- */

static void
note (TlRuntimeSnapshot *self, gsize length, gint64 now, const GError *error)
{
  gboolean first;

  pthread_mutex_lock (&self->mutex);
  first = error != NULL && self->status.error == NULL;
  g_clear_pointer (&self->status.error, g_free);
  if (error != NULL)
    self->status.error = g_strdup (error->message);
  else
    {
      self->status.bytes = length;
      self->status.written_at = now;
    }
  pthread_mutex_unlock (&self->mutex);
  if (first)
    tl_log_error (TL_LOG_WARNING, "writing the snapshot of the inventory", error);
}

static void
write_one (TlRuntimeSnapshot *self)
{
  gint64 now = tl_clock_wall_ms (self->clock);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlInventory) inventory = tl_store_read_inventory (self->state_dir, now, &error);
  g_autofree char *text = NULL;
  gsize length = 0;

  if (inventory != NULL)
    text = tl_inventory_to_text (inventory, self->gateway_id, now, &length);
  if (text != NULL)
    tl_file_write_atomic (self->path, text, length, 0600, &error);
  note (self, length, now, error);
}

static void *
run_thread (void *data)
{
  TlRuntimeSnapshot *self = data;
  gint64 earliest = 0; /* monotonic us of the next write */
  gboolean wanted = FALSE, closed = FALSE;

  while (!closed)
    {
      guint n = 0;
      g_autofree gpointer *items = tl_queue_wait_until (self->wishes, wanted ? earliest : -1, &n, &closed);
      gint64 began = g_get_monotonic_time ();

      wanted = wanted || n > 0;
      if (!wanted || (!closed && began < earliest))
        continue;
      write_one (self);
      wanted = FALSE;
      earliest = began + MAX (TL_RUNTIME_SNAPSHOT_INTERVAL_US, REST_FACTOR * (g_get_monotonic_time () - began));
    }
  return NULL;
}

/* ---- main ---- */

TlRuntimeSnapshot *
tl_runtime_snapshot_new (const char *state_dir, const char *gateway_id, TlClock *clock)
{
  TlRuntimeSnapshot *self = g_new0 (TlRuntimeSnapshot, 1);
  sigset_t all, before;
  int rc;

  self->state_dir = g_strdup (state_dir);
  self->path = g_build_filename (state_dir, TL_RUNTIME_SNAPSHOT_FILE, NULL);
  self->gateway_id = g_strdup (gateway_id);
  self->clock = clock;
  self->wishes = tl_queue_new (NULL);
  pthread_mutex_init (&self->mutex, NULL);
  /* Signals are the main context's. */
  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &before);
  rc = pthread_create (&self->thread, NULL, run_thread, self);
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  if (rc != 0)
    g_error ("cannot start the snapshot's thread: %s", g_strerror (rc));
  tl_runtime_snapshot_request (self);
  return self;
}

void
tl_runtime_snapshot_request (TlRuntimeSnapshot *self)
{
  tl_queue_push (self->wishes, self);
}

void
tl_runtime_snapshot_free (TlRuntimeSnapshot *self)
{
  if (self == NULL)
    return;
  tl_runtime_snapshot_request (self);
  tl_queue_close (self->wishes);
  pthread_join (self->thread, NULL);
  tl_queue_unref (self->wishes);
  pthread_mutex_destroy (&self->mutex);
  g_free (self->status.error);
  g_free (self->state_dir);
  g_free (self->path);
  g_free (self->gateway_id);
  g_free (self);
}

void
tl_runtime_snapshot_get_status (TlRuntimeSnapshot *self, TlRuntimeSnapshotStatus *status)
{
  pthread_mutex_lock (&self->mutex);
  *status = self->status;
  status->error = g_strdup (self->status.error);
  pthread_mutex_unlock (&self->mutex);
}

/* ---- import ---- */

static gboolean
import_file (TlStore *store, const char *path, GBytes *bytes, gint64 now, TlRandom *random, GError **error)
{
  gsize length = 0;
  const char *text = g_bytes_get_data (bytes, &length);
  g_autoptr (GError) problem = NULL;
  g_autoptr (TlInventory) inventory = tl_inventory_parse (text, length, now, random, &problem);
  g_autofree char *nodes = NULL;
  g_autofree char *codes = NULL;

  if (inventory == NULL || !tl_store_import_inventory (store, inventory, now, &problem))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT,
                   "cannot import %s: %s; mend it, or move it away to start with an empty inventory", path,
                   problem->message);
      return FALSE;
    }
  nodes = g_strdup_printf ("%u", inventory->nodes->len);
  codes = g_strdup_printf ("%u", inventory->dropped_codes);
  tl_log (TL_LOG_NOTICE, "imported an inventory: its nodes are known, but not paired; each has to pair", "file", path,
          "nodes", nodes, "codes_dropped", codes, NULL);
  return TRUE;
}

/* A meta value that may be absent. */
static gboolean
has_meta (TlStore *store, const char *key, gboolean *has, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *value = tl_store_get_meta (store, key, &local);

  *has = value != NULL;
  if (local == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

static gboolean
put_aside (const char *path, const char *kept, GError **error)
{
  if (rename (path, kept) == 0)
    return TRUE;
  tl_error_set_errno (error, errno, "the inventory is imported, but %s cannot be renamed to %s", path, kept);
  return FALSE;
}

gboolean
tl_runtime_import (TlStore *store, const char *state_dir, gint64 now, TlRandom *random, GError **error)
{
  g_autofree char *path = g_build_filename (state_dir, TL_RUNTIME_SNAPSHOT_FILE, NULL);
  g_autofree char *kept = g_build_filename (state_dir, TL_RUNTIME_SNAPSHOT_IMPORTED, NULL);
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) local = NULL;
  gboolean is_old, is_imported;

  if (!has_meta (store, "gateway_id", &is_old, error) || !has_meta (store, TL_STORE_META_IMPORTED, &is_imported, error))
    return FALSE;
  if (is_old)
    return TRUE;
  bytes = tl_file_read (path, TL_INVENTORY_MAX_BYTES, &local);
  if (bytes == NULL && tl_error_is_not_found (local))
    return TRUE;
  if (bytes == NULL)
    {
      g_propagate_prefixed_error (error, g_steal_pointer (&local), "cannot import %s: ", path);
      return FALSE;
    }
  /* Imported already: an earlier start ended between its commit and what follows. */
  return (is_imported || import_file (store, path, bytes, now, random, error)) && put_aside (path, kept, error);
}

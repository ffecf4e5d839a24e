/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-store-private.h"

/*
 * One log per device (PROTOCOL 4.1): seq from 1 without gaps. Events go from the front only, so what is retained is
 * base_seq + 1 .. latest_seq, and base_id is the id of the last one that is gone.
 */
typedef struct
{
  guint64 latest_seq, acknowledged_seq, base_seq;
  char *base_id;
} EventLog;

static void
event_log_clear (EventLog *log)
{
  g_free (log->base_id);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (EventLog, event_log_clear)

/* A device without events has an empty log. */
static gboolean
load_log (TlDatabase *db, const char *device_id, EventLog *log, GError **error)
{
  tl_query_auto query
      = tl_database_query (db, error,
                           "SELECT latest_seq, acknowledged_seq, base_seq, base_id FROM event_logs WHERE device_id = ?",
                           tl_text (device_id));
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  log->latest_seq = row ? (guint64)sqlite3_column_int64 (query, 0) : 0;
  log->acknowledged_seq = row ? (guint64)sqlite3_column_int64 (query, 1) : 0;
  log->base_seq = row ? (guint64)sqlite3_column_int64 (query, 2) : 0;
  log->base_id = row ? tl_column_text (query, 3) : g_strdup ("");
  return TRUE;
}

/* The id at a seq that is retained, or the last one gone. */
static gboolean
id_at (TlDatabase *db, const char *device_id, const EventLog *log, guint64 seq, char **id, GError **error)
{
  tl_query_auto query = NULL;
  gboolean row;

  if (seq == log->base_seq)
    {
      *id = g_strdup (log->base_id);
      return TRUE;
    }
  query = tl_database_query (db, error, "SELECT id FROM events WHERE device_id = ? AND seq = ?", tl_text (device_id),
                             tl_int ((gint64)seq));
  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  *id = row ? tl_column_text (query, 0) : NULL;
  return TRUE;
}

/* Drops everything up to seq, which is retained. */
static gboolean
drop_events (TlDatabase *db, const char *device_id, guint64 seq, GError **error)
{
  return tl_database_run (db, NULL, error,
                          "UPDATE event_logs SET base_seq = ?2,"
                          " base_id = (SELECT id FROM events WHERE device_id = ?1 AND seq = ?2) WHERE device_id = ?1",
                          tl_text (device_id), tl_int ((gint64)seq))
         && tl_database_run (db, NULL, error, "DELETE FROM events WHERE device_id = ? AND seq <= ?",
                             tl_text (device_id), tl_int ((gint64)seq));
}

/* ---- adding ---- */

static gboolean
next_seq (TlDatabase *db, const char *device_id, guint64 *seq, guint64 *base_seq, GError **error)
{
  tl_query_auto query = tl_database_query (db, error,
                                           "INSERT INTO event_logs (device_id, latest_seq, acknowledged_seq, base_seq,"
                                           " base_id) VALUES (?, 1, 0, 0, '') ON CONFLICT (device_id)"
                                           " DO UPDATE SET latest_seq = latest_seq + 1 RETURNING latest_seq, base_seq",
                                           tl_text (device_id));
  gboolean row;

  if (query == NULL || !tl_database_next (db, query, &row, error))
    return FALSE;
  *seq = (guint64)sqlite3_column_int64 (query, 0);
  *base_seq = (guint64)sqlite3_column_int64 (query, 1);
  return TRUE;
}

TlEventRecord *
tl_store_append_event (TlDatabase *db, const char *device_id, const char *event_id, const char *type, const char *data,
                       gint64 now, GError **error)
{
  TlEventRecord *event;
  guint64 seq, base_seq;

  if (!next_seq (db, device_id, &seq, &base_seq, error)
      || !tl_database_run (db, NULL, error,
                           "INSERT INTO events (device_id, seq, id, time, type, data) VALUES (?, ?, ?, ?, ?, ?)",
                           tl_text (device_id), tl_int ((gint64)seq), tl_text (event_id), tl_int (now), tl_text (type),
                           tl_text (data))
      || (seq - base_seq > TL_STORE_EVENTS_MAX && !drop_events (db, device_id, seq - TL_STORE_EVENTS_MAX, error)))
    return NULL;

  event = g_new0 (TlEventRecord, 1);
  event->seq = seq;
  event->id = g_strdup (event_id);
  event->time = now;
  event->type = g_strdup (type);
  event->data = g_strdup (data);
  return event;
}

static gboolean
run_add_event (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  operation->result = tl_store_append_event (db, operation->device_id, operation->event_id, operation->type,
                                             operation->data, operation->now, error);
  return operation->result != NULL;
}

void
tl_store_add_event (TlStore *store, const char *device_id, const char *event_id, const char *type, const char *data,
                    gint64 now, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_add_event, TL_STORE_WRITE, (GDestroyNotify)tl_event_record_free);

  operation->device_id = g_strdup (device_id);
  operation->event_id = g_strdup (event_id);
  operation->type = g_strdup (type);
  operation->data = g_strdup (data);
  operation->now = now;
  tl_store_submit (store, operation, callback, user_data);
}

/* ---- reading ---- */

static void
event_range_free (TlEventRange *range)
{
  if (range == NULL)
    return;

  g_free (range->oldest_id);
  g_clear_pointer (&range->events, g_ptr_array_unref);
  g_free (range);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlEventRange, event_range_free)

static gboolean
judge_cursor (TlStoreOperation *operation, TlDatabase *db, const EventLog *log, TlCursorKind *kind, GError **error)
{
  g_autofree char *id = NULL;

  if (operation->seq > log->latest_seq)
    *kind = TL_CURSOR_RESET;
  else if (operation->seq < log->base_seq)
    *kind = TL_CURSOR_GAP;
  else if (!id_at (db, operation->device_id, log, operation->seq, &id, error))
    return FALSE;
  else
    *kind = g_strcmp0 (id, operation->event_id) == 0 ? TL_CURSOR_OK : TL_CURSOR_RESET;
  return TRUE;
}

static GPtrArray *
load_events (TlDatabase *db, const char *device_id, guint64 after, guint limit, GError **error)
{
  tl_query_auto query = tl_database_query (db, error,
                                           "SELECT seq, id, time, type, data FROM events WHERE device_id = ?"
                                           " AND seq > ? ORDER BY seq LIMIT ?",
                                           tl_text (device_id), tl_int ((gint64)after), tl_int (limit));
  g_autoptr (GPtrArray) events = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_event_record_free);
  gboolean row = query != NULL;

  while (row && tl_database_next (db, query, &row, error))
    {
      TlEventRecord *event;

      if (!row)
        return g_steal_pointer (&events);
      event = g_new0 (TlEventRecord, 1);
      event->seq = (guint64)sqlite3_column_int64 (query, 0);
      event->id = tl_column_text (query, 1);
      event->time = sqlite3_column_int64 (query, 2);
      event->type = tl_column_text (query, 3);
      event->data = tl_column_text (query, 4);
      g_ptr_array_add (events, event);
    }
  return NULL;
}

static gboolean
run_read_events (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autoptr (TlEventRange) range = g_new0 (TlEventRange, 1);
  g_auto (EventLog) log = { 0 };

  if (!load_log (db, operation->device_id, &log, error) || !judge_cursor (operation, db, &log, &range->kind, error))
    return FALSE;

  range->latest_seq = log.latest_seq;
  if (log.base_seq < log.latest_seq)
    {
      range->oldest_seq = log.base_seq + 1;
      if (!id_at (db, operation->device_id, &log, range->oldest_seq, &range->oldest_id, error))
        return FALSE;
    }
  range->events = load_events (db, operation->device_id, range->kind == TL_CURSOR_OK ? operation->seq : log.base_seq,
                               operation->limit, error);
  if (range->events == NULL)
    return FALSE;
  operation->result = g_steal_pointer (&range);
  return TRUE;
}

void
tl_store_read_events (TlStore *store, const char *device_id, guint64 seq, const char *event_id, guint limit,
                      TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_read_events, TL_STORE_READ, (GDestroyNotify)event_range_free);

  operation->device_id = g_strdup (device_id);
  operation->seq = seq;
  operation->event_id = g_strdup (event_id != NULL ? event_id : "");
  operation->limit = limit;
  tl_store_submit (store, operation, callback, user_data);
}

static gboolean
run_read_event (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_autoptr (TlEventRange) range = g_new0 (TlEventRange, 1);
  g_auto (EventLog) log = { 0 };

  if (!load_log (db, operation->device_id, &log, error))
    return FALSE;
  range->latest_seq = log.latest_seq;
  range->events = load_events (db, operation->device_id, operation->seq - 1, 1, error);
  if (range->events == NULL)
    return FALSE;
  operation->result = g_steal_pointer (&range);
  return TRUE;
}

void
tl_store_read_event (TlStore *store, const char *device_id, guint64 seq, TlStoreCallback callback, gpointer user_data)
{
  TlStoreOperation *operation
      = tl_store_operation_new (run_read_event, TL_STORE_READ, (GDestroyNotify)event_range_free);

  operation->device_id = g_strdup (device_id);
  operation->seq = seq;
  tl_store_submit (store, operation, callback, user_data);
}

/* ---- acknowledging, retention ---- */

static gboolean
run_ack_events (TlStoreOperation *operation, TlDatabase *db, GError **error)
{
  g_auto (EventLog) log = { 0 };
  g_autofree char *id = NULL;

  if (!load_log (db, operation->device_id, &log, error))
    return FALSE;
  if (operation->seq > log.latest_seq)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_OUT_OF_RANGE,
                   "event %" G_GUINT64_FORMAT " was never sent; the last one is %" G_GUINT64_FORMAT, operation->seq,
                   log.latest_seq);
      return FALSE;
    }
  if (operation->seq < log.base_seq)
    return TRUE; /* an old acknowledgement that arrives late */
  if (!id_at (db, operation->device_id, &log, operation->seq, &id, error))
    return FALSE;
  if (g_strcmp0 (id, operation->event_id) != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_OUT_OF_RANGE, "event %" G_GUINT64_FORMAT " has another id",
                   operation->seq);
      return FALSE;
    }
  if (operation->seq > log.base_seq && !drop_events (db, operation->device_id, operation->seq, error))
    return FALSE;
  return operation->seq <= log.acknowledged_seq
         || tl_database_run (db, NULL, error, "UPDATE event_logs SET acknowledged_seq = ? WHERE device_id = ?",
                             tl_int ((gint64)operation->seq), tl_text (operation->device_id));
}

void
tl_store_ack_events (TlStore *store, const char *device_id, guint64 seq, const char *event_id, TlStoreCallback callback,
                     gpointer user_data)
{
  TlStoreOperation *operation = tl_store_operation_new (run_ack_events, TL_STORE_WRITE, NULL);

  operation->device_id = g_strdup (device_id);
  operation->seq = seq;
  operation->event_id = g_strdup (event_id != NULL ? event_id : "");
  tl_store_submit (store, operation, callback, user_data);
}

typedef struct
{
  char *device_id;
  guint64 seq;
} OldEvents;

static void
old_events_clear (gpointer data)
{
  g_free (((OldEvents *)data)->device_id);
}

/* Logs whose oldest event is too old (that is the only place where one can be), with the last such seq. */
static GArray *
find_old_events (TlDatabase *db, gint64 before, GError **error)
{
  tl_query_auto query
      = tl_database_query (db, error,
                           "SELECT l.device_id,"
                           " (SELECT max (seq) FROM events WHERE device_id = l.device_id AND time <= ?1)"
                           " FROM event_logs AS l JOIN events AS e"
                           " ON e.device_id = l.device_id AND e.seq = l.base_seq + 1"
                           " WHERE l.base_seq < l.latest_seq AND e.time <= ?1",
                           tl_int (before));
  g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (OldEvents));
  gboolean row = query != NULL;

  g_array_set_clear_func (found, old_events_clear);
  while (row && tl_database_next (db, query, &row, error))
    {
      OldEvents old;

      if (!row)
        return g_steal_pointer (&found);
      old.device_id = tl_column_text (query, 0);
      old.seq = (guint64)sqlite3_column_int64 (query, 1);
      g_array_append_val (found, old);
    }
  return NULL;
}

gboolean
tl_store_expire_events (TlDatabase *db, gint64 now, GError **error)
{
  g_autoptr (GArray) found = find_old_events (db, now - TL_STORE_EVENTS_AGE_MS, error);

  if (found == NULL)
    return FALSE;
  for (guint i = 0; i < found->len; i++)
    {
      OldEvents *old = &g_array_index (found, OldEvents, i);

      if (!drop_events (db, old->device_id, old->seq, error))
        return FALSE;
    }
  return TRUE;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-request-journal.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-json-sum.h"
#include "base/tl-log.h"
#include "base/tl-ulid.h"
#include "identity/tl-state-lock.h"

#define RECORD_VERSION 1
/* A killed process's child that was forked and is not its program yet has the lock for some moments more. */
#define LOCK_WAIT_MS  2000
#define RECORD_SUFFIX ".json"
/* An output of 4 MiB, escaped once more as a string. */
#define MAX_RECORD_BYTES (26u * 1024u * 1024u)

static const char *const state_names[] = {
  [TL_RECORD_STARTED] = "started",
  [TL_RECORD_FINISHED] = "finished",
  [TL_RECORD_ACCEPTED] = "accepted",
};

struct _TlRequestJournal
{
  char *directory;
  TlStateLock *lock;
  GHashTable *records; /* request id -> TlRequestRecord */
};

static void
record_free (gpointer data)
{
  TlRequestRecord *record = data;

  g_free (record->request_id);
  g_free (record->capability);
  tl_receipt_free (record->receipt);
  g_free (record);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRequestRecord, record_free)

static char *
record_path (TlRequestJournal *journal, const char *request_id)
{
  g_autofree char *name = g_strconcat (request_id, RECORD_SUFFIX, NULL);

  return g_build_filename (journal->directory, name, NULL);
}

/* result NULL: none (yet, or any more). */
static gboolean
write_record (TlRequestJournal *journal, const TlRequestRecord *record, TlRecordState state,
              const TlRequestResult *result, GError **error)
{
  g_autofree char *path = record_path (journal, record->request_id);
  tl_json_auto object = json_pack ("{s:i, s:s, s:s, s:s, s:o}", "version", RECORD_VERSION, "request_id",
                                   record->request_id, "capability", record->capability, "state", state_names[state],
                                   "receipt", tl_receipt_to_json (record->receipt));
  g_autofree char *text = NULL;

  if (object != NULL && result != NULL)
    json_object_set_new (object, "result", tl_request_result_to_json (result));
  if (object == NULL || (result != NULL && json_object_get (object, "result") == NULL) || !tl_json_add_sum (object))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INTERNAL, "request %s cannot be recorded: not UTF-8", record->request_id);
      return FALSE;
    }
  text = tl_json_to_string (object);
  return tl_file_write_atomic (path, text, strlen (text), 0600, error);
}

static json_t *
read_record (TlRequestJournal *journal, const char *request_id, GError **error)
{
  g_autofree char *path = record_path (journal, request_id);
  g_autoptr (GBytes) bytes = tl_file_read (path, MAX_RECORD_BYTES, error);
  tl_json_auto object = NULL;

  if (bytes == NULL)
    return NULL;
  object = tl_json_parse (g_bytes_get_data (bytes, NULL), (gssize)g_bytes_get_size (bytes), MAX_RECORD_BYTES, error);
  if (object == NULL || !tl_json_check_sum (object, error))
    return NULL;
  return g_steal_pointer (&object);
}

static TlRequestRecord *
parse_record (const char *request_id, const json_t *object, GError **error)
{
  g_autoptr (TlRequestRecord) record = g_new0 (TlRequestRecord, 1);
  const char *id, *capability, *state;

  if (!tl_json_get_string (object, "request_id", TRUE, &id, error)
      || !tl_json_get_string (object, "capability", TRUE, &capability, error)
      || !tl_json_get_string (object, "state", TRUE, &state, error)
      || (record->receipt = tl_receipt_from_json (json_object_get (object, "receipt"), error)) == NULL)
    return NULL;
  while (record->state < G_N_ELEMENTS (state_names) && !g_str_equal (state, state_names[record->state]))
    record->state++;
  if (record->state >= G_N_ELEMENTS (state_names) || !g_str_equal (id, request_id))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "state \"%s\" of request %s makes no sense", state, id);
      return NULL;
    }
  record->request_id = g_strdup (id);
  record->capability = g_strdup (capability);
  record->expires_at_ms = record->receipt->expires_at_ms;
  return g_steal_pointer (&record);
}

/* A file that cannot be read still proves that its request was begun: it must not run again while its event may come.
 */
static TlRequestRecord *
damaged_record (TlRequestJournal *journal, const char *request_id, const GError *problem)
{
  g_autofree char *path = record_path (journal, request_id);
  TlRequestRecord *record = g_new0 (TlRequestRecord, 1);

  tl_log (TL_LOG_WARNING, "a request record is damaged; the request will not run again", "path", path, "problem",
          problem->message, NULL);
  record->request_id = g_strdup (request_id);
  record->capability = g_strdup ("");
  record->state = TL_RECORD_DAMAGED;
  record->expires_at_ms = tl_ulid_time_ms (request_id) + TL_REQUEST_MAX_LIFE_MS;
  return record;
}

static gboolean
interrupt_record (TlRequestJournal *journal, TlRequestRecord *record, GError **error)
{
  g_autoptr (TlRequestResult) result
      = tl_request_result_new_failure (TL_RESULT_FAILED, TL_REASON_INTERRUPTED,
                                       "the node stopped while this was running; whether it took effect is unknown");

  if (!write_record (journal, record, TL_RECORD_FINISHED, result, error))
    return FALSE;
  record->state = TL_RECORD_FINISHED;
  return TRUE;
}

static gboolean
load_record (TlRequestJournal *journal, const char *request_id, GError **error)
{
  g_autoptr (GError) problem = NULL;
  tl_json_auto object = read_record (journal, request_id, &problem);
  TlRequestRecord *record = object != NULL ? parse_record (request_id, object, &problem) : NULL;

  if (record == NULL)
    record = damaged_record (journal, request_id, problem);
  g_hash_table_insert (journal->records, record->request_id, record);
  return record->state != TL_RECORD_STARTED || interrupt_record (journal, record, error);
}

static gboolean
load (TlRequestJournal *journal, GError **error)
{
  g_autoptr (GError) problem = NULL;
  g_autoptr (GDir) dir = g_dir_open (journal->directory, 0, &problem);
  const char *name;

  if (dir == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "cannot look into %s: %s", journal->directory, problem->message);
      return FALSE;
    }
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *request_id = NULL;

      if (!g_str_has_suffix (name, RECORD_SUFFIX))
        continue;
      request_id = g_strndup (name, strlen (name) - strlen (RECORD_SUFFIX));
      if (tl_ulid_is_valid (request_id) && !load_record (journal, request_id, error))
        return FALSE;
    }
  return TRUE;
}

TlRequestJournal *
tl_request_journal_new (const char *directory, gint64 now_ms, GError **error)
{
  g_autoptr (TlRequestJournal) journal = g_new0 (TlRequestJournal, 1);

  journal->directory = g_strdup (directory);
  journal->records = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, record_free);
  if (!tl_dir_ensure (directory, 0700, error))
    return NULL;
  journal->lock = tl_state_lock_acquire (directory, LOCK_WAIT_MS, error);
  if (journal->lock == NULL || !load (journal, error))
    return NULL;
  tl_request_journal_prune (journal, now_ms);
  return g_steal_pointer (&journal);
}

void
tl_request_journal_free (TlRequestJournal *journal)
{
  if (journal == NULL)
    return;
  g_hash_table_unref (journal->records);
  g_clear_pointer (&journal->lock, tl_state_lock_release);
  g_free (journal->directory);
  g_free (journal);
}

const TlRequestRecord *
tl_request_journal_lookup (TlRequestJournal *journal, const char *request_id)
{
  return g_hash_table_lookup (journal->records, request_id);
}

static gint
compare_ids (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *
tl_request_journal_finished (TlRequestJournal *journal)
{
  GPtrArray *ids = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, journal->records);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (((TlRequestRecord *)value)->state == TL_RECORD_FINISHED)
      g_ptr_array_add (ids, g_strdup (((TlRequestRecord *)value)->request_id));
  g_ptr_array_sort (ids, compare_ids); /* ULIDs sort by time */
  return ids;
}

gboolean
tl_request_journal_start (TlRequestJournal *journal, const char *request_id, const char *capability,
                          const TlReceipt *receipt, GError **error)
{
  g_autoptr (TlRequestRecord) record = NULL;

  if (g_hash_table_contains (journal->records, request_id) || !tl_ulid_is_valid (request_id))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_ALREADY_EXISTS, "request %s is recorded already", request_id);
      return FALSE;
    }
  record = g_new0 (TlRequestRecord, 1);
  record->request_id = g_strdup (request_id);
  record->capability = g_strdup (capability);
  record->state = TL_RECORD_STARTED;
  record->receipt = tl_receipt_copy (receipt);
  record->expires_at_ms = receipt->expires_at_ms;
  if (!write_record (journal, record, TL_RECORD_STARTED, NULL, error))
    return FALSE;
  g_hash_table_insert (journal->records, record->request_id, record);
  g_steal_pointer (&record);
  return TRUE;
}

static TlRequestRecord *
record_in_state (TlRequestJournal *journal, const char *request_id, TlRecordState state, GError **error)
{
  TlRequestRecord *record = g_hash_table_lookup (journal->records, request_id);

  if (record != NULL && record->state == state)
    return record;
  g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "request %s is not recorded as %s", request_id,
               state_names[state]);
  return NULL;
}

gboolean
tl_request_journal_finish (TlRequestJournal *journal, const char *request_id, const TlRequestResult *result,
                           GError **error)
{
  TlRequestRecord *record = record_in_state (journal, request_id, TL_RECORD_STARTED, error);

  if (record == NULL || !write_record (journal, record, TL_RECORD_FINISHED, result, error))
    return FALSE;
  record->state = TL_RECORD_FINISHED;
  return TRUE;
}

TlRequestResult *
tl_request_journal_load_result (TlRequestJournal *journal, const char *request_id, GError **error)
{
  tl_json_auto object = NULL;

  if (record_in_state (journal, request_id, TL_RECORD_FINISHED, error) == NULL)
    return NULL;
  object = read_record (journal, request_id, error);
  return object != NULL ? tl_request_result_from_json (json_object_get (object, "result"), error) : NULL;
}

gboolean
tl_request_journal_accept (TlRequestJournal *journal, const char *request_id, GError **error)
{
  TlRequestRecord *record = record_in_state (journal, request_id, TL_RECORD_FINISHED, error);

  if (record == NULL || !write_record (journal, record, TL_RECORD_ACCEPTED, NULL, error))
    return FALSE;
  record->state = TL_RECORD_ACCEPTED;
  return TRUE;
}

void
tl_request_journal_prune (TlRequestJournal *journal, gint64 now_ms)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, journal->records);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      TlRequestRecord *record = value;
      g_autofree char *path = record_path (journal, record->request_id);
      g_autoptr (GError) error = NULL;

      if ((record->state != TL_RECORD_ACCEPTED && record->state != TL_RECORD_DAMAGED)
          || now_ms <= record->expires_at_ms + TL_REQUEST_KEEP_MS)
        continue;
      if (tl_file_remove (path, &error))
        g_hash_table_iter_remove (&iter);
      else
        tl_log_error (TL_LOG_WARNING, "an old request record stays", error);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-journal-service.h"

#include "base/tl-error.h"
#include "base/tl-log.h"
#include "daemon/tl-journal-private.h"

/* Retention is looked at this often, and at once again while there is more to remove. */
#define PRUNE_INTERVAL_MS (60 * 1000)

static void
write_row (const char *kind, const char *actor, const char *subject, const char *detail, gpointer user_data)
{
  TlJournalService *self = user_data;
  TlGateway *gateway = self->gateway;

  if (gateway->store != NULL)
    tl_store_journal (gateway->store, kind, actor, subject, detail, tl_clock_wall_ms (gateway->clock), NULL, NULL);
}

TlJournalService *
tl_journal_service_new (TlGateway *gateway)
{
  TlJournalService *self = g_new0 (TlJournalService, 1);
  g_autofree char *path = g_build_filename (gateway->state_dir, TL_STORE_FILE, NULL);

  self->gateway = gateway;
  self->denials = tl_denial_log_new (write_row, self);
  self->worker = tl_journal_worker_new (path, NULL);
  self->streams = g_ptr_array_new_with_free_func (tl_journal_stream_free);
  return self;
}

void
tl_journal_service_free (TlJournalService *self)
{
  if (self == NULL)
    return;
  tl_journal_streams_end (self, NULL);
  tl_journal_worker_free (self->worker);
  g_ptr_array_unref (self->streams);
  tl_denial_log_free (self->denials);
  g_free (self);
}

void
tl_journal_service_close_all (TlJournalService *self)
{
  g_autoptr (GError) error = g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE, "the gateway is stopping");

  tl_journal_streams_end (self, error);
  /* Its connection has to be gone before the store's, which then empties and removes the write-ahead log. */
  g_clear_pointer (&self->worker, tl_journal_worker_free);
  tl_denial_log_flush (self->denials, tl_clock_monotonic_us (self->gateway->clock));
}

/* ---- denials ---- */

void
tl_journal_service_denied (TlJournalService *self, const char *kind, TlRpcCall *call, const char *subject,
                           const GError *error)
{
  if (self == NULL)
    return;
  tl_denial_log_add_call (self->denials, kind, call, subject, error, tl_clock_monotonic_us (self->gateway->clock));
}

void
tl_journal_service_rpc_denied (TlJournalService *self, const TlRpcDenial *denial)
{
  const char *kind = denial->connection ? TL_JOURNAL_CONNECTION_REFUSED : TL_JOURNAL_CALL_DENIED;
  g_autofree char *text
      = denial->more > 0 ? g_strdup_printf ("%u more were refused in the same rush", denial->more) : NULL;

  tl_denial_log_add (self->denials, kind, denial->actor, denial->stranger, denial->subject, denial->reason, text,
                     tl_clock_monotonic_us (self->gateway->clock));
}

void
tl_journal_service_noted (TlJournalService *self, const char *kind, const char *device_id, const char *subject,
                          const char *reason)
{
  g_autofree char *actor = g_strconcat ("device:", device_id, NULL);

  if (self == NULL)
    return;
  tl_denial_log_add (self->denials, kind, actor, FALSE, subject, reason, NULL,
                     tl_clock_monotonic_us (self->gateway->clock));
}

/* ---- retention ---- */

static void
on_pruned (const GError *error, gpointer result, gpointer user_data)
{
  TlJournalService *self = user_data;
  const TlJournalCheckpoint *checkpoint = result;

  self->pruning = FALSE;
  if (error != NULL)
    {
      tl_log_error (TL_LOG_WARNING, "removing old rows of the journal", error);
      return;
    }
  if (checkpoint->rows == 0)
    return;
  if (checkpoint->rows >= TL_STORE_JOURNAL_PRUNE_MAX)
    self->next_prune_ms = 0;
  tl_log (TL_LOG_INFO, "old rows of the journal were removed", NULL);
  if (checkpoint->damaged != 0)
    {
      g_autofree char *seq = g_strdup_printf ("%" G_GUINT64_FORMAT, checkpoint->damaged);
      tl_log (TL_LOG_ERROR, "a row of the journal had been changed by somebody", "seq", seq, NULL);
    }
}

void
tl_journal_service_tick (TlJournalService *self, gint64 now_ms)
{
  TlGateway *gateway = self->gateway;

  tl_denial_log_tick (self->denials, tl_clock_monotonic_us (gateway->clock));
  /* Also when the clock was set back. */
  if (self->pruning || (now_ms < self->next_prune_ms && self->next_prune_ms <= now_ms + PRUNE_INTERVAL_MS))
    return;
  self->pruning = TRUE;
  self->next_prune_ms = now_ms + PRUNE_INTERVAL_MS;
  tl_store_journal_prune (gateway->store, gateway->config->journal_retention_ms, gateway->config->journal_rows, now_ms,
                          on_pruned, self);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <gio/gio.h>
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-log.h"
#include "daemon/tl-quic-runtime-private.h"

/* The questions to the quic thread that are not answered yet. */
typedef struct
{
  TlQuicCutFunc done;
  gpointer user_data;
} CutWait;

typedef struct
{
  TlQuicReportFunc done;
  gpointer user_data;
} ReportWait;

struct _TlQuicRuntime
{
  const TlQuicRuntimeHandlers *handlers;
  gpointer user_data;
  TlTrustBundle *bundle;
  TlQueue *notes;
  TlQuicThread *thread; /* NULL: stopped */
  gboolean started;
  GHashTable *cuts; /* number -> CutWait */
  GQueue reports;   /* ReportWait */
  gboolean asked;   /* for a report */
  guint64 questions;
  TlQuicEndpointStats stats;
  gint64 stats_us; /* when they came; 0: never */
};

static void on_notes (gpointer *items, guint n, gpointer user_data);

TlQuicRuntime *
tl_quic_runtime_new (const TlQuicRuntimeOptions *options, GError **error)
{
  TlQuicRuntime *self = g_new0 (TlQuicRuntime, 1);

  self->handlers = options->handlers;
  self->user_data = options->user_data;
  self->bundle = tl_trust_bundle_ref (options->bundle);
  self->notes = tl_queue_new_for_context (NULL, on_notes, self, tl_quic_note_free);
  self->cuts = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
  g_queue_init (&self->reports);
  self->thread = tl_quic_thread_new (options, self->notes, error);
  if (self->thread != NULL)
    return self;
  tl_quic_runtime_free (self);
  return NULL;
}

/* ---- addresses ---- */

static gboolean
listen_literal (TlQuicRuntime *self, const char *host, const char *port, GPtrArray *bound, GError **error)
{
  gboolean v6 = strchr (host, ':') != NULL;
  g_autofree char *address = g_strdup_printf (v6 ? "[%s]:%s" : "%s:%s", host, port);
  guint16 number = 0;

  if (!tl_quic_endpoint_listen (tl_quic_thread_endpoint (self->thread), address, &number, error))
    {
      g_prefix_error (error, "QUIC on %s (UDP): ", address);
      return FALSE;
    }
  g_ptr_array_add (bound, g_strdup_printf (v6 ? "[%s]:%u" : "%s:%u", host, number));
  return TRUE;
}

gboolean
tl_quic_runtime_listen (TlQuicRuntime *self, const char *address, GPtrArray *bound, GError **error)
{
  const char *colon = strrchr (address, ':');
  gboolean bracketed = address[0] == '[';
  g_autofree char *host = g_strndup (address + bracketed, (gsize)(colon - address) - 2u * bracketed);
  g_autoptr (GInetAddress) literal = g_inet_address_new_from_string (host);
  g_autoptr (GResolver) resolver = NULL;
  g_autolist (GInetAddress) found = NULL;
  g_autoptr (GError) local = NULL;

  if (literal != NULL)
    return listen_literal (self, host, colon + 1, bound, error);
  resolver = g_resolver_get_default ();
  found = g_resolver_lookup_by_name (resolver, host, NULL, &local);
  if (found == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "QUIC on %s (UDP): %s", address, local->message);
      return FALSE;
    }
  for (GList *item = found; item != NULL; item = item->next)
    {
      g_autofree char *text = g_inet_address_to_string (item->data);

      if (!listen_literal (self, text, colon + 1, bound, error))
        return FALSE;
    }
  return TRUE;
}

/* ---- life ---- */

static void
order (TlQuicRuntime *self, TlQuicOrderKind kind, TlQuicOrder *what)
{
  what->kind = kind;
  tl_queue_push (tl_quic_thread_orders (self->thread), what);
}

void
tl_quic_runtime_start (TlQuicRuntime *self)
{
  self->started = TRUE;
  tl_quic_thread_start (self->thread);
}

static void
answer_reports (TlQuicRuntime *self)
{
  ReportWait *wait;

  self->asked = FALSE;
  while ((wait = g_queue_pop_head (&self->reports)) != NULL)
    {
      wait->done (&self->stats, wait->user_data);
      g_free (wait);
    }
}

static void
answer_cut (TlQuicRuntime *self, guint64 number, guint connections)
{
  CutWait *wait = NULL;
  g_autofree gpointer key = NULL;

  if (!g_hash_table_steal_extended (self->cuts, &number, &key, (gpointer *)&wait))
    return;
  wait->done (connections, wait->user_data);
  g_free (wait);
}

void
tl_quic_runtime_stop (TlQuicRuntime *self)
{
  GHashTableIter iterator;
  gpointer key;

  if (self->thread == NULL)
    return;
  if (self->started)
    order (self, TL_QUIC_ORDER_STOP, g_new0 (TlQuicOrder, 1));
  g_clear_pointer (&self->thread, tl_quic_thread_free);
  tl_queue_close (self->notes);
  answer_reports (self);
  for (;;)
    {
      g_hash_table_iter_init (&iterator, self->cuts);
      if (!g_hash_table_iter_next (&iterator, &key, NULL))
        break;
      answer_cut (self, *(guint64 *)key, 0);
    }
}

void
tl_quic_runtime_free (TlQuicRuntime *self)
{
  if (self == NULL)
    return;
  tl_quic_runtime_stop (self);
  tl_queue_unref (self->notes);
  tl_trust_bundle_unref (self->bundle);
  g_hash_table_unref (self->cuts);
  g_free (self);
}

/* ---- to the thread ---- */

gboolean
tl_quic_runtime_set_identity (TlQuicRuntime *self, const char *chain_pem, const TlSecret *key_pem,
                              TlTrustBundle *bundle, GError **error)
{
  TlQuicTlsOptions options = { .is_server = TRUE, .verify = tl_quic_verifier_verify };
  TlQuicOrder *what;
  TlQuicTls *tls;

  if (self->thread == NULL)
    return TRUE;
  options.chain_pem = chain_pem;
  options.key_pem = key_pem;
  options.verify_data = tl_quic_thread_verifier (self->thread);
  tls = tl_quic_tls_new (&options, error);
  if (tls == NULL)
    return FALSE;
  if (bundle != self->bundle)
    {
      tl_quic_verifier_set_bundle (tl_quic_thread_verifier (self->thread), bundle);
      tl_trust_bundle_unref (self->bundle);
      self->bundle = tl_trust_bundle_ref (bundle);
    }
  what = g_new0 (TlQuicOrder, 1);
  what->tls = tls;
  order (self, TL_QUIC_ORDER_TLS, what);
  return TRUE;
}

void
tl_quic_runtime_latest (TlQuicRuntime *self, const char *device_id, guint64 seq)
{
  TlQuicOrder *what;

  if (self->thread == NULL)
    return;
  what = g_new0 (TlQuicOrder, 1);
  g_strlcpy (what->subject, device_id, sizeof what->subject);
  what->number = seq;
  order (self, TL_QUIC_ORDER_LATEST, what);
}

void
tl_quic_runtime_cut_device (TlQuicRuntime *self, const char *device_id, guint64 close, const char *reason,
                            TlQuicCutFunc done, gpointer user_data)
{
  TlQuicOrder *what;
  CutWait *wait;

  if (self->thread == NULL)
    {
      done (0, user_data);
      return;
    }
  wait = g_new (CutWait, 1);
  wait->done = done;
  wait->user_data = user_data;
  what = g_new0 (TlQuicOrder, 1);
  what->number = ++self->questions;
  what->code = close;
  what->reason = reason;
  g_strlcpy (what->subject, device_id, sizeof what->subject);
  g_hash_table_insert (self->cuts, g_memdup2 (&what->number, sizeof what->number), wait);
  order (self, TL_QUIC_ORDER_DEVICE, what);
}

void
tl_quic_runtime_cut_certificate (TlQuicRuntime *self, const char *fingerprint, guint64 close, const char *reason)
{
  TlQuicOrder *what;

  if (self->thread == NULL)
    return;
  what = g_new0 (TlQuicOrder, 1);
  what->code = close;
  what->reason = reason;
  g_strlcpy (what->subject, fingerprint, sizeof what->subject);
  order (self, TL_QUIC_ORDER_CERTIFICATE, what);
}

void
tl_quic_runtime_report (TlQuicRuntime *self, TlQuicReportFunc done, gpointer user_data)
{
  static const TlQuicEndpointStats nothing = { 0 };
  ReportWait *wait;

  if (self == NULL)
    {
      done (&nothing, user_data);
      return;
    }
  if (self->thread == NULL
      || (self->stats_us != 0 && g_get_monotonic_time () - self->stats_us < TL_QUIC_REPORT_MAX_AGE_US))
    {
      done (&self->stats, user_data);
      return;
    }
  wait = g_new (ReportWait, 1);
  wait->done = done;
  wait->user_data = user_data;
  g_queue_push_tail (&self->reports, wait);
  if (self->asked)
    return;
  self->asked = TRUE;
  order (self, TL_QUIC_ORDER_REPORT, g_new0 (TlQuicOrder, 1));
}

/* ---- from the thread ---- */

static void
take_report (TlQuicRuntime *self, TlQuicNote *note)
{
  for (guint i = 0; i < note->paths->len; i++)
    {
      TlQuicPathNote *path = &g_array_index (note->paths, TlQuicPathNote, i);

      path->channel->path = path->path;
    }
  self->stats = note->stats;
  self->stats_us = g_get_monotonic_time ();
  answer_reports (self);
}

static void
tell_denied (TlQuicRuntime *self, const TlQuicNote *note)
{
  TlRpcDenial denial = { .connection = TRUE, .stranger = TRUE };

  denial.actor = note->actor;
  denial.subject = note->subject;
  denial.reason = note->reason;
  denial.more = tl_quic_thread_denial_told (self->thread);
  self->handlers->denied (&denial, self->user_data);
}

static void
handle (TlQuicRuntime *self, TlQuicNote *note)
{
  switch (note->kind)
    {
    case TL_QUIC_NOTE_REGISTERED:
      self->handlers->registered (note->peer->fingerprint, self->user_data);
      return;
    case TL_QUIC_NOTE_REQUEST:
      /* Nobody waits for that event stream any more, and it would supersede the one that the device has by now. */
      if (note->request->method == TL_QUIC_METHOD_STREAM_EVENTS && atomic_load (&note->channel->gone))
        return;
      self->handlers->request (note->channel, note->request, self->user_data);
      return;
    case TL_QUIC_NOTE_ENDED:
      self->handlers->ended (note->channel, self->user_data);
      return;
    case TL_QUIC_NOTE_DRAINED:
      self->handlers->drained (note->channel, self->user_data);
      return;
    case TL_QUIC_NOTE_DENIED:
      tell_denied (self, note);
      return;
    case TL_QUIC_NOTE_CUT:
      answer_cut (self, note->number, note->count);
      return;
    case TL_QUIC_NOTE_REPORT:
      take_report (self, note);
      return;
    }
  g_return_if_reached ();
}

static void
on_notes (gpointer *items, guint n, gpointer user_data)
{
  TlQuicRuntime *self = user_data;

  for (guint i = 0; i < n; i++)
    {
      if (self->thread != NULL) /* else it was stopped by one of these */
        handle (self, items[i]);
      tl_quic_note_free (items[i]);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-denials.h"

#include "base/tl-error.h"
#include "base/tl-json.h"
#include "base/tl-log.h"
#include "daemon/store/tl-journal.h"
#include "daemon/tl-rate-limit.h"

typedef struct
{
  TlRateLimit *limit;
  guint left_out; /* since the last row */
} Budget;

struct _TlDenials
{
  TlStore *store;
  TlClock *clock;
  Budget devices, strangers;
};

TlDenials *
tl_denials_new (TlStore *store, TlClock *clock)
{
  TlDenials *self = g_new0 (TlDenials, 1);

  self->store = store;
  self->clock = clock;
  self->devices.limit = tl_rate_limit_new (TL_DENIALS_PER_DEVICE, TL_DENIALS_OF_DEVICES);
  self->strangers.limit = tl_rate_limit_new (TL_DENIALS_PER_SOURCE, TL_DENIALS_OF_STRANGERS);
  return self;
}

void
tl_denials_free (TlDenials *self)
{
  if (self == NULL)
    return;
  tl_rate_limit_free (self->devices.limit);
  tl_rate_limit_free (self->strangers.limit);
  g_free (self);
}

static void
on_written (const GError *error, gpointer result, gpointer user_data)
{
  if (error != NULL)
    tl_log_error (TL_LOG_WARNING, "writing a denial into the journal", error);
}

void
tl_denials_add (TlDenials *self, const TlRpcPeer *peer, const char *path, const char *subject, const GError *error)
{
  Budget *budget = peer->kind == TL_RPC_PEER_STRANGER ? &self->strangers : &self->devices;
  const char *slash = g_strrstr (path, "/");
  tl_json_auto object = NULL;
  g_autofree char *detail = NULL;

  if (!tl_rate_limit_take (budget->limit, peer->actor, tl_clock_monotonic_us (self->clock)))
    {
      budget->left_out++;
      return;
    }
  object = json_pack ("{s:s, s:s}", "method", slash != NULL ? slash + 1 : path, "reason", tl_error_to_reason (error));
  if (budget->left_out > 0)
    json_object_set_new (object, "left_out", json_integer (budget->left_out));
  budget->left_out = 0;
  detail = tl_json_to_string (object);
  tl_store_journal (self->store, TL_JOURNAL_CALL_DENIED, peer->actor, subject, detail, tl_clock_wall_ms (self->clock),
                    on_written, NULL);
}

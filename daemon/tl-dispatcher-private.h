/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-dispatcher.h"
#include "identity/tl-receipt.h"

G_BEGIN_DECLS

/* Shared by tl-dispatcher.c (states), tl-dispatcher-execute.c (submission), tl-dispatcher-result.c (results) and
 * tl-dispatcher-operator.c (cancelling, following). */
struct _TlDispatcher
{
  TlGateway *gateway;
  GHashTable *open; /* request id (the record's) -> TlOpenRequest* */
  GQueue unsettled; /* TlOpenRequest that the store and the callers are behind of, oldest first */
  GSource *settle;
  TlVerifiedRoot verified; /* results that share a signature come one after the other */
};

typedef struct
{
  TlRequestState state;
  gint64 time_ms;
} TlRequestStep;

#define TL_REQUEST_MAX_STEPS 5 /* queued, dispatched, awaiting_consent, running, a final one */

/* A request that is not final. */
typedef struct
{
  TlCapabilityRecord *record;
  GPtrArray *calls;         /* TlRpcCall*: ExecuteCapability streams that follow it */
  TlRequestState committed; /* what the store has; record->state may be ahead of it */
  gint64 deadline;          /* wall-clock ms of the current state's end */
  gboolean ending;          /* a final state is being committed */
  TlRequestState before_end;

  TlRequestStep steps[TL_REQUEST_MAX_STEPS]; /* entered, but not told to the callers yet */
  guint n_steps;
  guint64 event_seq;   /* of its dispatch event in the device's log; 0: not sent by this process */
  GList unsettled;     /* link in the dispatcher's queue; data NULL: not in it */
  gint64 unsettled_us; /* monotonic: since when */
} TlOpenRequest;

/* What a final state carries; NULL members are kept as they are. */
typedef struct
{
  const char *output, *error, *error_reason;
  const char *output_summary;
  const guint8 *output_sha256; /* 32 bytes */
  GBytes *receipt;
  const guint8 *receipt_hash; /* 32 bytes */
  const char *actor;          /* JOURNAL: who ended it; NULL: the gateway */
  gboolean cancel_device;     /* TIMED_OUT: the device is told to stop */
} TlRequestOutcome;

/* After the commit; error NULL = moved. */
typedef void (*TlRequestMoved) (const GError *error, gpointer user_data);

void tl_open_request_free (gpointer data);
/* Takes the record over. */
TlOpenRequest *tl_dispatcher_track (TlDispatcher *dispatcher, TlCapabilityRecord *record);
/* The one function that moves a request: checks, persists, announces. FALSE when the move is not allowed now: nothing
 * happened and moved is not called. moved: of final states only. */
gboolean tl_dispatcher_move (TlDispatcher *dispatcher, TlOpenRequest *request, TlRequestState to,
                             const TlRequestOutcome *outcome, TlRequestMoved moved, gpointer user_data);
/* It is in the store now, and its first state is to be told. */
void tl_dispatcher_queued (TlDispatcher *dispatcher, TlOpenRequest *request);
/* What was entered and not told yet goes to store and callers now; NULL: of all requests. */
void tl_dispatcher_settle (TlDispatcher *dispatcher, TlOpenRequest *request);
/* Its end is known: it is forgotten. */
void tl_dispatcher_forget (TlDispatcher *dispatcher, TlOpenRequest *request);
/* An event of the gateway's own for a device, pushed when committed. */
void tl_dispatcher_add_event (TlDispatcher *dispatcher, const char *device_id, const char *event_id, const char *type,
                              const char *data);
void tl_dispatcher_send_cancel (TlDispatcher *dispatcher, const TlCapabilityRecord *record, const char *reason);

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-dispatcher.h"

G_BEGIN_DECLS

/* Shared by tl-dispatcher.c (states), tl-dispatcher-execute.c (submission) and tl-dispatcher-result.c. */
struct _TlDispatcher
{
  TlGateway *gateway;
  GHashTable *open; /* request id (the record's) -> TlOpenRequest* */
};

/* A request that is not final. */
typedef struct
{
  TlCapabilityRecord *record;
  GPtrArray *calls;         /* TlRpcCall*: ExecuteCapability streams that follow it */
  TlRequestState committed; /* what the store has; record->state may be ahead of it */
  gint64 deadline;          /* wall-clock ms of the current state's end */
  gboolean ending;          /* a final state is being committed */
} TlOpenRequest;

/* What a final state carries; NULL members are kept as they are. */
typedef struct
{
  const char *output, *error, *error_reason;
  GBytes *receipt;
  gboolean cancel_device; /* TIMED_OUT: the device is told to stop */
} TlRequestOutcome;

/* After the commit; error NULL = moved. */
typedef void (*TlRequestMoved) (const GError *error, gpointer user_data);

void tl_open_request_free (gpointer data);
/* Takes the record over. */
TlOpenRequest *tl_dispatcher_track (TlDispatcher *dispatcher, TlCapabilityRecord *record);
/* The one function that moves a request: checks, persists, announces. FALSE when the move is not allowed now: nothing
 * happened and moved is not called. */
gboolean tl_dispatcher_move (TlDispatcher *dispatcher, TlOpenRequest *request, TlRequestState to,
                             const TlRequestOutcome *outcome, TlRequestMoved moved, gpointer user_data);
void tl_dispatcher_announce (TlDispatcher *dispatcher, TlOpenRequest *request, const TlCapabilityRecord *record);
/* An event of the gateway's own for a device, pushed when committed. */
void tl_dispatcher_add_event (TlDispatcher *dispatcher, const char *device_id, const char *event_id, const char *type,
                              const char *data);
void tl_dispatcher_send_cancel (TlDispatcher *dispatcher, const TlCapabilityRecord *record, const char *reason);

G_END_DECLS

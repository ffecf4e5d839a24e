/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-gateway.h"
#include "twinlatch/v1/admin.pb-c.h"
#include "twinlatch/v1/node.pb-c.h"

G_BEGIN_DECLS

/*
 * TlDispatcher: capability requests from submission to their end (PROTOCOL 4.2). One function moves a request. Pushed,
 * not polled: the dispatch event goes out when its transaction committed. Requests that are not final are in memory
 * too; the store is the truth. Thread: main.
 *
 * What is written when: the request, its event and the journal's row before the event is pushed; a final state and its
 * row before the device or a caller hears of it. The states between (dispatched, running) are written, and told to the
 * callers, when they lasted TL_DISPATCH_SETTLE_MS, else together with the next that is: a quick request costs two
 * writes and one message. A gateway that is killed meanwhile finds the request `queued` although the device may have
 * it. That is the truth of a moment earlier, and nothing is lost by it: the dispatch event is dropped from the log only
 * by an acknowledgement, before which the state is written (tl_dispatcher_acknowledging()); until then it is sent
 * again, and the device answers from its record or, idempotent, runs again (PROTOCOL 4.1).
 */
#define TL_DISPATCH_SETTLE_MS          50
#define TL_DISPATCH_DEFAULT_TIMEOUT_MS (30 * 1000)
#define TL_DISPATCH_MAX_TIMEOUT_MS     (3600 * 1000)
#define TL_DISPATCH_DEFAULT_PAYLOAD    (64u * 1024u)
#define TL_DISPATCH_MAX_PAYLOAD        (4u * 1024u * 1024u)
#define TL_DISPATCH_DEFAULT_EXPIRY_MS  (5 * 60 * 1000)
#define TL_DISPATCH_MAX_EXPIRY_MS      (G_GINT64_CONSTANT (7) * 86400 * 1000)
#define TL_DISPATCH_CONSENT_MS         (60 * 1000)
#define TL_DISPATCH_MAX_REASON         240
/* A device that was asked to end a request has so long to say how it ended. */
#define TL_DISPATCH_CANCEL_MS (5 * 1000)
/* Open requests of one operator over the network; queued ones count too, their callers may be gone. */
#define TL_DISPATCH_MAX_OPEN_REMOTE 256
/* The device ends a request itself; the gateway waits this much longer before it does. */
#define TL_DISPATCH_GRACE_MS (2 * 1000)

TlDispatcher *tl_dispatcher_new (TlGateway *gateway);
void tl_dispatcher_free (TlDispatcher *dispatcher);
/* Start-up, sync: open requests of the last run. */
gboolean tl_dispatcher_load (TlDispatcher *dispatcher, GError **error);
/* Timeouts; cheap when nothing is open. */
void tl_dispatcher_tick (TlDispatcher *dispatcher, gint64 now_ms);
guint tl_dispatcher_open_count (TlDispatcher *dispatcher);

/* ExecuteCapability: streams states to the call. device_id: exact. */
void tl_dispatcher_execute (TlDispatcher *dispatcher, TlRpcCall *call, const char *device_id,
                            const Twinlatch__V1__ExecuteCapabilityRequest *request);
/* CancelCapability: a queued request ends at once; one that the device has ends when the device says so, or after
 * TL_DISPATCH_CANCEL_MS. text: id or unique prefix. */
void tl_dispatcher_cancel (TlDispatcher *dispatcher, TlRpcCall *call, const char *text, const char *reason);
/* The capability was switched off: what waits for the device ends. Returns how many. */
guint tl_dispatcher_cancel_queued (TlDispatcher *dispatcher, const char *device_id, const char *capability,
                                   const char *actor);
/* WatchCapabilityRequest: the state now, then as tl_dispatcher_execute() does. */
void tl_dispatcher_watch (TlDispatcher *dispatcher, TlRpcCall *call, const char *text);
/* The caller of either stream went away: the request goes on. */
void tl_dispatcher_execute_cancelled (TlDispatcher *dispatcher, TlRpcCall *call);

/* The gateway stops: callers are told; requests stay open in the store. */
void tl_dispatcher_close_all (TlDispatcher *dispatcher);

/* From the node's stream. */
void tl_dispatcher_event_sent (TlDispatcher *dispatcher, const char *device_id, const TlEventRecord *event);
/* The device is about to acknowledge up to seq: called before the store drops those events. */
void tl_dispatcher_acknowledging (TlDispatcher *dispatcher, const char *device_id, guint64 seq);
void tl_dispatcher_node_event (TlDispatcher *dispatcher, const char *device_id, const char *type, const char *data);
/* How a result was taken, once its end is committed. error: it was not, and what to say. */
typedef enum
{
  TL_RESULT_TAKEN,
  TL_RESULT_DUPLICATE, /* known already; nothing changed */
  TL_RESULT_UNKNOWN,   /* no such request; dropped */
} TlResultVerdict;

typedef void (*TlResultAnswer) (TlResultVerdict verdict, const GError *error, gpointer user_data);

/* A result from a device (the certificate's id); the answer may come at once. result: borrowed until this returns. */
void tl_dispatcher_result (TlDispatcher *dispatcher, const char *device_id,
                           const Twinlatch__V1__SubmitCapabilityResultRequest *result, TlResultAnswer answer,
                           gpointer user_data);
/* The store failed these with their device (revocation). */
void tl_dispatcher_requests_failed (TlDispatcher *dispatcher, GPtrArray *records);

/* Which moves PROTOCOL 4.2 allows. */
gboolean tl_request_state_may_move (TlRequestState from, TlRequestState to);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlDispatcher, tl_dispatcher_free)

G_END_DECLS

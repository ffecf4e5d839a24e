/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-capability.h"
#include "agent/node/tl-request-result.h"

G_BEGIN_DECLS

/*
 * TlRequest: one capability request on its way through a TlRequestRunner, which owns it and is alone in touching it.
 */
typedef enum
{
  TL_REQUEST_WAITING,  /* for a slot */
  TL_REQUEST_DECIDING, /* the policy was asked */
  TL_REQUEST_RUNNING,  /* on a worker */
  TL_REQUEST_ENDED,    /* the result is there, the gateway does not have it yet */
} TlRequestState;

const char *tl_request_state_to_string (TlRequestState state);

typedef struct
{
  char *id;
  char *capability;
  char *input;
  char *requested_by;
  gint64 expires_at_ms;
  gint64 timeout_ms;
  gsize max_payload;

  TlRequestState state;
  GArray *seqs; /* guint64: events that brought it */
  const TlCapabilityEntry *entry;
  TlReceipt *receipt;
  TlRequestResult *result; /* ENDED; NULL when it is on disk only */
  gboolean recorded;       /* the journal has it: its events may be acknowledged */
  TlCapabilityCall *call;  /* RUNNING */
  GSource *timer;          /* RUNNING */
  GList unannounced;       /* RUNNING: link in the runner's queue; data NULL: not in it */
  gint64 began_us;         /* RUNNING: monotonic */
  gboolean submitting;
  gpointer runner; /* the owner, for callbacks that get the request alone */
} TlRequest;

/* The id that a dispatch or cancel event names; NULL when there is no valid one. g_free() */
char *tl_request_parse_id (const char *data);
/* A dispatch event (EVENTS: capability.dispatch). On error *request still has id and whatever could be read, so that a
 * result can be signed; NULL only without a valid id. */
gboolean tl_request_parse (const char *data, TlRequest **request, GError **error);
/* A kept one, of an earlier process: ENDED. */
TlRequest *tl_request_new_recorded (const char *id, const char *capability, const TlReceipt *receipt);
void tl_request_free (TlRequest *request);
void tl_request_add_seq (TlRequest *request, guint64 seq);
void tl_request_clear_timer (TlRequest *request);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRequest, tl_request_free)

G_END_DECLS

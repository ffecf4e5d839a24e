/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-capability.h"
#include "agent/node/tl-policy.h"
#include "agent/node/tl-request-journal.h"
#include "base/tl-clock.h"

G_BEGIN_DECLS

/*
 * TlRequestRunner: takes capability requests from dispatch events to an accepted result: waits for a free slot, asks
 * the policy, signs the receipt, records what must not run twice, runs on a worker thread under a timeout, hands the
 * result in until the gateway has it. Knows nothing of links: the owner passes messages both ways. Thread: main
 * context.
 *
 * When may an event be acknowledged? As soon as its request is durably recorded as started, or, for one that is
 * idempotent and therefore not recorded, when the gateway has the result: after a crash the event comes again and
 * simply runs again.
 *
 * Results that are ready in one turn of the main context are signed and handed in together. A receipt is signed by
 * itself when it is recorded; any other is proven by the signature over its result (data/doc/protocol.md, Receipts).
 */
#define TL_RUNNER_MAX_RUNNING        8
#define TL_RUNNER_MAX_WAITING        1000
#define TL_RUNNER_MAX_SUBMITTING     64
#define TL_RUNNER_ACCEPTED_MS        20   /* what ends sooner is not announced as running: its result says so */
#define TL_RUNNER_RETRY_MS           5000 /* after the gateway could not take a result, on a link that stays */
#define TL_RUNNER_DEFAULT_TIMEOUT_MS (30 * 1000)
#define TL_RUNNER_MAX_TIMEOUT_MS     (3600 * 1000) /* PROTOCOL 4.2 */

typedef struct _TlRequestRunner TlRequestRunner;

/* What the runner asks of its owner. May be called from within any function below. */
typedef struct
{
  void (*send_event) (const char *type, const char *data, gpointer user_data);
  /* Answer each with tl_request_runner_submitted(), later. */
  void (*submit) (const TlSubmission *submissions, guint n, gpointer user_data);
  void (*event_done) (guint64 seq, gpointer user_data);
  /* After tl_request_runner_stop(): nothing runs, and nothing waits for the gateway that could be handed in now. */
  void (*idle) (gpointer user_data);
} TlRequestRunnerHost;

/* Borrowed, as long as the runner. */
typedef struct
{
  const char *gateway_id;
  TlDeviceIdentity *identity;
  const TlCapabilitySet *capabilities;
  TlPolicy *policy;
  TlRequestJournal *journal;
  TlClock *clock;
  int *running; /* kept at the number of requests that run, atomically */
} TlRequestRunnerOptions;

TlRequestRunner *tl_request_runner_new (const TlRequestRunnerOptions *options, const TlRequestRunnerHost *host,
                                        gpointer user_data);
/* What still runs is cancelled and left behind; recorded requests are reported as interrupted by the next process. */
void tl_request_runner_free (TlRequestRunner *runner);

/* Events `capability.dispatch` and `capability.cancel`; data is a JSON object as it came. */
void tl_request_runner_dispatch (TlRequestRunner *runner, guint64 seq, const char *data);
void tl_request_runner_cancel (TlRequestRunner *runner, const char *data);

/* Results can be handed in now; kept ones are. */
void tl_request_runner_link_up (TlRequestRunner *runner);
/* Answers to what was being handed in do not come any more. */
void tl_request_runner_link_down (TlRequestRunner *runner);
/* The gateway's event log is another one now: the sequence numbers that brought the requests mean nothing in it. */
void tl_request_runner_forget_events (TlRequestRunner *runner);
/* error NULL: accepted, duplicate or unknown, which are all the end of it. */
void tl_request_runner_submitted (TlRequestRunner *runner, const char *request_id, const GError *error);

/* Starts nothing any more; host->idle follows when what runs has ended. */
void tl_request_runner_stop (TlRequestRunner *runner);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRequestRunner, tl_request_runner_free)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-denial-log.h"
#include "daemon/tl-journal-service.h"
#include "daemon/tl-journal-worker.h"
#include "rpc/tl-rpc.h"

G_BEGIN_DECLS

/* Shared by tl-journal-service.c (rows, retention), tl-journal-start.c, tl-journal-read.c and tl-journal-events.c. */
struct _TlJournalService
{
  TlGateway *gateway;
  TlDenialLog *denials;
  TlJournalWorker *worker;
  GPtrArray *streams; /* TlJournalStream: calls under way */
  guint follow_source;
  gint64 next_prune_ms;
  gboolean pruning;
};

typedef enum
{
  TL_JOURNAL_STREAM_COLLECT, /* downwards, until there are as many rows as were asked for */
  TL_JOURNAL_STREAM_SEND,    /* upwards, what fits is sent */
  TL_JOURNAL_STREAM_VERIFY,
} TlJournalPhase;

typedef struct _TlJournalStream TlJournalStream;
/* One message with the next n rows behind those that were sent. */
typedef void (*TlJournalSendFunc) (TlJournalStream *stream, guint n);

/* A call that reads: slices of the worker become messages, as fast as the client takes them. */
struct _TlJournalStream
{
  TlJournalService *service;
  TlRpcCall *call;   /* NULL: it ended while the worker had the job */
  TlJournalJob *job; /* NULL while the worker has it */
  TlJournalPhase phase;
  TlJournalSendFunc send;
  gboolean follow;
  guint limit;
  GPtrArray *rows; /* TlJournalRow: collected, or to be sent */
  guint sent;      /* of them */
  /* of WatchEvents */
  gboolean is_remote; /* an operator's device: not everything is told */
  gboolean from_now;
  gboolean answered;
  guint64 position; /* number of the last row that was looked at */
};

/* A new one, or NULL and the call is finished: too many read, or the gateway stops. */
TlJournalStream *tl_journal_stream_new (TlJournalService *service, TlRpcCall *call, TlJournalPhase phase,
                                        TlJournalDone done);
/* The worker gets its job. */
void tl_journal_stream_run (TlJournalStream *stream);
/* The worker is done with it. FALSE: so is the stream, which is freed. */
gboolean tl_journal_stream_take (TlJournalStream *stream, TlJournalJob *job);
/* TL_JOURNAL_STREAM_SEND: what was taken is sent, then there is the next slice. woken: by the timer. */
void tl_journal_stream_go_on (TlJournalStream *stream, gboolean woken);
void tl_journal_stream_finish (TlJournalStream *stream, const GError *error);
/* Streams that are sent by the timer need it. */
void tl_journal_stream_need_timer (TlJournalService *service);

/* Frees every stream; their calls are finished with error (NULL: they ended already). */
void tl_journal_streams_end (TlJournalService *service, const GError *error);
void tl_journal_stream_free (gpointer stream);

G_END_DECLS

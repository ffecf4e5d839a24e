/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-denial-log.h"
#include "daemon/tl-journal-service.h"
#include "daemon/tl-journal-worker.h"

G_BEGIN_DECLS

/* Shared by tl-journal-service.c (rows, retention), tl-journal-start.c and tl-journal-read.c. */
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

/* Frees every stream; their calls are finished with error (NULL: they ended already). */
void tl_journal_streams_end (TlJournalService *service, const GError *error);
void tl_journal_stream_free (gpointer stream);

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * EventRecord: what an event-node saw, a line an event: "<seq> <event id> <type> <input>\n", appended and synced as one
 * write. Cursor and observation are the same bytes: there is no moment at which one of them is there without the other.
 * Aborts when the file cannot be used. Thread: owner's.
 */
typedef struct _EventRecord EventRecord;

/* What an earlier process had half written when it was killed is cut off: it was not seen. */
EventRecord *event_record_open (const char *path);
void event_record_free (EventRecord *record);
/* Of the last line that has one; 0 and "". */
guint64 event_record_seq (EventRecord *record);
const char *event_record_event_id (EventRecord *record); /* borrowed */
/* Durable when it returns. */
void event_record_append (EventRecord *record, guint64 seq, const char *event_id, const char *type, const char *input);
/* Something that must not happen, for the test to find: "! <what>\n". */
void event_record_complain (EventRecord *record, const char *what);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (EventRecord, event_record_free)

G_END_DECLS

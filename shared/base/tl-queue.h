/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlQueue: the only way between the daemon's threads (DESIGN, Threads). pthread mutex inside; GLib only as the wake-up
 * of a main context, one wake-up a batch: the consumer gets all that waits, in order. Items are immutable once pushed
 * and owned by the queue until handed over. Two kinds: attached to a GMainContext (callback there), or waited on by a
 * plain thread.
 */
typedef struct _TlQueue TlQueue;
/* items: `n` pointers in order, owned by the callee now; the array itself stays the queue's. */
typedef void (*TlQueueFunc) (gpointer *items, guint n, gpointer user_data);

/* Consumer is a main context (NULL = the thread-default one). free_item is for items left at the end. */
TlQueue *tl_queue_new_for_context (GMainContext *context, TlQueueFunc func, gpointer user_data,
                                   GDestroyNotify free_item);
/* Consumer calls tl_queue_wait() on its own thread. */
TlQueue *tl_queue_new (GDestroyNotify free_item);
TlQueue *tl_queue_ref (TlQueue *queue);
/* The last reference frees what still waits. */
void tl_queue_unref (TlQueue *queue);

/* Any thread. After tl_queue_close() the item is freed and FALSE returned. */
gboolean tl_queue_push (TlQueue *queue, gpointer item);
/* Plain consumer: blocks until something waits or the queue is closed; returns the batch (free the array with g_free,
 * items are the caller's), NULL when closed and empty. */
gpointer *tl_queue_wait (TlQueue *queue, guint *n);
/* As tl_queue_wait(), but not longer than until deadline_us (g_get_monotonic_time(); < 0: for ever). NULL with *closed
 * FALSE: the time came and nothing waits. */
gpointer *tl_queue_wait_until (TlQueue *queue, gint64 deadline_us, guint *n, gboolean *closed);
/* No more pushes; a context queue's callback is not called any more after this returns (call it on the consumer's
 * thread). */
void tl_queue_close (TlQueue *queue);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQueue, tl_queue_unref)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlQuicHeap: a binary heap of timers that live inside the objects they belong to: one for an endpoint, whatever the
 * number of connections. Setting, moving and removing one is O(log n). Thread: owner's.
 */
#define TL_QUIC_TIMER_NEVER G_MAXUINT64

typedef struct
{
  guint64 at;  /* nanoseconds, monotonic */
  guint index; /* 1-based place in the heap; 0: not in it */
} TlQuicTimer;

typedef struct
{
  GPtrArray *timers;
} TlQuicHeap;

void tl_quic_heap_init (TlQuicHeap *heap);
void tl_quic_heap_clear (TlQuicHeap *heap);
/* at TL_QUIC_TIMER_NEVER removes it. */
void tl_quic_heap_set (TlQuicHeap *heap, TlQuicTimer *timer, guint64 at);
/* NULL: none. Stays in the heap. */
TlQuicTimer *tl_quic_heap_first (TlQuicHeap *heap);

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/tl-quic-heap.h"

void
tl_quic_heap_init (TlQuicHeap *heap)
{
  heap->timers = g_ptr_array_new ();
  g_ptr_array_add (heap->timers, NULL); /* place 0 stays empty: the children of i are 2i and 2i + 1 */
}

void
tl_quic_heap_clear (TlQuicHeap *heap)
{
  g_clear_pointer (&heap->timers, g_ptr_array_unref);
}

static guint64
at (TlQuicHeap *heap, guint index)
{
  return ((TlQuicTimer *)g_ptr_array_index (heap->timers, index))->at;
}

static void
put (TlQuicHeap *heap, guint index, TlQuicTimer *timer)
{
  g_ptr_array_index (heap->timers, index) = timer;
  timer->index = index;
}

static void
sift (TlQuicHeap *heap, TlQuicTimer *timer)
{
  guint i = timer->index;
  guint last = heap->timers->len - 1;

  while (i > 1 && at (heap, i / 2) > timer->at)
    {
      put (heap, i, g_ptr_array_index (heap->timers, i / 2));
      i /= 2;
    }
  while (2 * i <= last)
    {
      guint child = 2 * i;

      if (child < last && at (heap, child + 1) < at (heap, child))
        child++;
      if (at (heap, child) >= timer->at)
        break;
      put (heap, i, g_ptr_array_index (heap->timers, child));
      i = child;
    }
  put (heap, i, timer);
}

static void
take_out (TlQuicHeap *heap, TlQuicTimer *timer)
{
  guint last = heap->timers->len - 1;
  TlQuicTimer *moved = g_ptr_array_index (heap->timers, last);

  g_ptr_array_set_size (heap->timers, (gint)last);
  if (moved != timer)
    {
      moved->index = timer->index;
      sift (heap, moved);
    }
  timer->index = 0;
}

void
tl_quic_heap_set (TlQuicHeap *heap, TlQuicTimer *timer, guint64 when)
{
  if (when == TL_QUIC_TIMER_NEVER)
    {
      if (timer->index != 0)
        take_out (heap, timer);
      return;
    }
  if (timer->index != 0 && timer->at == when)
    return;
  timer->at = when;
  if (timer->index == 0)
    {
      g_ptr_array_add (heap->timers, timer);
      timer->index = heap->timers->len - 1;
    }
  sift (heap, timer);
}

TlQuicTimer *
tl_quic_heap_first (TlQuicHeap *heap)
{
  return heap->timers->len > 1 ? g_ptr_array_index (heap->timers, 1) : NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-quic-runtime-private.h"

TlQuicChannel *
tl_quic_channel_new (TlQuicPeer *peer, TlQueue *orders)
{
  TlQuicChannel *self = g_new0 (TlQuicChannel, 1);

  g_atomic_ref_count_init (&self->refs);
  self->peer = g_atomic_rc_box_acquire (peer);
  self->orders = tl_queue_ref (orders);
  atomic_init (&self->on_the_way, 0);
  atomic_init (&self->in_stream, 0);
  atomic_init (&self->gone, FALSE);
  g_strlcpy (self->path.address, peer->address, sizeof self->path.address);
  return self;
}

TlQuicChannel *
tl_quic_channel_ref (TlQuicChannel *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
tl_quic_channel_unref (TlQuicChannel *self)
{
  if (self == NULL || !g_atomic_ref_count_dec (&self->refs))
    return;
  if (self->in_hand)
    atomic_fetch_sub (&self->peer->in_hand, 1);
  g_atomic_rc_box_release (self->peer);
  tl_queue_unref (self->orders);
  g_free (self);
}

const char *
tl_quic_channel_device_id (const TlQuicChannel *self)
{
  return self->peer->device_id;
}

void
tl_quic_order_free (gpointer data)
{
  TlQuicOrder *order = data;

  tl_quic_channel_unref (order->channel);
  g_clear_pointer (&order->frame, g_bytes_unref);
  tl_quic_tls_unref (order->tls);
  g_free (order);
}

void
tl_quic_note_free (gpointer data)
{
  TlQuicNote *note = data;

  tl_quic_channel_unref (note->channel);
  tl_quic_request_free (note->request);
  g_clear_pointer (&note->peer, g_atomic_rc_box_release);
  for (guint i = 0; note->paths != NULL && i < note->paths->len; i++)
    tl_quic_channel_unref (g_array_index (note->paths, TlQuicPathNote, i).channel);
  g_clear_pointer (&note->paths, g_array_unref);
  g_free (note->actor);
  g_free (note->subject);
  g_free (note);
}

gboolean
tl_quic_channel_send (TlQuicChannel *self, GBytes *frame, gboolean last)
{
  TlQuicOrder *order;

  if (atomic_load (&self->gone))
    {
      g_bytes_unref (frame);
      return FALSE;
    }
  order = g_new0 (TlQuicOrder, 1);
  order->kind = TL_QUIC_ORDER_SEND;
  order->channel = tl_quic_channel_ref (self);
  order->frame = frame;
  order->last = last;
  atomic_fetch_add (&self->on_the_way, g_bytes_get_size (frame));
  return tl_queue_push (self->orders, order);
}

void
tl_quic_channel_close_connection (TlQuicChannel *self, guint64 code, const char *reason)
{
  TlQuicOrder *order = g_new0 (TlQuicOrder, 1);

  order->kind = TL_QUIC_ORDER_CLOSE;
  order->channel = tl_quic_channel_ref (self);
  order->code = code;
  order->reason = reason;
  tl_queue_push (self->orders, order);
}

gsize
tl_quic_channel_queued_bytes (const TlQuicChannel *self)
{
  return atomic_load (&self->on_the_way) + atomic_load (&self->in_stream);
}

void
tl_quic_channel_get_path (const TlQuicChannel *self, TlNodePath *path)
{
  *path = self->path;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-quic-members.h"

struct _TlQuicMembers
{
  GQueue all;
  GHashTable *by_device;      /* device id -> GQueue of TlQuicMember */
  GHashTable *by_certificate; /* fingerprint -> the same */
};

static void
queue_free (gpointer queue)
{
  g_queue_free (queue); /* it is empty: its links are the members' */
}

TlQuicMembers *
tl_quic_members_new (void)
{
  TlQuicMembers *self = g_new0 (TlQuicMembers, 1);

  g_queue_init (&self->all);
  self->by_device = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, queue_free);
  self->by_certificate = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, queue_free);
  return self;
}

void
tl_quic_members_free (TlQuicMembers *self)
{
  if (self == NULL)
    return;
  g_warn_if_fail (g_queue_is_empty (&self->all));
  g_hash_table_unref (self->by_device);
  g_hash_table_unref (self->by_certificate);
  g_free (self);
}

static void
link_to (GHashTable *table, const char *key, GList *link)
{
  GQueue *queue = g_hash_table_lookup (table, key);

  if (queue == NULL)
    {
      queue = g_queue_new ();
      g_hash_table_insert (table, g_strdup (key), queue);
    }
  g_queue_push_tail_link (queue, link);
}

static void
unlink_from (GHashTable *table, const char *key, GList *link)
{
  GQueue *queue = g_hash_table_lookup (table, key);

  g_queue_unlink (queue, link);
  if (g_queue_is_empty (queue))
    g_hash_table_remove (table, key);
}

void
tl_quic_members_add (TlQuicMembers *self, TlQuicMember *member)
{
  member->of_all.data = member->of_device.data = member->of_certificate.data = member;
  g_queue_push_tail_link (&self->all, &member->of_all);
  link_to (self->by_device, member->peer->device_id, &member->of_device);
  link_to (self->by_certificate, member->peer->fingerprint, &member->of_certificate);
}

void
tl_quic_members_remove (TlQuicMembers *self, TlQuicMember *member)
{
  g_queue_unlink (&self->all, &member->of_all);
  unlink_from (self->by_device, member->peer->device_id, &member->of_device);
  unlink_from (self->by_certificate, member->peer->fingerprint, &member->of_certificate);
}

const GQueue *
tl_quic_members_all (TlQuicMembers *self)
{
  return &self->all;
}

const GQueue *
tl_quic_members_of_device (TlQuicMembers *self, const char *device_id)
{
  return g_hash_table_lookup (self->by_device, device_id);
}

const GQueue *
tl_quic_members_of_certificate (TlQuicMembers *self, const char *fingerprint)
{
  return g_hash_table_lookup (self->by_certificate, fingerprint);
}

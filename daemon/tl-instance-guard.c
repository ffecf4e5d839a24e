/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tl-instance-guard.h"

struct _TlInstanceGuard
{
  char *current;
  GQueue superseded; /* char*, oldest first */
};

TlInstanceGuard *
tl_instance_guard_new (void)
{
  TlInstanceGuard *self = g_new0 (TlInstanceGuard, 1);

  g_queue_init (&self->superseded);
  return self;
}

void
tl_instance_guard_forget (TlInstanceGuard *self)
{
  g_clear_pointer (&self->current, g_free);
  g_queue_clear_full (&self->superseded, g_free);
}

void
tl_instance_guard_free (TlInstanceGuard *self)
{
  if (self == NULL)
    return;
  tl_instance_guard_forget (self);
  g_free (self);
}

static gboolean
is_superseded (const TlInstanceGuard *self, const char *instance_id)
{
  for (const GList *item = self->superseded.head; item != NULL; item = item->next)
    if (g_str_equal (item->data, instance_id))
      return TRUE;
  return FALSE;
}

TlInstanceVerdict
tl_instance_guard_enter (TlInstanceGuard *self, const char *instance_id)
{
  if (self->current == NULL)
    {
      self->current = g_strdup (instance_id);
      return TL_INSTANCE_FIRST;
    }
  if (g_str_equal (self->current, instance_id))
    return TL_INSTANCE_SAME;
  if (is_superseded (self, instance_id))
    return TL_INSTANCE_CLONED;
  g_queue_push_tail (&self->superseded, self->current);
  if (g_queue_get_length (&self->superseded) > TL_INSTANCE_GUARD_MAX)
    g_free (g_queue_pop_head (&self->superseded));
  self->current = g_strdup (instance_id);
  return TL_INSTANCE_SUPERSEDES;
}

const char *
tl_instance_guard_current (const TlInstanceGuard *self)
{
  return self->current;
}

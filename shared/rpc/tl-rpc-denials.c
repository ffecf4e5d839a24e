/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/tl-rpc-denials.h"

#include <pthread.h>

struct _TlRpcDenials
{
  gatomicrefcount refs;
  TlRpcDeniedFunc func;
  gpointer user_data;

  pthread_mutex_t lock;
  TlRpcLoop *loop; /* under lock, like all below; NULL: closed, or nobody wants to know */
  guint pending;
  guint dropped;
};

typedef struct
{
  TlRpcDenials *denials;
  TlRpcDenial denial; /* owns its strings */
} Note;

TlRpcDenials *
tl_rpc_denials_new (TlRpcLoop *loop, TlRpcDeniedFunc func, gpointer user_data)
{
  TlRpcDenials *self = g_new0 (TlRpcDenials, 1);

  g_atomic_ref_count_init (&self->refs);
  self->func = func;
  self->user_data = user_data;
  self->loop = func != NULL ? loop : NULL;
  pthread_mutex_init (&self->lock, NULL);
  return self;
}

TlRpcDenials *
tl_rpc_denials_ref (TlRpcDenials *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

void
tl_rpc_denials_unref (TlRpcDenials *self)
{
  if (self == NULL || !g_atomic_ref_count_dec (&self->refs))
    return;
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

/* Main context. */
static void
deliver (gpointer data)
{
  Note *note = data;
  TlRpcDenials *self = note->denials;
  gboolean open;

  pthread_mutex_lock (&self->lock);
  open = self->loop != NULL;
  self->pending--;
  note->denial.more = self->dropped;
  self->dropped = 0;
  pthread_mutex_unlock (&self->lock);
  if (open)
    self->func (&note->denial, self->user_data);
  g_free ((char *)note->denial.actor);
  g_free ((char *)note->denial.subject);
  g_free (note);
  tl_rpc_denials_unref (self);
}

static Note *
copy_note (TlRpcDenials *self, const TlRpcDenial *denial)
{
  Note *note = g_new (Note, 1);

  note->denials = tl_rpc_denials_ref (self);
  note->denial = *denial;
  note->denial.actor = g_strdup (denial->actor);
  note->denial.subject = g_strdup (denial->subject);
  return note;
}

void
tl_rpc_denials_note (TlRpcDenials *self, const TlRpcDenial *denial)
{
  pthread_mutex_lock (&self->lock);
  if (self->loop != NULL && self->pending < TL_RPC_DENIALS_PENDING)
    {
      self->pending++;
      tl_rpc_loop_post (self->loop, deliver, copy_note (self, denial));
    }
  else
    self->dropped++;
  pthread_mutex_unlock (&self->lock);
}

void
tl_rpc_denials_close (TlRpcDenials *self)
{
  pthread_mutex_lock (&self->lock);
  self->loop = NULL;
  pthread_mutex_unlock (&self->lock);
}

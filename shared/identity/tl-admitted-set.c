/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/tl-admitted-set.h"

#include <pthread.h>
#include <string.h>

#define FINGERPRINT_LENGTH 64

struct _TlAdmittedSet
{
  gatomicrefcount references;
  pthread_mutex_t lock;
  GHashTable *admissions; /* fingerprint -> TlAdmission, under lock */
  gboolean closed;        /* under lock */
};

static gboolean
is_fingerprint (const char *text)
{
  return text != NULL && strlen (text) == FINGERPRINT_LENGTH && strspn (text, "0123456789abcdef") == FINGERPRINT_LENGTH;
}

TlAdmittedSet *
tl_admitted_set_new (void)
{
  TlAdmittedSet *set = g_new0 (TlAdmittedSet, 1);

  g_atomic_ref_count_init (&set->references);
  pthread_mutex_init (&set->lock, NULL);
  set->admissions = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return set;
}

TlAdmittedSet *
tl_admitted_set_ref (TlAdmittedSet *set)
{
  g_atomic_ref_count_inc (&set->references);
  return set;
}

void
tl_admitted_set_unref (TlAdmittedSet *set)
{
  if (set == NULL || !g_atomic_ref_count_dec (&set->references))
    return;
  g_hash_table_unref (set->admissions);
  pthread_mutex_destroy (&set->lock);
  g_free (set);
}

void
tl_admitted_set_add (TlAdmittedSet *set, const char *fingerprint, const TlAdmission *admission)
{
  g_return_if_fail (is_fingerprint (fingerprint));
  g_return_if_fail (memchr (admission->device_id, 0, sizeof admission->device_id) != NULL);

  char *key = g_strdup (fingerprint);
  TlAdmission *value = g_memdup2 (admission, sizeof *admission);
  pthread_mutex_lock (&set->lock);
  g_hash_table_replace (set->admissions, key, value);
  pthread_mutex_unlock (&set->lock);
}

gboolean
tl_admitted_set_remove (TlAdmittedSet *set, const char *fingerprint)
{
  pthread_mutex_lock (&set->lock);
  gboolean removed = g_hash_table_remove (set->admissions, fingerprint);
  pthread_mutex_unlock (&set->lock);
  return removed;
}

void
tl_admitted_set_supersede (TlAdmittedSet *set, const char *fingerprint, gint64 end_ms)
{
  pthread_mutex_lock (&set->lock);
  TlAdmission *found = g_hash_table_lookup (set->admissions, fingerprint);
  if (found != NULL)
    {
      found->superseded = TRUE;
      found->not_after_ms = MIN (found->not_after_ms, end_ms);
    }
  pthread_mutex_unlock (&set->lock);
}

static gboolean
is_of_device (gpointer key, gpointer value, gpointer device_id)
{
  (void)key;
  return strcmp (((const TlAdmission *)value)->device_id, device_id) == 0;
}

guint
tl_admitted_set_remove_device (TlAdmittedSet *set, const char *device_id)
{
  pthread_mutex_lock (&set->lock);
  guint removed = g_hash_table_foreach_remove (set->admissions, is_of_device, (gpointer)device_id);
  pthread_mutex_unlock (&set->lock);
  return removed;
}

guint
tl_admitted_set_count_device (TlAdmittedSet *set, const char *device_id)
{
  GHashTableIter iterator;
  gpointer admission;
  guint n = 0;

  pthread_mutex_lock (&set->lock);
  g_hash_table_iter_init (&iterator, set->admissions);
  while (g_hash_table_iter_next (&iterator, NULL, &admission))
    n += is_of_device (NULL, admission, (gpointer)device_id) ? 1 : 0;
  pthread_mutex_unlock (&set->lock);
  return n;
}

guint
tl_admitted_set_set_role (TlAdmittedSet *set, const char *device_id, TlRole role)
{
  GHashTableIter iterator;
  gpointer admission;
  guint n = 0;

  pthread_mutex_lock (&set->lock);
  g_hash_table_iter_init (&iterator, set->admissions);
  while (g_hash_table_iter_next (&iterator, NULL, &admission))
    {
      if (!is_of_device (NULL, admission, (gpointer)device_id))
        continue;
      ((TlAdmission *)admission)->role = role;
      n++;
    }
  pthread_mutex_unlock (&set->lock);
  return n;
}

gboolean
tl_admitted_set_is_closed (TlAdmittedSet *set)
{
  pthread_mutex_lock (&set->lock);
  gboolean closed = set->closed;
  pthread_mutex_unlock (&set->lock);
  return closed;
}

void
tl_admitted_set_set_closed (TlAdmittedSet *set, gboolean closed)
{
  pthread_mutex_lock (&set->lock);
  set->closed = closed;
  pthread_mutex_unlock (&set->lock);
}

gboolean
tl_admitted_set_lookup (TlAdmittedSet *set, const char *fingerprint, gint64 now_ms, TlAdmission *admission)
{
  if (fingerprint == NULL) /* no certificate: nobody */
    return FALSE;
  pthread_mutex_lock (&set->lock);
  const TlAdmission *found = g_hash_table_lookup (set->admissions, fingerprint);
  gboolean admitted = !set->closed && found != NULL && now_ms < found->not_after_ms;
  if (admitted && admission != NULL)
    *admission = *found;
  pthread_mutex_unlock (&set->lock);
  return admitted;
}

guint
tl_admitted_set_size (TlAdmittedSet *set)
{
  pthread_mutex_lock (&set->lock);
  guint size = g_hash_table_size (set->admissions);
  pthread_mutex_unlock (&set->lock);
  return size;
}

const char *
tl_role_to_string (TlRole role)
{
  switch (role)
    {
    case TL_ROLE_NODE:
      return "node";
    case TL_ROLE_OPERATOR:
      return "operator";
    }
  g_return_val_if_reached ("unknown");
}

gboolean
tl_role_from_string (const char *text, TlRole *role)
{
  static const TlRole roles[] = { TL_ROLE_NODE, TL_ROLE_OPERATOR };

  for (gsize i = 0; i < G_N_ELEMENTS (roles); i++)
    if (g_strcmp0 (text, tl_role_to_string (roles[i])) == 0)
      {
        *role = roles[i];
        return TRUE;
      }
  return FALSE;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-capability.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/tl-error.h"

struct _TlCapabilityCall
{
  atomic_int refs;
  atomic_bool cancelled;
  atomic_int fd; /* -1 until somebody asks for it */
  gsize max_output;
};

TlCapabilityCall *
tl_capability_call_new (gsize max_output)
{
  TlCapabilityCall *call = g_new0 (TlCapabilityCall, 1);

  atomic_init (&call->refs, 1);
  atomic_init (&call->cancelled, false);
  atomic_init (&call->fd, -1);
  call->max_output = max_output;
  return call;
}

TlCapabilityCall *
tl_capability_call_ref (TlCapabilityCall *call)
{
  atomic_fetch_add (&call->refs, 1);
  return call;
}

void
tl_capability_call_unref (TlCapabilityCall *call)
{
  int fd;

  if (call == NULL || atomic_fetch_sub (&call->refs, 1) > 1)
    return;
  fd = atomic_load (&call->fd);
  if (fd >= 0)
    close (fd);
  g_free (call);
}

void
tl_capability_call_cancel (TlCapabilityCall *call)
{
  int fd;

  atomic_store (&call->cancelled, true);
  fd = atomic_load (&call->fd);
  if (fd >= 0)
    eventfd_write (fd, 1);
}

int
tl_capability_call_fd (TlCapabilityCall *call)
{
  int fd = atomic_load (&call->fd), none = -1;

  if (fd >= 0)
    return fd;
  fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0)
    return -1;
  if (!atomic_compare_exchange_strong (&call->fd, &none, fd))
    {
      close (fd);
      return none;
    }
  if (tl_capability_call_is_cancelled (call)) /* before it was there to be told */
    eventfd_write (fd, 1);
  return fd;
}

gboolean
tl_capability_call_is_cancelled (TlCapabilityCall *call)
{
  return atomic_load (&call->cancelled);
}

gsize
tl_capability_call_max_output (TlCapabilityCall *call)
{
  return call->max_output;
}

struct _TlCapabilitySet
{
  GPtrArray *entries; /* TlCapabilityEntry, by name */
};

static void
entry_free (gpointer data)
{
  TlCapabilityEntry *entry = data;

  if (entry->free_data != NULL)
    entry->free_data (entry->data);
  g_free (entry->unavailable_reason);
  g_free (entry);
}

static gint
compare_entries (gconstpointer a, gconstpointer b)
{
  const TlCapabilityEntry *left = *(const TlCapabilityEntry *const *)a;
  const TlCapabilityEntry *right = *(const TlCapabilityEntry *const *)b;

  return strcmp (left->capability->name, right->capability->name);
}

TlCapabilitySet *
tl_capability_set_new (void)
{
  TlCapabilitySet *set = g_new0 (TlCapabilitySet, 1);

  set->entries = g_ptr_array_new_with_free_func (entry_free);
  return set;
}

void
tl_capability_set_free (TlCapabilitySet *set)
{
  if (set == NULL)
    return;
  g_ptr_array_unref (set->entries);
  g_free (set);
}

void
tl_capability_set_add (TlCapabilitySet *set, const TlCapability *capability, gpointer data, GDestroyNotify free_data,
                       const char *unavailable_reason)
{
  TlCapabilityEntry *entry = g_new0 (TlCapabilityEntry, 1);

  g_assert (tl_capability_set_lookup (set, capability->name) == NULL);
  entry->capability = capability;
  entry->data = data;
  entry->free_data = free_data;
  entry->available = unavailable_reason == NULL;
  entry->unavailable_reason = g_strdup (unavailable_reason);
  g_ptr_array_add (set->entries, entry);
  g_ptr_array_sort (set->entries, compare_entries);
}

guint
tl_capability_set_size (const TlCapabilitySet *set)
{
  return set->entries->len;
}

const TlCapabilityEntry *
tl_capability_set_get (const TlCapabilitySet *set, guint index)
{
  return set->entries->pdata[index];
}

const TlCapabilityEntry *
tl_capability_set_lookup (const TlCapabilitySet *set, const char *name)
{
  for (guint i = 0; i < set->entries->len; i++)
    {
      const TlCapabilityEntry *entry = set->entries->pdata[i];

      if (g_str_equal (entry->capability->name, name))
        return entry;
    }
  return NULL;
}

char *
tl_capability_execute (const TlCapabilityEntry *entry, TlCapabilityCall *call, const char *input, GError **error)
{
  const TlCapability *capability = entry->capability;
  tl_json_auto parsed = tl_json_parse (*input != '\0' ? input : "{}", -1, 0, error);
  tl_json_auto output = NULL;
  g_autofree char *text = NULL;

  if (parsed == NULL)
    {
      g_prefix_error (error, "input of %s: ", capability->name);
      return NULL;
    }
  if (!capability->any_input && !json_is_object (parsed))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "input of %s has to be a JSON object", capability->name);
      return NULL;
    }
  if (tl_capability_call_is_cancelled (call))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CANCELLED, "%s was cancelled", capability->name);
      return NULL;
    }
  output = capability->func (call, parsed, entry->data, error);
  if (output == NULL)
    return NULL;
  text = tl_json_to_string (output);
  if (strlen (text) > call->max_output)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
                   "output of %s is %zu bytes, the request allows %zu: ask for less or allow more", capability->name,
                   strlen (text), call->max_output);
      return NULL;
    }
  return g_steal_pointer (&text);
}

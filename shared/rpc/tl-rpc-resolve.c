/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/tl-rpc-resolve.h"

#include "base/tl-error.h"
#include "tl-config-build.h"

#define MAX_ADDRESSES 16

/* IPv4 goes as ::ffff:a.b.c.d, since a target holds one family; gRPC opens an IPv4 connection for it all the same. */
static void
append (GString *target, GInetAddress *address, guint16 port)
{
  g_autofree char *text = g_inet_address_to_string (address);
  g_autofree char *escaped = NULL;
  gboolean v4 = g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV4;
  g_autofree char *item = g_strdup_printf (v4 ? "[::ffff:%s]:%u" : "[%s]:%u", text, port);

  escaped = g_uri_escape_string (item, ":", FALSE);
  g_string_append_printf (target, "%s%s", target->len == 0 ? "ipv6:" : ",", escaped);
}

static GNetworkAddress *
parse (const char *text, GError **error)
{
  GSocketConnectable *parsed = g_network_address_parse (text, TL_DEFAULT_PORT, NULL);

  if (parsed == NULL || g_network_address_get_port (G_NETWORK_ADDRESS (parsed)) == 0)
    {
      g_clear_object (&parsed);
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s is not an address; expected is \"host:port\"", text);
      return NULL;
    }
  return G_NETWORK_ADDRESS (parsed);
}

gboolean
tl_rpc_resolve_literals (const char *const *addresses, char **target, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  gboolean names = FALSE;

  if (addresses == NULL || addresses[0] == NULL || g_strv_length ((char **)addresses) > MAX_ADDRESSES)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "from 1 to %d gateway addresses are expected",
                   MAX_ADDRESSES);
      return FALSE;
    }
  for (guint i = 0; addresses[i] != NULL; i++)
    {
      g_autoptr (GNetworkAddress) parsed = parse (addresses[i], error);
      g_autoptr (GInetAddress) literal = NULL;

      if (parsed == NULL)
        return FALSE;
      literal = g_inet_address_new_from_string (g_network_address_get_hostname (parsed));
      if (literal == NULL)
        names = TRUE;
      else
        append (text, literal, g_network_address_get_port (parsed));
    }
  *target = names ? NULL : g_strdup (text->str);
  return TRUE;
}

/* ---- names */

typedef struct
{
  char **addresses;
  guint next;
  GString *target;
  guint n;
  char *last_failure;
} Resolution;

static void
resolution_free (gpointer data)
{
  Resolution *resolution = data;

  g_strfreev (resolution->addresses);
  g_string_free (resolution->target, TRUE);
  g_free (resolution->last_failure);
  g_free (resolution);
}

static void resolve_next (GTask *task);

static void
on_resolved (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Resolution *resolution = g_task_get_task_data (task);
  g_autoptr (GNetworkAddress) parsed = parse (resolution->addresses[resolution->next], NULL);
  g_autoptr (GError) error = NULL;
  GList *found = g_resolver_lookup_by_name_finish (G_RESOLVER (source), result, &error);

  for (GList *item = found; item != NULL && resolution->n < MAX_ADDRESSES; item = item->next, resolution->n++)
    append (resolution->target, item->data, g_network_address_get_port (parsed));
  g_resolver_free_addresses (found);
  if (error != NULL)
    {
      g_free (resolution->last_failure);
      resolution->last_failure = g_strdup (error->message);
    }
  resolution->next++;
  resolve_next (task);
}

static void
resolve_next (GTask *task)
{
  Resolution *resolution = g_task_get_task_data (task);
  const char *text = resolution->addresses[resolution->next];
  g_autoptr (GNetworkAddress) parsed = NULL;
  g_autoptr (GResolver) resolver = NULL;

  if (g_task_return_error_if_cancelled (task))
    return;
  if (text == NULL && resolution->n > 0)
    g_task_return_pointer (task, g_strdup (resolution->target->str), g_free);
  else if (text == NULL)
    g_task_return_new_error (task, TL_ERROR, TL_ERROR_UNAVAILABLE, "no address of the gateway is known: %s",
                             resolution->last_failure != NULL ? resolution->last_failure : "no name resolves");
  if (text == NULL)
    return;
  parsed = parse (text, NULL);
  resolver = g_resolver_get_default ();
  /* Literals come back at once. */
  g_resolver_lookup_by_name_async (resolver, g_network_address_get_hostname (parsed), g_task_get_cancellable (task),
                                   on_resolved, g_object_ref (task));
}

void
tl_rpc_resolve_async (const char *const *addresses, GCancellable *cancellable, GAsyncReadyCallback callback,
                      gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  Resolution *resolution = g_new0 (Resolution, 1);

  resolution->addresses = g_strdupv ((char **)addresses);
  resolution->target = g_string_new (NULL);
  g_task_set_task_data (task, resolution, resolution_free);
  resolve_next (task);
}

char *
tl_rpc_resolve_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

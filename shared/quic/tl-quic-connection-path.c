/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "quic/tl-quic-connection-private.h"

/* Which socket a connection uses, and how it comes to another one (RFC 9000, 9). */

TlQuicSocket *
tl_quic_connection_socket (TlQuicConnection *connection, const ngtcp2_path *path)
{
  if (connection->is_server) /* bound sockets live as long as the endpoint */
    return path->user_data;
  for (int i = 0; i < TL_QUIC_CLIENT_SOCKETS; i++)
    {
      if (connection->sockets[i] != NULL && connection->sockets[i] == path->user_data)
        return connection->sockets[i];
    }
  return connection->sockets[0];
}

static TlQuicSocket *
make_socket (TlQuicConnection *connection, GError **error)
{
  g_autoptr (TlQuicSocket) socket = NULL;

  if (connection->is_server || connection->state != TL_QUIC_STATE_OPEN)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION,
                           "only an open connection of a client can move to another address");
      return NULL;
    }
  socket = tl_quic_socket_connect (&connection->sockets[0]->remote, error);
  if (socket == NULL || !tl_quic_endpoint_add_socket (connection->endpoint, socket, error))
    return NULL;
  socket->owner = connection;
  return g_steal_pointer (&socket);
}

static void
drop_socket (TlQuicConnection *connection, TlQuicSocket **socket)
{
  if (*socket != NULL)
    tl_quic_endpoint_drop_socket (connection->endpoint, g_steal_pointer (socket));
}

gboolean
tl_quic_connection_start_migration (TlQuicConnection *connection, GError **error)
{
  TlQuicSocket *socket = connection->next_socket;
  TlQuicSocket *current = tl_quic_connection_socket (connection, ngtcp2_conn_get_path (connection->conn));
  gboolean is_immediate = connection->wants_migration == 2;
  const ngtcp2_path path = {
    .local = { &socket->shown.address.sa, socket->shown.length },
    .remote = { &socket->remote.address.sa, socket->remote.length },
    .user_data = socket,
  };
  guint64 ts = tl_quic_connection_ts (connection);
  int code = is_immediate ? ngtcp2_conn_initiate_immediate_migration (connection->conn, &path, ts)
                          : ngtcp2_conn_initiate_migration (connection->conn, &path, ts);

  connection->wants_migration = 0;
  if (code != 0)
    {
      drop_socket (connection, &connection->next_socket);
      g_set_error (error, TL_ERROR, TL_ERROR_FAILED_PRECONDITION, "the connection cannot move now: %s",
                   code == NGTCP2_ERR_CONN_ID_BLOCKED ? "the peer gave no further connection id yet"
                                                      : "the peer does not allow it");
      return FALSE;
    }
  connection->next_socket = NULL;
  for (int i = 0; i < TL_QUIC_CLIENT_SOCKETS; i++)
    {
      if (connection->sockets[i] != current)
        drop_socket (connection, &connection->sockets[i]);
    }
  connection->sockets[0] = socket;
  connection->sockets[1] = current; /* what is under way still arrives there */
  tl_quic_connection_mark_ready (connection);
  return TRUE;
}

gboolean
tl_quic_connection_migrate (TlQuicConnection *connection, gboolean immediate, GError **error)
{
  TlQuicSocket *socket = make_socket (connection, error);

  if (socket == NULL)
    return FALSE;
  drop_socket (connection, &connection->next_socket);
  connection->next_socket = socket;
  connection->wants_migration = immediate ? 2 : 1;
  return connection->depth > 0 ? TRUE : tl_quic_connection_start_migration (connection, error);
}

gboolean
tl_quic_connection_rebind (TlQuicConnection *connection, GError **error)
{
  TlQuicSocket *socket = make_socket (connection, error);
  const ngtcp2_path *path;

  if (socket == NULL)
    return FALSE;
  path = ngtcp2_conn_get_path (connection->conn);
  memcpy (&socket->shown.address, path->local.addr, path->local.addrlen);
  socket->shown.length = path->local.addrlen;
  for (int i = 0; i < TL_QUIC_CLIENT_SOCKETS; i++)
    drop_socket (connection, &connection->sockets[i]);
  connection->sockets[0] = socket;
  ngtcp2_conn_set_path_user_data (connection->conn, socket);
  return TRUE;
}

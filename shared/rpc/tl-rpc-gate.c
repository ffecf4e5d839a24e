/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/socket.h>

#include <grpc/support/alloc.h>

#include "base/tl-error.h"
#include "crypto/tl-hash.h"
#include "rpc/tl-rpc-address.h"
#include "rpc/tl-rpc-server-private.h"

/* The server's gate: who is calling, and may they. On the rpc thread, before a message is parsed and again for each. */

static gboolean
may_call (const TlRpcPeer *peer, TlRole role, TlRpcAuth auth, GError **error)
{
  gboolean local = peer->kind == TL_RPC_PEER_LOCAL;
  gboolean device = peer->kind == TL_RPC_PEER_DEVICE;
  gboolean allowed = FALSE;

  switch (auth)
    {
    case TL_RPC_AUTH_ANYONE:
      allowed = TRUE;
      break;
    case TL_RPC_AUTH_DEVICE:
      allowed = device;
      break;
    case TL_RPC_AUTH_OPERATOR:
      allowed = local || (device && role == TL_ROLE_OPERATOR);
      break;
    case TL_RPC_AUTH_LOCAL:
      allowed = local;
      break;
    case TL_RPC_AUTH_KNOWN:
      allowed = local || device;
      break;
    }
  if (!allowed && peer->kind == TL_RPC_PEER_STRANGER)
    g_set_error_literal (error, TL_ERROR, TL_ERROR_UNAUTHENTICATED, "this method needs a certificate; pair first");
  else if (!allowed && local)
    g_set_error_literal (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED, "this method is for paired devices");
  else if (!allowed && role == TL_ROLE_OPERATOR)
    g_set_error_literal (error, TL_ERROR, TL_ERROR_LOCAL_ONLY,
                         "this is done only at the gateway itself, not over the network");
  else if (!allowed)
    g_set_error_literal (error, TL_ERROR, TL_ERROR_NOT_OPERATOR, "this method is for operators");
  return allowed;
}

static void
note_denial (TlRpcServer *server, const TlRpcPeer *peer, const TlRpcMethod *method, const GError *error)
{
  tl_rpc_denials_note (server->denials, &(TlRpcDenial){ .stranger = peer->kind == TL_RPC_PEER_STRANGER,
                                                        .actor = peer->actor,
                                                        .subject = method->path,
                                                        .reason = tl_error_to_reason (error) });
}

static gboolean
check (TlRpcServer *server, const TlRpcPeer *peer, TlRpcAuth auth, GError **error)
{
  TlAdmission admission = peer->admission;

  if (peer->kind == TL_RPC_PEER_DEVICE
      && !tl_admitted_set_lookup (server->admitted, peer->fingerprint, tl_clock_wall_ms (server->clock), &admission))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_UNAUTHENTICATED, "this certificate is not admitted any more");
      tl_rpc_peers_doom (server->peers, peer->address);
      return FALSE;
    }
  return may_call (peer, admission.role, auth, error);
}

gboolean
tl_rpc_server_check (TlRpcServer *server, const TlRpcPeer *peer, const TlRpcMethod *method, GError **error)
{
  g_autoptr (GError) denial = NULL;

  if (check (server, peer, method->auth, &denial))
    return TRUE;
  note_denial (server, peer, method, denial);
  g_propagate_error (error, g_steal_pointer (&denial));
  return FALSE;
}

/* Who it was when it connected, for people only: the descriptor in gRPC's "fd:N" may be another connection's by now, of
 * the same user or not at all. */
static pid_t
peer_pid (grpc_call *grpc, uid_t uid)
{
  char *peer = grpc_call_get_peer (grpc);
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  guint64 fd;
  pid_t pid = 0;

  if (peer != NULL && g_str_has_prefix (peer, "fd:")
      && g_ascii_string_to_unsigned (peer + 3, 10, 0, G_MAXINT, &fd, NULL)
      && getsockopt ((int)fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 && credentials.uid == uid)
    pid = credentials.pid;
  gpr_free (peer);
  return pid;
}

/* FALSE: no peer to speak of (not an IP address; the socket is gone). */
static gboolean
identify (TlRpcServer *server, TlRpcCore *core, grpc_call *grpc, TlRpcCaller *caller)
{
  g_autoptr (GBytes) der = NULL;
  TlRpcAddress address;
  char *peer;
  gboolean known;

  if (tl_rpc_core_setup (core)->local)
    {
      caller->kind = TL_RPC_PEER_LOCAL;
      caller->uid = tl_rpc_core_setup (core)->uid;
      caller->pid = peer_pid (grpc, caller->uid);
      caller->address = g_strdup ("local");
      caller->source = g_strdup ("local");
      return TRUE;
    }
  peer = grpc_call_get_peer (grpc);
  known = peer != NULL && tl_rpc_address_from_peer (peer, &address);
  gpr_free (peer);
  if (!known)
    return FALSE;
  caller->address = tl_rpc_address_to_string (&address);
  caller->source = tl_rpc_address_to_source (&address);
  der = tl_rpc_call_peer_certificate (grpc);
  if (der == NULL)
    {
      caller->kind = TL_RPC_PEER_STRANGER;
      return TRUE;
    }
  caller->kind = TL_RPC_PEER_DEVICE;
  caller->fingerprint = tl_fingerprint (g_bytes_get_data (der, NULL), g_bytes_get_size (der));
  /* Not admitted any more: the record stays empty and tl_rpc_server_check() refuses. */
  tl_admitted_set_lookup (server->admitted, caller->fingerprint, tl_clock_wall_ms (server->clock), &caller->admission);
  return TRUE;
}

/* Registered first and checked after that: a revocation in between finds the call, one before is found by the check. */
static gboolean
admit (TlRpcServer *server, TlRpcCall *call, const TlRpcMethod *method, GError **error)
{
  const TlRpcPeer *peer = tl_rpc_call_peer (call);

  if (peer->kind != TL_RPC_PEER_LOCAL && !tl_rpc_peers_add_call (server->peers, call))
    {
      g_autoptr (GError) denial
          = g_error_new_literal (TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
                                 "too many requests are arriving from this address; wait a moment");

      note_denial (server, peer, method, denial);
      g_propagate_error (error, g_steal_pointer (&denial));
      return FALSE;
    }
  return tl_rpc_server_check (server, peer, method, error);
}

void
tl_rpc_server_on_call (TlRpcCore *core, grpc_call *grpc, const char *path, gpointer owner)
{
  TlRpcServer *server = owner;
  MethodEntry *entry = g_hash_table_lookup (server->methods, path);
  TlRpcCaller caller = { 0 };
  g_autoptr (GError) error = NULL;
  TlRpcCall *call;

  if (!identify (server, core, grpc, &caller))
    {
      tl_rpc_caller_clear (&caller);
      grpc_call_cancel_with_status (grpc, GRPC_STATUS_UNAVAILABLE, "unknown peer", NULL);
      grpc_call_unref (grpc);
      return;
    }
  g_atomic_int_inc (&server->live_calls);
  call = tl_rpc_call_new (server, grpc, entry != NULL ? entry->method : NULL, entry != NULL ? entry->user_data : NULL,
                          &caller);
  if (entry == NULL)
    g_set_error_literal (&error, TL_ERROR, TL_ERROR_UNSUPPORTED, "this gateway does not know that method");
  if (entry == NULL || !admit (server, call, entry->method, &error))
    {
      tl_rpc_call_begin (call, FALSE);
      tl_rpc_call_refuse (call, error);
      return;
    }
  tl_rpc_call_begin (call, TRUE);
}

void
tl_rpc_server_request_arrived (TlRpcServer *server, TlRpcCall *call)
{
  tl_rpc_peers_request_arrived (server->peers, call);
}

void
tl_rpc_server_call_ended (TlRpcServer *server, TlRpcCall *call)
{
  tl_rpc_peers_remove_call (server->peers, call);
}

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <sys/types.h>

#include "base/tl-clock.h"
#include "rpc/tl-rpc-call.h"
#include "rpc/tl-rpc-identity.h"
#include "rpc/tl-rpc-loop.h"

G_BEGIN_DECLS

typedef struct _TlRpcServer TlRpcServer;

/* Something was refused: for journals. Strings borrowed. */
typedef struct
{
  gboolean connection; /* else a call */
  gboolean stranger;   /* nobody whom this gateway admits now */
  const char *actor;   /* "source:192.0.2.1", "device:<id>", "uid:1000" */
  const char *subject; /* method, or fingerprint of the certificate; "" when there is neither */
  const char *reason;  /* stable word; static */
  guint more;          /* that were refused in a rush before this one and are not told one by one */
} TlRpcDenial;
/* Main context. */
typedef void (*TlRpcDeniedFunc) (const TlRpcDenial *denial, gpointer user_data);

typedef struct
{
  TlAdmittedSet *admitted;        /* required for TLS listeners */
  TlClock *clock;                 /* NULL = system */
  guint32 max_message;            /* transport limit, bytes; 0 = 4 MiB + 64 KiB */
  guint max_strangers;            /* TLS connections without certificate; 0 = 256 (PROTOCOL 3.4) */
  guint max_strangers_per_source; /* 0 = 8 */
  gint64 stranger_lifetime_ms;    /* 0 = 15 min */
  guint handshake_timeout_ms;     /* 0 = 5000 */
  guint keepalive_ms;             /* 0 = 20000; a peer that does not answer within keepalive_timeout is dropped */
  guint keepalive_timeout_ms;     /* 0 = 10000 */
  guint max_streams;              /* per connection; 0 = 100 */
  TlRpcDeniedFunc denied;         /* may be NULL */
  gpointer denied_data;
} TlRpcServerOptions;

/* The identity's roots verify client certificates (the chain); the admitted set decides (the verifier), on resumed
 * handshakes too. */
TlRpcServer *tl_rpc_server_new (TlRpcLoop *loop, const TlRpcServerOptions *options);
TlRpcServer *tl_rpc_server_ref (TlRpcServer *server);
void tl_rpc_server_unref (TlRpcServer *server);

/* methods: borrowed for ever (static tables). Before start. */
void tl_rpc_server_add_methods (TlRpcServer *server, const TlRpcMethod *methods, guint n, gpointer user_data);
/* "0.0.0.0:7444", "[::]:7444", port 0 = any; *port (may be NULL) gets the one bound. TL_ERROR_IN_USE when taken. gRPC
 * makes both wildcards one dual-stack socket: "0.0.0.0" serves IPv6 too. Before start. */
gboolean tl_rpc_server_listen_tls (TlRpcServer *server, const char *address, TlRpcIdentity *identity, guint16 *port,
                                   GError **error);
/* Own bind/accept (notes): mode of the socket file, group may be NULL; a live socket of another process is
 * TL_ERROR_IN_USE, a dead one is replaced. Before start. */
gboolean tl_rpc_server_listen_local (TlRpcServer *server, const char *path, mode_t mode, const char *group,
                                     GError **error);
gboolean tl_rpc_server_start (TlRpcServer *server, GError **error);
/* Refuses new calls, gives those under way grace_ms, then cancels them; done (may be NULL) on the main context when the
 * last ended. */
void tl_rpc_server_shutdown (TlRpcServer *server, guint grace_ms, GFunc done, gpointer user_data);

/* Revocation (PROTOCOL 4.4), after the admitted set was changed: cancels the device's calls, shuts its sockets down.
 * Order: set, calls, sockets. */
void tl_rpc_server_drop_device (TlRpcServer *server, const char *device_id, guint *calls, guint *connections);
/* Counts what that would end. */
void tl_rpc_server_count_device (TlRpcServer *server, const char *device_id, guint *calls, guint *connections);
/* Ends the calls and connections of a device that is still admitted (its role was changed): it may connect again. */
void tl_rpc_server_reset_device (TlRpcServer *server, const char *device_id, guint *calls, guint *connections);
/* As drop_device for one certificate (superseded, ended). Also happens by itself at a certificate's notAfter, within 1
 * s. */
void tl_rpc_server_drop_fingerprint (TlRpcServer *server, const char *fingerprint, guint *calls, guint *connections);
guint tl_rpc_server_stranger_count (TlRpcServer *server);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRpcServer, tl_rpc_server_unref)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-node-state.h"
#include "pairing/tl-device-session.h"
#include "rpc/tl-rpc.h"

G_BEGIN_DECLS

/*
 * TlPairingClient: drives a TlDeviceSession over a first-contact TlRpcClient until the device holds its certificate:
 * start, exchange, complete, watch; repeats Complete and Watch after a lost connection until the request ended. Nothing
 * is written to disk before the certificate verified. Thread: main context of the loop.
 */
typedef struct _TlPairingClient TlPairingClient;

typedef struct
{
  /* The exchange was confirmed; show the six digits ("042917") to the person, who reads them to the approver.
   * request_id comes a moment later with on_waiting. */
  void (*on_comparison) (TlPairingClient *client, const char *digits, gpointer user_data);
  /* The request exists and waits for an operator until expires_at_ms (already approved ones skip it). */
  void (*on_waiting) (TlPairingClient *client, const char *request_id, gint64 expires_at_ms, gpointer user_data);
  /* Once, last, never from within tl_pairing_client_new(). state is the callee's now (tl_node_state_free), NULL with an
   * error: CODE_INVALID, WRONG_CODE, WRONG_CA, REJECTED, EXPIRED, UNAVAILABLE, ... (reason of the operator in the
   * message). */
  void (*on_done) (TlPairingClient *client, TlNodeState *state, const GError *error, gpointer user_data);
} TlPairingClientHandlers;

typedef struct
{
  const TlPairingLink *link; /* link form: person has confirmed (the client calls confirm_connect) */
  const char *address;       /* PIN form: host:port */
  guint slot;                /* PIN form */
  TlSecret *pin_digits;      /* PIN form */
  const char *node_dir;      /* NULL = default */
  const char *device_name;   /* NULL = host name, made acceptable */
  TlClientKind client_kind;
  gboolean replace; /* pair again with a gateway this computer knows */
} TlPairingClientOptions;

/* Starts at once. INVALID_ARGUMENT for bad options. */
TlPairingClient *tl_pairing_client_new (TlRpcLoop *loop, const TlPairingClientOptions *options,
                                        const TlPairingClientHandlers *handlers, gpointer user_data, GError **error);
/* Cancels; on_done still comes, with CANCELLED, unless it was called. */
void tl_pairing_client_cancel (TlPairingClient *client);
void tl_pairing_client_free (TlPairingClient *client);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlPairingClient, tl_pairing_client_free)

G_END_DECLS

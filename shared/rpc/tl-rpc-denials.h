/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "rpc/tl-rpc-private.h"

G_BEGIN_DECLS

/*
 * TlRpcDenials: what the server refuses on gRPC's and its own threads (handshakes, calls, connections over a limit) on
 * its way to the main context, bounded: beyond TL_RPC_DENIALS_PENDING waiting ones they are only counted. Thread: any.
 */
typedef struct _TlRpcDenials TlRpcDenials;

#define TL_RPC_DENIALS_PENDING 64

/* func NULL: nobody wants to know. */
TlRpcDenials *tl_rpc_denials_new (TlRpcLoop *loop, TlRpcDeniedFunc func, gpointer user_data);
TlRpcDenials *tl_rpc_denials_ref (TlRpcDenials *denials);
void tl_rpc_denials_unref (TlRpcDenials *denials); /* NULL allowed */
/* Copies. subject may be NULL. */
void tl_rpc_denials_note (TlRpcDenials *denials, const TlRpcDenial *denial);
/* Main context: nothing is told from now on. */
void tl_rpc_denials_close (TlRpcDenials *denials);

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/tl-device-identity.h"
#include "quic/tl-quic-endpoint.h"

G_BEGIN_DECLS

/*
 * TlQuicClient: one QUIC connection of a device to its gateway. The gateway's addresses are tried a moment after each
 * other, and the first that confirms a handshake wins (RFC 8305 in spirit); names go through GResolver. The gateway is
 * verified with the device's trust bundle and, if there is one, a pin. Thread: main context; handlers are called there,
 * none after tl_quic_client_free(), which any of them may call.
 */
#define TL_QUIC_CLIENT_STAGGER_MS 250

typedef struct _TlQuicClient TlQuicClient;

typedef struct
{
  void (*opened) (TlQuicClient *client, gpointer user_data);
  /* The connection is on another path now. */
  void (*migrated) (TlQuicClient *client, gpointer user_data);
  /* Once, last. why: NULL when it ended before any handshake was begun. error: as tl_quic_close_to_error(), and
   * WRONG_CA when it was we who refused; of several attempts the one that says most. */
  void (*closed) (TlQuicClient *client, const GError *error, const TlQuicClose *why, gpointer user_data);
} TlQuicClientHandlers;

typedef struct
{
  TlDeviceIdentity *identity; /* bundle, key and leaf as they are now */
  const char *pin;            /* NULL: none; tl_quic_trust_new() */
  TlClock *clock;             /* NULL: system */
  guint keep_alive_ms;        /* 0: TL_QUIC_KEEP_ALIVE_MS */
  guint handshake_timeout_ms; /* 0: TL_QUIC_HANDSHAKE_TIMEOUT_MS */
} TlQuicClientOptions;

/* handlers: static. */
TlQuicClient *tl_quic_client_new (const TlQuicClientOptions *options, const TlQuicClientHandlers *handlers,
                                  gpointer user_data, GError **error);
/* Once. INVALID_ARGUMENT names a malformed address. */
gboolean tl_quic_client_open (TlQuicClient *client, const char *const *addresses, GError **error);
/* Between `opened` and `closed`, else NULL. */
TlQuicConnection *tl_quic_client_connection (TlQuicClient *client);
/* Tells the gateway that we go. NULL allowed. */
void tl_quic_client_free (TlQuicClient *client);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQuicClient, tl_quic_client_free)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "quic/tl-quic-stream-private.h"

G_BEGIN_DECLS

/*
 * A gateway and its devices over loopback, on the default context: endpoints as the programs have them, with what they
 * tell written down. The server echoes frames unless a test says otherwise.
 */
typedef struct _QuicWorld QuicWorld;

/* One side's view of one connection; found by tl_quic_connection_get_data(). */
typedef struct
{
  QuicWorld *world;
  TlQuicConnection *connection; /* NULL once it is closed */
  gboolean opened;              /* or accepted */
  gboolean closed;
  guint migrated;
  guint streams; /* of the peer's */
  TlQuicClose why;
  char reason[129];
  guint streams_at_close; /* not told before `closed` */
  guint open_streams;
} QuicPeer;

/* A request of a client, or the server's side of one. */
typedef struct
{
  QuicPeer *peer;
  TlQuicStream *stream; /* NULL once it is closed */
  GByteArray *received; /* frames, one behind the other */
  guint frames;
  gsize last_length;
  guint32 too_large;
  gboolean finished, closed;
  guint drained;
  guint64 code;
} QuicCall;

typedef void (*QuicServe) (QuicCall *call, const guint8 *data, gsize length);

struct _QuicWorld
{
  TlQuicTls *server_tls, *client_tls;
  guint8 verdict; /* of the server about clients */
  TlQuicEndpoint *server, *client;
  char address[64];
  GPtrArray *accepted; /* of QuicPeer */
  GPtrArray *peers;    /* of QuicPeer: those of both sides, freed at the end */
  GPtrArray *calls;    /* of QuicCall */
  QuicServe serve;
  QuicServe too_large; /* of the server; length: as announced */
  gboolean refuse_streams;
  gpointer test_data;
};

extern const TlQuicConnectionHandlers quic_world_client_handlers;
extern const TlQuicStreamHandlers quic_world_client_stream_handlers;

/* options: of the server, may be NULL; context, handlers, tls are filled in. address "127.0.0.1:0". */
QuicWorld *quic_world_new (const char *address, const TlQuicEndpointOptions *options);
void quic_world_free (QuicWorld *world);
/* The server goes and another comes to the same port. */
void quic_world_restart (QuicWorld *world, const TlQuicEndpointOptions *options, gboolean is_crash);
QuicPeer *quic_world_connect (QuicWorld *world, const char *address);
/* And it is open. */
QuicPeer *quic_world_open (QuicWorld *world);
QuicPeer *quic_world_accepted (QuicWorld *world, guint index);
QuicCall *quic_world_call (QuicPeer *peer, const void *data, gsize length, gboolean last);
void quic_world_echo (QuicCall *call, const guint8 *data, gsize length);
TlQuicConnectionInfo quic_world_info (QuicPeer *peer);
TlQuicEndpointStats quic_world_stats (QuicWorld *world);

/* Until the condition holds; 20 s are too long. */
#define quic_wait(condition)                                                                                           \
  G_STMT_START                                                                                                         \
  {                                                                                                                    \
    gint64 quic_wait_end = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;                                              \
    while (!(condition))                                                                                               \
      {                                                                                                                \
        if (g_get_monotonic_time () > quic_wait_end)                                                                   \
          g_error ("%s:%d: waited in vain for " #condition, __FILE__, __LINE__);                                       \
        quic_world_iterate ();                                                                                         \
      }                                                                                                                \
  }                                                                                                                    \
  G_STMT_END

/* One turn; returns after 20 ms at the latest. */
void quic_world_iterate (void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (QuicWorld, quic_world_free)

G_END_DECLS

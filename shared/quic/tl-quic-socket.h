/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <ngtcp2/ngtcp2.h>

G_BEGIN_DECLS

/*
 * TlQuicSocket: one UDP socket of an endpoint: a bound one that accepts (wildcards say by IP_PKTINFO which of the
 * computer's addresses a datagram came to), or a connected one of a client connection. Datagrams in by recvmmsg and
 * UDP_GRO, out by sendmsg and UDP_SEGMENT; where the kernel refuses either, one at a time. Nothing here knows QUIC.
 * Thread: the endpoint's.
 */
#define TL_QUIC_SEND_MAX          65000 /* bytes of one call */
#define TL_QUIC_SEND_MAX_SEGMENTS 64    /* of one call: the kernel's limit */
#define TL_QUIC_ADDRESS_TEXT      64

typedef struct
{
  ngtcp2_sockaddr_union address;
  ngtcp2_socklen length;
} TlQuicAddress;

typedef struct
{
  int fd;
  gpointer owner; /* whoever the datagrams of a connected socket are for */
  TlQuicAddress local;
  TlQuicAddress shown;  /* the local address that datagrams are reported under: `local`, but for what a NAT does */
  TlQuicAddress remote; /* of a connected one */
  gboolean is_connected;
  gboolean is_wildcard;
  gboolean has_gso;
  /* The kernel's buffer is full: what could not be sent, in datagrams of pending_segment bytes. */
  guint8 *pending;
  gsize pending_length, pending_segment;
  ngtcp2_path_storage pending_path;
} TlQuicSocket;

typedef enum
{
  TL_QUIC_SENT,
  TL_QUIC_SEND_BLOCKED, /* kept in `pending`; nothing more can be sent before tl_quic_socket_send_pending() */
  TL_QUIC_SEND_FAILED,  /* errno; gone, as if the network had lost it */
} TlQuicSend;

/* A literal address and a port. INVALID_ARGUMENT. */
gboolean tl_quic_address_parse (const char *text, TlQuicAddress *address, GError **error);
/* "192.0.2.1:4711", "[2001:db8::1]:4711". */
void tl_quic_address_format (const ngtcp2_addr *address, char text[TL_QUIC_ADDRESS_TEXT]);
guint16 tl_quic_address_port (const TlQuicAddress *address);

/* IN_USE, IO. */
TlQuicSocket *tl_quic_socket_listen (const TlQuicAddress *address, GError **error);
/* From whatever local address leads to remote. IO. */
TlQuicSocket *tl_quic_socket_connect (const TlQuicAddress *remote, GError **error);
void tl_quic_socket_free (TlQuicSocket *socket);

/* data: length bytes that make datagrams of segment bytes, the last may be shorter; at most TL_QUIC_SEND_MAX and
 * TL_QUIC_SEND_MAX_SEGMENTS. Not while `pending`. */
TlQuicSend tl_quic_socket_send (TlQuicSocket *socket, const ngtcp2_path *path, const guint8 *data, gsize length,
                                gsize segment);
/* TRUE: nothing is pending any more. */
gboolean tl_quic_socket_send_pending (TlQuicSocket *socket);

/* Buffers for received datagrams; one for all sockets of an endpoint. */
typedef struct _TlQuicReceiver TlQuicReceiver;

/* path->user_data is the socket. data: borrowed, may be overwritten. */
typedef void (*TlQuicReceiveFunc) (TlQuicSocket *socket, const ngtcp2_path *path, guint8 *data, gsize length,
                                   gpointer user_data);

TlQuicReceiver *tl_quic_receiver_new (guint n_messages);
void tl_quic_receiver_free (TlQuicReceiver *receiver);
/* One recvmmsg. Returns the messages read (n_messages: there may be more), 0: nothing there, or -errno, of an ICMP
 * error too. The socket has to outlive the call. */
int tl_quic_receiver_read (TlQuicReceiver *receiver, TlQuicSocket *socket, TlQuicReceiveFunc func, gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQuicSocket, tl_quic_socket_free)

G_END_DECLS

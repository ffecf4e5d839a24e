/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/tl-quic-socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/tl-error.h"

#define SERVER_BUFFER     (4 * 1024 * 1024) /* bytes of the kernel's queue, as far as it allows */
#define CONTROL_LENGTH    128
#define MAX_RECEIVED_DATA 65535

/* Room for the control messages of one datagram, aligned for them. */
typedef union
{
  char bytes[CONTROL_LENGTH];
  struct cmsghdr alignment;
} Control;

struct _TlQuicReceiver
{
  guint n_messages;
  struct mmsghdr *messages;
  struct iovec *vectors;
  ngtcp2_sockaddr_union *remotes;
  Control *controls;
  guint8 *memory;
};

/* ---- addresses ---- */

gboolean
tl_quic_address_parse (const char *text, TlQuicAddress *address, GError **error)
{
  const char *colon = text != NULL ? strrchr (text, ':') : NULL;
  const struct addrinfo hints
      = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM };
  struct addrinfo *found = NULL;
  g_autofree char *host = NULL;
  gboolean is_bracketed;

  if (colon == NULL || colon == text || !g_ascii_string_to_unsigned (colon + 1, 10, 0, G_MAXUINT16, NULL, NULL))
    goto malformed;
  is_bracketed = text[0] == '[' && colon[-1] == ']';
  host = is_bracketed ? g_strndup (text + 1, (gsize)(colon - text) - 2) : g_strndup (text, (gsize)(colon - text));
  if (!is_bracketed && strchr (host, ':') != NULL)
    goto malformed;
  if (getaddrinfo (host, colon + 1, &hints, &found) != 0 || found->ai_addrlen > sizeof address->address)
    {
      if (found != NULL)
        freeaddrinfo (found);
      goto malformed;
    }
  memset (address, 0, sizeof *address);
  memcpy (&address->address, found->ai_addr, found->ai_addrlen);
  address->length = found->ai_addrlen;
  freeaddrinfo (found);
  return TRUE;

malformed:
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
               "'%s' is not an address with a port: give 192.0.2.1:7444 or [2001:db8::1]:7444",
               text != NULL ? text : "");
  return FALSE;
}

void
tl_quic_address_format (const ngtcp2_addr *address, char text[TL_QUIC_ADDRESS_TEXT])
{
  const ngtcp2_sockaddr_union *any = (const ngtcp2_sockaddr_union *)address->addr;
  char host[INET6_ADDRSTRLEN] = "";

  if (address->addrlen >= sizeof any->in6 && any->sa.sa_family == AF_INET6)
    {
      inet_ntop (AF_INET6, &any->in6.sin6_addr, host, sizeof host);
      g_snprintf (text, TL_QUIC_ADDRESS_TEXT, "[%s]:%u", host, ntohs (any->in6.sin6_port));
    }
  else if (address->addrlen >= sizeof any->in && any->sa.sa_family == AF_INET)
    {
      inet_ntop (AF_INET, &any->in.sin_addr, host, sizeof host);
      g_snprintf (text, TL_QUIC_ADDRESS_TEXT, "%s:%u", host, ntohs (any->in.sin_port));
    }
  else
    text[0] = '\0';
}

guint16
tl_quic_address_port (const TlQuicAddress *address)
{
  return ntohs (address->address.sa.sa_family == AF_INET6 ? address->address.in6.sin6_port
                                                          : address->address.in.sin_port);
}

/* ---- making sockets ---- */

static void
set_option (int fd, int level, int name, int value)
{
  /* Best effort: what the kernel does not know costs speed, or is noticed where it is used. */
  (void)!setsockopt (fd, level, name, &value, sizeof value);
}

static TlQuicSocket *
make_socket (int family, GError **error)
{
  int fd = socket (family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  TlQuicSocket *self;

  if (fd < 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "cannot make a UDP socket: %s", g_strerror (errno));
      return NULL;
    }
  self = g_new0 (TlQuicSocket, 1);
  self->fd = fd;
  /* Datagrams are never fragmented: path MTU discovery is QUIC's own (RFC 9000, 14). */
  if (family == AF_INET6)
    {
      set_option (fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
      set_option (fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    }
  else
    set_option (fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  set_option (fd, IPPROTO_UDP, UDP_GRO, 1);
  self->has_gso = setsockopt (fd, IPPROTO_UDP, UDP_SEGMENT, &(int){ 0 }, sizeof (int)) == 0;
  return self;
}

static gboolean
read_local_address (TlQuicSocket *self, GError **error)
{
  self->local.length = sizeof self->local.address;
  if (getsockname (self->fd, &self->local.address.sa, &self->local.length) != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "cannot read the address of a UDP socket: %s", g_strerror (errno));
      return FALSE;
    }
  self->shown = self->local;
  return TRUE;
}

static gboolean
is_wildcard (const TlQuicAddress *address)
{
  return address->address.sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED (&address->address.in6.sin6_addr)
                                                   : address->address.in.sin_addr.s_addr == htonl (INADDR_ANY);
}

TlQuicSocket *
tl_quic_socket_listen (const TlQuicAddress *address, GError **error)
{
  g_autoptr (TlQuicSocket) self = make_socket (address->address.sa.sa_family, error);

  if (self == NULL)
    return NULL;
  self->is_wildcard = is_wildcard (address);
  if (self->is_wildcard && address->address.sa.sa_family == AF_INET6)
    set_option (self->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  else if (self->is_wildcard)
    set_option (self->fd, IPPROTO_IP, IP_PKTINFO, 1);
  set_option (self->fd, SOL_SOCKET, SO_RCVBUF, SERVER_BUFFER);
  set_option (self->fd, SOL_SOCKET, SO_RCVBUFFORCE, SERVER_BUFFER);
  set_option (self->fd, SOL_SOCKET, SO_SNDBUF, SERVER_BUFFER);
  set_option (self->fd, SOL_SOCKET, SO_SNDBUFFORCE, SERVER_BUFFER);
  if (bind (self->fd, &address->address.sa, address->length) != 0)
    {
      char text[TL_QUIC_ADDRESS_TEXT];
      int code = errno == EADDRINUSE ? TL_ERROR_IN_USE : TL_ERROR_IO;

      tl_quic_address_format (&(ngtcp2_addr){ (ngtcp2_sockaddr *)&address->address.sa, address->length }, text);
      g_set_error (error, TL_ERROR, code, "cannot listen on UDP %s: %s", text, g_strerror (errno));
      return NULL;
    }
  return read_local_address (self, error) ? g_steal_pointer (&self) : NULL;
}

TlQuicSocket *
tl_quic_socket_connect (const TlQuicAddress *remote, GError **error)
{
  g_autoptr (TlQuicSocket) self = make_socket (remote->address.sa.sa_family, error);

  if (self == NULL)
    return NULL;
  /* Connected, so that ICMP errors are reported and the kernel chooses the local address. */
  if (connect (self->fd, &remote->address.sa, remote->length) != 0)
    {
      char text[TL_QUIC_ADDRESS_TEXT];

      tl_quic_address_format (&(ngtcp2_addr){ (ngtcp2_sockaddr *)&remote->address.sa, remote->length }, text);
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "no way to UDP %s: %s", text, g_strerror (errno));
      return NULL;
    }
  self->is_connected = TRUE;
  self->remote = *remote;
  return read_local_address (self, error) ? g_steal_pointer (&self) : NULL;
}

void
tl_quic_socket_free (TlQuicSocket *socket)
{
  if (socket == NULL)
    return;
  close (socket->fd);
  g_free (socket->pending);
  g_free (socket);
}

/* ---- sending ---- */

static void
add_control (struct msghdr *message, int level, int type, const void *data, gsize length)
{
  struct cmsghdr *header = (struct cmsghdr *)((char *)message->msg_control + message->msg_controllen);

  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN (length);
  memcpy (CMSG_DATA (header), data, length);
  message->msg_controllen += CMSG_SPACE (length);
}

/* From a wildcard socket: with the address that the peer knows. */
static void
add_source_address (struct msghdr *message, const ngtcp2_addr *local)
{
  const ngtcp2_sockaddr_union *any = (const ngtcp2_sockaddr_union *)local->addr;

  if (any->sa.sa_family == AF_INET6)
    {
      struct in6_pktinfo info = { .ipi6_addr = any->in6.sin6_addr, .ipi6_ifindex = any->in6.sin6_scope_id };

      add_control (message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
  else
    {
      struct in_pktinfo info = { .ipi_spec_dst = any->in.sin_addr };

      add_control (message, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    }
}

/* One system call. segment < length: several datagrams. Returns 0 or errno. */
static int
send_once (TlQuicSocket *self, const ngtcp2_path *path, const guint8 *data, gsize length, gsize segment)
{
  Control control = { .bytes = { 0 } };
  struct iovec vector = { (void *)data, length };
  struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes };
  gssize sent;

  if (!self->is_connected)
    {
      message.msg_name = path->remote.addr;
      message.msg_namelen = path->remote.addrlen;
      if (self->is_wildcard)
        add_source_address (&message, &path->local);
    }
  if (segment < length)
    add_control (&message, IPPROTO_UDP, UDP_SEGMENT, &(guint16){ (guint16)segment }, sizeof (guint16));
  if (message.msg_controllen == 0)
    message.msg_control = NULL;
  do
    sent = sendmsg (self->fd, &message, 0);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

static gboolean
is_blocked (int code)
{
  return code == EAGAIN || code == EWOULDBLOCK;
}

/* Returns 0 or errno; *done: bytes that need not be sent again. */
static int
send_all (TlQuicSocket *self, const ngtcp2_path *path, const guint8 *data, gsize length, gsize segment, gsize *done)
{
  int code = 0;

  *done = 0;
  if (self->has_gso && segment < length)
    {
      code = send_once (self, path, data, length, segment);
      if (code == 0 || is_blocked (code))
        {
          *done = code == 0 ? length : 0;
          return code;
        }
      /* EIO: no checksum offload on the way; EINVAL: the kernel or a filter does not do it; EMSGSIZE: the path's MTU is
       * smaller than the segments. One at a time tells which. */
      if (code == EIO || code == EINVAL)
        self->has_gso = FALSE;
    }
  while (*done < length)
    {
      gsize n = MIN (segment, length - *done);
      int one = send_once (self, path, data + *done, n, n);

      if (is_blocked (one))
        return one;
      code = one;
      *done += n;
    }
  return code;
}

TlQuicSend
tl_quic_socket_send (TlQuicSocket *self, const ngtcp2_path *path, const guint8 *data, gsize length, gsize segment)
{
  gsize done;
  int code = send_all (self, path, data, length, segment, &done);

  if (code == 0)
    return TL_QUIC_SENT;
  if (!is_blocked (code))
    {
      errno = code;
      return TL_QUIC_SEND_FAILED;
    }
  self->pending_length = length - done;
  self->pending_segment = segment;
  self->pending = g_memdup2 (data + done, self->pending_length);
  ngtcp2_path_storage_init (&self->pending_path, path->local.addr, path->local.addrlen, path->remote.addr,
                            path->remote.addrlen, self);
  return TL_QUIC_SEND_BLOCKED;
}

gboolean
tl_quic_socket_send_pending (TlQuicSocket *self)
{
  g_autofree guint8 *data = g_steal_pointer (&self->pending);
  ngtcp2_path_storage path = self->pending_path;

  if (data == NULL)
    return TRUE;
  /* The addresses point into the storage that they came from. */
  path.path.local.addr = &path.local_addrbuf.sa;
  path.path.remote.addr = &path.remote_addrbuf.sa;
  return tl_quic_socket_send (self, &path.path, data, self->pending_length, self->pending_segment)
         != TL_QUIC_SEND_BLOCKED;
}

/* ---- receiving ---- */

TlQuicReceiver *
tl_quic_receiver_new (guint n_messages)
{
  TlQuicReceiver *receiver = g_new0 (TlQuicReceiver, 1);

  receiver->n_messages = n_messages;
  receiver->messages = g_new0 (struct mmsghdr, n_messages);
  receiver->vectors = g_new0 (struct iovec, n_messages);
  receiver->remotes = g_new0 (ngtcp2_sockaddr_union, n_messages);
  receiver->controls = g_new0 (Control, n_messages);
  receiver->memory
      = g_malloc ((gsize)n_messages * MAX_RECEIVED_DATA); /* pages that nothing arrives in are never used */
  return receiver;
}

void
tl_quic_receiver_free (TlQuicReceiver *receiver)
{
  if (receiver == NULL)
    return;
  g_free (receiver->messages);
  g_free (receiver->vectors);
  g_free (receiver->remotes);
  g_free (receiver->controls);
  g_free (receiver->memory);
  g_free (receiver);
}

static void
prepare_messages (TlQuicReceiver *receiver)
{
  for (guint i = 0; i < receiver->n_messages; i++)
    {
      receiver->vectors[i] = (struct iovec){ receiver->memory + (gsize)i * MAX_RECEIVED_DATA, MAX_RECEIVED_DATA };
      receiver->messages[i].msg_hdr = (struct msghdr){
        .msg_name = &receiver->remotes[i],
        .msg_namelen = sizeof receiver->remotes[i],
        .msg_iov = &receiver->vectors[i],
        .msg_iovlen = 1,
        .msg_control = receiver->controls[i].bytes,
        .msg_controllen = sizeof receiver->controls[i].bytes,
      };
    }
}

/* Which local address a datagram came to, and in pieces of what size. */
static void
read_control (struct msghdr *message, TlQuicAddress *local, gsize *segment)
{
  for (struct cmsghdr *header = CMSG_FIRSTHDR (message); header != NULL; header = CMSG_NXTHDR (message, header))
    {
      if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO)
        {
          int size;

          memcpy (&size, CMSG_DATA (header), sizeof size);
          if (size > 0)
            *segment = (gsize)size;
        }
      else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO)
        {
          struct in_pktinfo info;

          memcpy (&info, CMSG_DATA (header), sizeof info);
          local->address.in.sin_addr = info.ipi_addr;
        }
      else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO)
        {
          struct in6_pktinfo info;

          memcpy (&info, CMSG_DATA (header), sizeof info);
          local->address.in6.sin6_addr = info.ipi6_addr;
          local->address.in6.sin6_scope_id = IN6_IS_ADDR_LINKLOCAL (&info.ipi6_addr) ? info.ipi6_ifindex : 0;
        }
    }
}

int
tl_quic_receiver_read (TlQuicReceiver *receiver, TlQuicSocket *socket, TlQuicReceiveFunc func, gpointer user_data)
{
  int n;

  prepare_messages (receiver);
  do
    n = recvmmsg (socket->fd, receiver->messages, receiver->n_messages, MSG_DONTWAIT, NULL);
  while (n < 0 && errno == EINTR);
  if (n < 0)
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;

  for (int i = 0; i < n; i++)
    {
      struct msghdr *message = &receiver->messages[i].msg_hdr;
      TlQuicAddress local = socket->shown;
      gsize length = receiver->messages[i].msg_len;
      gsize segment = length;
      guint8 *data = receiver->vectors[i].iov_base;

      read_control (message, &local, &segment);
      const ngtcp2_path path = {
        .local = { &local.address.sa, local.length },
        .remote = { socket->is_connected ? &socket->remote.address.sa : message->msg_name,
                    socket->is_connected ? socket->remote.length : message->msg_namelen },
        .user_data = socket,
      };
      for (gsize offset = 0; offset < length; offset += segment)
        func (socket, &path, data + offset, MIN (segment, length - offset), user_data);
    }
  return n;
}

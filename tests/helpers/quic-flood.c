/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams of strangers, at a steady rate and from many addresses of 127/8 (issue 4, Must show 5):
 *   initial    valid Initials, a connection id and an address each
 *   token      the same with a Retry token that was given to another address
 *   replay     one Initial with a token that is right, from where it is right, again and again
 *   garbage    random bytes     truncated  Initials that are cut off     version  an unknown version
 *   short      packets of a connection that does not exist
 *   mix        all of these but replay
 * Prints one JSON object with what was sent and what came back. With --sink it is the dummy that such a flood is aimed
 * at: prints its port, and drops what comes until its standard input ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "quic-initial.h"

#define SOCKETS      4    /* source ports */
#define BATCH        32   /* datagrams a system call */
#define BUFFER       1500 /* of an answer */
#define RETRY_TRIES  500
#define RETRY_WAIT   10 /* ms each */
#define TICK_NS      G_GINT64_CONSTANT (100000)
#define MAX_BACKLOG  500 /* ticks: what a machine that stood still does not catch up with */
#define SHORT_LENGTH 64

typedef enum
{
  MODE_INITIAL,
  MODE_TOKEN,
  MODE_GARBAGE,
  MODE_TRUNCATED,
  MODE_VERSION,
  MODE_SHORT,
  MODE_MIX,
  MODE_REPLAY,
} Mode;

static const char *const mode_names[]
    = { "initial", "token", "garbage", "truncated", "version", "short", "mix", "replay", NULL };

typedef struct
{
  guint8 bytes[QUIC_INITIAL_SIZE];
  gsize length;
} Datagram;

typedef struct
{
  struct sockaddr_in to;
  int sockets[SOCKETS];
  GArray *set; /* Datagram */
  guint sources;
  guint64 sent, failed, answers, answer_bytes, retries, versions, sent_bytes;
} Flood;

/* ---- answers ---- */

static void
count_answer (Flood *self, const guint8 *packet, gsize length)
{
  self->answers++;
  self->answer_bytes += length;
  if (length < 7 || (packet[0] & 0x80) == 0)
    return;
  if (memcmp (packet + 1, "\0\0\0\0", 4) == 0)
    self->versions++;
  else if ((packet[0] & 0xf0) == 0xf0)
    self->retries++;
}

static void
drain (Flood *self)
{
  guint8 packet[BUFFER];
  gssize length;

  for (guint i = 0; i < SOCKETS; i++)
    while ((length = recv (self->sockets[i], packet, sizeof packet, MSG_DONTWAIT)) >= 0)
      count_answer (self, packet, (gsize)length);
}

/* ---- sending ---- */

/* A source of 127.1.0.0/16 and up; the kernel takes any of 127/8 for ours. A token is right from one address only. */
static guint32
source (const Flood *self)
{
  return htonl (self->sources == 0 ? INADDR_LOOPBACK : 0x7f010000u + g_random_int () % self->sources);
}

static guint
send_batch (Flood *self, const Datagram *const *datagrams, guint n)
{
  struct mmsghdr messages[BATCH];
  struct iovec parts[BATCH];
  union
  {
    struct cmsghdr header;
    guint8 bytes[CMSG_SPACE (sizeof (struct in_pktinfo))];
  } control[BATCH];
  int done;

  memset (messages, 0, sizeof messages);
  memset (control, 0, sizeof control);
  for (guint i = 0; i < n; i++)
    {
      struct msghdr *message = &messages[i].msg_hdr;
      struct in_pktinfo info = { .ipi_spec_dst.s_addr = source (self) };

      parts[i] = (struct iovec){ (void *)datagrams[i]->bytes, datagrams[i]->length };
      *message = (struct msghdr){ .msg_name = &self->to,
                                  .msg_namelen = sizeof self->to,
                                  .msg_iov = &parts[i],
                                  .msg_iovlen = 1,
                                  .msg_control = &control[i],
                                  .msg_controllen = sizeof control[i] };
      control[i].header
          = (struct cmsghdr){ .cmsg_len = CMSG_LEN (sizeof info), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO };
      memcpy (CMSG_DATA (&control[i].header), &info, sizeof info);
    }
  done = sendmmsg (self->sockets[g_random_int () % SOCKETS], messages, n, 0);
  if (done < 0)
    return 0;
  for (int i = 0; i < done; i++)
    self->sent_bytes += messages[i].msg_len;
  return (guint)done;
}

static gint64
now_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * G_GINT64_CONSTANT (1000000000) + now.tv_nsec;
}

static void
sleep_until (gint64 ns)
{
  struct timespec at = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

  while (clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
    ;
}

/* Rate a second: what is due by each tick, spread out as strangers are, and no bursts after a pause. */
static gint64
run (Flood *self, guint rate, double seconds)
{
  const Datagram *batch[BATCH];
  gint64 start = now_ns (), at = start, end = start + (gint64)(seconds * 1e9);
  guint next = 0;
  double due = 0;

  prctl (PR_SET_TIMERSLACK, 1);
  for (gint64 tick = start; at < end; tick += TICK_NS)
    {
      sleep_until (tick);
      at = now_ns ();
      if (at - tick > (gint64)MAX_BACKLOG * TICK_NS)
        tick = at;
      for (due += rate * (TICK_NS / 1e9); due >= 1;)
        {
          guint n = MIN ((guint)due, BATCH), done;

          for (guint i = 0; i < n; i++)
            batch[i] = &g_array_index (self->set, Datagram, next++ % self->set->len);
          done = send_batch (self, batch, n);
          self->sent += done;
          self->failed += n - done;
          due -= n;
        }
      drain (self);
    }
  return now_ns () - start;
}

/* ---- what is sent ---- */

static void
make_initial (Datagram *datagram, const guint8 *token, gsize token_length)
{
  QuicInitial initial;

  quic_initial_init (&initial);
  initial.token = token;
  initial.token_length = token_length;
  quic_initial_seal (&initial, datagram->bytes);
  datagram->length = QUIC_INITIAL_SIZE;
}

static void
make (Datagram *datagram, Mode mode, const QuicInitial *retried)
{
  switch (mode)
    {
    case MODE_INITIAL:
      make_initial (datagram, NULL, 0);
      break;
    case MODE_TOKEN:
      make_initial (datagram, retried->token, retried->token_length);
      break;
    case MODE_REPLAY:
      quic_initial_seal (retried, datagram->bytes);
      datagram->length = QUIC_INITIAL_SIZE;
      break;
    case MODE_GARBAGE:
      datagram->length = 1 + g_random_int () % QUIC_INITIAL_SIZE;
      RAND_bytes (datagram->bytes, (int)datagram->length);
      break;
    case MODE_TRUNCATED:
      make_initial (datagram, NULL, 0);
      datagram->length = 1 + g_random_int () % (QUIC_INITIAL_SIZE - 1);
      break;
    case MODE_VERSION:
      make_initial (datagram, NULL, 0);
      memcpy (datagram->bytes + 1, "\x1a\x2a\x3a\x4a", 4);
      break;
    case MODE_SHORT:
      datagram->length = SHORT_LENGTH;
      RAND_bytes (datagram->bytes, SHORT_LENGTH);
      datagram->bytes[0] = 0x40 | (datagram->bytes[0] & 0x3f);
      break;
    case MODE_MIX:
      make (datagram, (Mode)(g_random_int () % MODE_MIX), retried);
      break;
    default:
      g_assert_not_reached ();
    }
}

/* A token of the gateway's: Initials of one address until it wants that address proven. Returns the socket it is for.
 */
static int
get_token (Flood *self, QuicInitial *initial, guint8 *token)
{
  struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  guint8 packet[BUFFER];
  gboolean found = FALSE;
  gssize length;

  if (bind (fd, (struct sockaddr *)&from, sizeof from) < 0
      || connect (fd, (struct sockaddr *)&self->to, sizeof self->to) < 0)
    g_error ("a socket for the token: %s", g_strerror (errno));
  for (guint i = 0; !found && i < RETRY_TRIES; i++)
    {
      quic_initial_init (initial);
      quic_initial_seal (initial, packet);
      if (send (fd, packet, QUIC_INITIAL_SIZE, 0) < 0)
        break;
      while (!found && poll (&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, RETRY_WAIT) > 0
             && (length = recv (fd, packet, sizeof packet, 0)) > 0)
        found = quic_retry_parse (packet, (gsize)length, initial, token);
    }
  if (!found)
    g_error ("no Retry came: is its threshold 0?");
  return fd;
}

/* ---- both programs ---- */

static int
bound_socket (guint32 address)
{
  struct sockaddr_in local = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (address) };
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  if (fd < 0 || bind (fd, (struct sockaddr *)&local, sizeof local) < 0)
    g_error ("a UDP socket: %s", g_strerror (errno));
  return fd;
}

static int
sink (void)
{
  struct sockaddr_in local;
  socklen_t size = sizeof local;
  int fd = bound_socket (INADDR_LOOPBACK);
  struct pollfd wait[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
  guint8 packet[BUFFER];

  getsockname (fd, (struct sockaddr *)&local, &size);
  g_print ("{\"port\":%u}\n", ntohs (local.sin_port));
  while (poll (wait, G_N_ELEMENTS (wait), -1) > 0 && wait[0].revents == 0)
    while (recv (fd, packet, sizeof packet, MSG_DONTWAIT) >= 0)
      ;
  close (fd);
  return 0;
}

static void
flood (Flood *self, Mode mode, guint set, guint rate, double seconds)
{
  QuicInitial retried;
  guint8 token[QUIC_INITIAL_MAX_TOKEN];
  int asked = -1;
  gint64 ns;

  if (mode == MODE_TOKEN || mode == MODE_REPLAY || mode == MODE_MIX)
    asked = get_token (self, &retried, token);
  if (mode == MODE_REPLAY)
    self->sources = 0;
  self->set = g_array_sized_new (FALSE, TRUE, sizeof (Datagram), set);
  g_array_set_size (self->set, mode == MODE_REPLAY ? 1 : set);
  for (guint i = 0; i < self->set->len; i++)
    make (&g_array_index (self->set, Datagram, i), mode, &retried);
  for (guint i = 0; i < SOCKETS; i++)
    self->sockets[i] = mode == MODE_REPLAY ? dup (asked) : bound_socket (INADDR_ANY);
  g_print ("{\"ready\":true}\n");
  ns = run (self, rate, seconds);
  g_usleep (RETRY_WAIT * 1000);
  drain (self);
  g_print ("{\"mode\":\"%s\",\"seconds\":%.3f,\"sent\":%" G_GUINT64_FORMAT ",\"failed\":%" G_GUINT64_FORMAT
           ",\"sent_bytes\":%" G_GUINT64_FORMAT ",\"answers\":%" G_GUINT64_FORMAT ",\"answer_bytes\":%" G_GUINT64_FORMAT
           ",\"retries\":%" G_GUINT64_FORMAT ",\"version_negotiations\":%" G_GUINT64_FORMAT "}\n",
           mode_names[mode], (double)ns / 1e9, self->sent, self->failed, self->sent_bytes, self->answers,
           self->answer_bytes, self->retries, self->versions);
  for (guint i = 0; i < SOCKETS; i++)
    close (self->sockets[i]);
  if (asked >= 0)
    close (asked);
  g_array_unref (self->set);
}

int
main (int argc, char **argv)
{
  g_autofree char *mode_name = NULL;
  int rate = 10000, set = 8192, port = 0, sources = 4096;
  gboolean is_sink = FALSE;
  double seconds = 2;
  GOptionEntry entries[] = { { "port", 0, 0, G_OPTION_ARG_INT, &port, "of the gateway on 127.0.0.1", "PORT" },
                             { "mode", 0, 0, G_OPTION_ARG_STRING, &mode_name, "what to send", "MODE" },
                             { "rate", 0, 0, G_OPTION_ARG_INT, &rate, "datagrams a second", "N" },
                             { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &seconds, "for so long", "S" },
                             { "set", 0, 0, G_OPTION_ARG_INT, &set, "different datagrams", "N" },
                             { "sources", 0, 0, G_OPTION_ARG_INT, &sources, "different addresses", "N" },
                             { "sink", 0, 0, G_OPTION_ARG_NONE, &is_sink, "be what is flooded", NULL },
                             { 0 } };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  Flood self = { 0 };
  guint mode = 0;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error))
    g_error ("%s", error->message);
  if (is_sink)
    return sink ();
  if (mode_name == NULL)
    mode_name = g_strdup (mode_names[MODE_INITIAL]);
  while (mode_names[mode] != NULL && !g_str_equal (mode_names[mode], mode_name))
    mode++;
  if (mode_names[mode] == NULL || port <= 0 || port > 65535 || rate <= 0 || set <= 0 || sources <= 0)
    g_error ("usage: --port PORT [--mode MODE]: see --help");
  self.to = (struct sockaddr_in){ .sin_family = AF_INET,
                                  .sin_port = htons ((guint16)port),
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  self.sources = (guint)sources;
  flood (&self, (Mode)mode, (guint)set, (guint)rate, seconds);
  return 0;
}

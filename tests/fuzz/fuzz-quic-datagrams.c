/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/tl-random.h"
#include "fuzz-quic-identity.h"
#include "fuzz.h"
#include "quic/tl-quic-endpoint.h"
#include "quic/tl-quic-message.h"

#if __has_include(<gnutls/crypto.h>)
#include <gnutls/crypto.h>
#endif

/*
 * Datagrams into a server endpoint, from strangers and from a client that is admitted, over loopback sockets that are
 * driven one step at a time. An input is a program: its steps send raw bytes, let the client do something, spoil its
 * datagrams on their way, or put other frames into a packet that is then sealed properly (tl-quic-*.c are compiled with
 * the functions below in the places of the real ones: tests/fuzz/meson.build). Time, randomness (also GnuTLS's) and
 * keys are the same in every run, so a handshake that was recorded (RAW steps) goes through again.
 */
#define MAX_STEPS       96
#define MAX_CONNECTS    4
#define MAX_DATAGRAM    2048
#define MAX_ROUNDS      24 /* of passing datagrams on, after a step */
#define N_STRANGERS     4
#define MAX_CONNECTIONS 6
#define START_NS        (G_GUINT64_CONSTANT (1000) * 1000000000)

typedef enum
{
  SIDE_SERVER,
  SIDE_CLIENT,
  N_SIDES,
} Side;

typedef struct
{
  const guint8 *data;
  gsize left;
} Input;

/* What happens to the next datagram of one side. */
typedef struct
{
  guint8 kind; /* 0: nothing */
  guint8 place, value;
} Damage;

typedef struct
{
  GMainContext *contexts[N_SIDES];
  TlQuicEndpoint *endpoints[N_SIDES];
  TlClock *clock;
  TlQuicConnection *client; /* NULL: none */
  TlQuicStream *stream;     /* the client's newest; NULL: none */
  GQueue accepted;          /* of the server: TlQuicConnection */
  int door;                 /* where the client sends to */
  int strangers[N_STRANGERS];
  guint way;                 /* which of them its datagrams come from: a NAT's port */
  struct sockaddr_in server; /* where all of them send to */
  struct sockaddr_in home;   /* of the client; port 0: not known yet */
  Damage damage[N_SIDES];
  guint8 held[MAX_DATAGRAM]; /* a datagram that comes late */
  gsize n_held;
  guint8 last_id[12]; /* the connection id that the client used last */
  guint connects;
} World;

/* ---- in the places of the real ones ---- */

static guint64 now_ns = START_NS;
static Side side;
static TlRandom *randoms[N_SIDES];
static guint8 forged[256];
static gsize n_forged;

int fuzz_clock_gettime (clockid_t id, struct timespec *now);
TlRandom *fuzz_random_system (void);
int fuzz_encrypt (uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                  const uint8_t *plaintext, size_t length, const uint8_t *nonce, size_t n_nonce, const uint8_t *aad,
                  size_t n_aad);

int
fuzz_clock_gettime (clockid_t id, struct timespec *now)
{
  now->tv_sec = (time_t)(now_ns / 1000000000);
  now->tv_nsec = (long)(now_ns % 1000000000);
  return 0;
}

TlRandom *
fuzz_random_system (void)
{
  return randoms[side];
}

#if __has_include(<gnutls/crypto.h>)
/* GnuTLS calls its own through the dynamic linker, which finds this one first. */
int
gnutls_rnd (gnutls_rnd_level_t level, void *data, size_t length)
{
  if (randoms[side] == NULL) /* its self-tests */
    memset (data, 0x5a, length);
  else
    tl_random_bytes (randoms[side], data, length);
  return 0;
}
#endif

/* Forged frames go where the packet's own were; PADDING fills it up. */
int
fuzz_encrypt (uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
              const uint8_t *plaintext, size_t length, const uint8_t *nonce, size_t n_nonce, const uint8_t *aad,
              size_t n_aad)
{
  g_autofree guint8 *other = NULL;

  if (side == SIDE_CLIENT && n_forged > 0 && length > 0) /* none: the tag of a Retry */
    {
      other = g_malloc0 (length);
      memcpy (other, forged, MIN (n_forged, length));
      n_forged = 0;
    }
  return ngtcp2_crypto_encrypt (dest, aead, context, other != NULL ? other : plaintext, length, nonce, n_nonce, aad,
                                n_aad)
                 == 0
             ? 0
             : NGTCP2_ERR_CALLBACK_FAILURE;
}

/* ---- the server: answers as the gateway does, without a gateway ---- */

static void
on_frame (TlQuicStream *stream, const guint8 *data, gsize length, gpointer user_data)
{
  TlQuicRefusal refusal;
  g_autoptr (GError) error = NULL;
  g_autoptr (TlQuicRequest) request = tl_quic_request_parse (data, length, &refusal, &error);
  TlQuicAnswer answer = { .kind = TL_QUIC_ANSWER_ACK };
  g_autoptr (GBytes) frame
      = request != NULL ? tl_quic_answer_format (&answer) : tl_quic_answer_format_refusal (refusal, error);

  tl_quic_stream_send (stream, g_bytes_get_data (frame, NULL), g_bytes_get_size (frame),
                       request == NULL || request->method != TL_QUIC_METHOD_STREAM_EVENTS);
}

static void
on_too_large (TlQuicStream *stream, guint32 length, gpointer user_data)
{
  g_autoptr (GBytes) frame = tl_quic_answer_format_refusal (TL_QUIC_REFUSAL_FRAME_TOO_LARGE, NULL);

  g_assert_cmpuint (length, >, TL_QUIC_MAX_FRAME);
  tl_quic_stream_send (stream, g_bytes_get_data (frame, NULL), g_bytes_get_size (frame), TRUE);
}

static void
on_server_stream_closed (TlQuicStream *stream, guint64 code, gpointer user_data)
{
}

static const TlQuicStreamHandlers server_streams
    = { .frame = on_frame, .too_large = on_too_large, .closed = on_server_stream_closed };

static void
on_accepted (TlQuicConnection *connection, gpointer user_data)
{
  World *world = user_data;

  g_queue_push_tail (&world->accepted, connection);
  tl_quic_connection_set_data (connection, world);
}

static void
on_stream (TlQuicConnection *connection, TlQuicStream *stream, gpointer user_data)
{
  tl_quic_stream_set_handlers (stream, &server_streams, user_data);
}

/* Only those that were accepted, and once. */
static void
on_server_closed (TlQuicConnection *connection, const TlQuicClose *why, gpointer user_data)
{
  World *world = user_data;

  g_assert_true (g_queue_remove (&world->accepted, connection));
  g_assert_true (tl_quic_connection_get_data (connection) == world);
}

static const TlQuicConnectionHandlers server_handlers
    = { .accepted = on_accepted, .stream = on_stream, .closed = on_server_closed };

/* ---- the client ---- */

static void
on_client_stream_frame (TlQuicStream *stream, const guint8 *data, gsize length, gpointer user_data)
{
}

static void
on_client_stream_closed (TlQuicStream *stream, guint64 code, gpointer user_data)
{
  World *world = user_data;

  if (world->stream == stream)
    world->stream = NULL;
}

static const TlQuicStreamHandlers client_streams
    = { .frame = on_client_stream_frame, .closed = on_client_stream_closed };

static void
on_opened (TlQuicConnection *connection, gpointer user_data)
{
}

static void
on_client_closed (TlQuicConnection *connection, const TlQuicClose *why, gpointer user_data)
{
  World *world = user_data;
  g_autoptr (GError) error = tl_quic_close_to_error (why);

  g_assert_nonnull (error);
  world->client = NULL;
  world->stream = NULL;
}

static const TlQuicConnectionHandlers client_handlers = { .opened = on_opened, .closed = on_client_closed };

/* ---- the network ---- */

static int
open_socket (struct sockaddr_in *address)
{
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  socklen_t length = sizeof *address;

  *address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (bind (fd, (struct sockaddr *)address, sizeof *address), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *)address, &length), ==, 0);
  return fd;
}

static void
send_from (World *world, guint stranger, const guint8 *data, gsize length)
{
  sendto (world->strangers[stranger % N_STRANGERS], data, length, 0, (struct sockaddr *)&world->server,
          sizeof world->server);
}

static void
pass_on (World *world, Side from, const guint8 *data, gsize length)
{
  if (from == SIDE_CLIENT)
    send_from (world, world->way, data, length);
  else if (world->home.sin_port != 0)
    sendto (world->door, data, length, 0, (struct sockaddr *)&world->home, sizeof world->home);
}

static void
deliver (World *world, Side from, guint8 *data, gsize length)
{
  Damage damage = world->damage[from];

  world->damage[from].kind = 0;
  switch (damage.kind % 8)
    {
    case 1: /* lost */
      return;
    case 2: /* twice */
      pass_on (world, from, data, length);
      break;
    case 3: /* cut */
      length = length * damage.place / 256;
      break;
    case 4: /* changed */
      data[length * damage.place / 256] ^= damage.value;
      break;
    case 5: /* late */
      world->n_held = MIN (length, sizeof world->held);
      memcpy (world->held, data, world->n_held);
      return;
    case 6: /* and again from elsewhere */
      send_from (world, damage.place, data, length);
      break;
    case 7: /* another header */
      data[0] ^= damage.value;
      break;
    }
  pass_on (world, from, data, length);
  if (world->n_held > 0)
    {
      pass_on (world, from, world->held, world->n_held);
      world->n_held = 0;
    }
}

/* What waits in a socket goes to the other side. */
static gboolean
carry (World *world, int fd, Side from)
{
  guint8 data[MAX_DATAGRAM];
  struct sockaddr_in source;
  socklen_t n_source = sizeof source;
  gboolean any = FALSE;
  ssize_t n;

  while ((n = recvfrom (fd, data, sizeof data, 0, (struct sockaddr *)&source, &n_source)) > 0)
    {
      any = TRUE;
      if (from == SIDE_CLIENT)
        {
          world->home = source;
          if ((data[0] & 0x80) == 0 && (gsize)n > sizeof world->last_id)
            memcpy (world->last_id, data + 1, sizeof world->last_id);
        }
      deliver (world, from, data, (gsize)n);
      n_source = sizeof source;
    }
  return any;
}

static void
turn (World *world, Side which)
{
  side = which;
  for (guint i = 0; i < 3; i++)
    g_main_context_iteration (world->contexts[which], FALSE);
  side = SIDE_SERVER;
}

/* Until nobody has anything to say. */
static void
settle (World *world)
{
  for (guint round = 0; round < MAX_ROUNDS; round++)
    {
      gboolean any = FALSE;

      turn (world, SIDE_CLIENT);
      any |= carry (world, world->door, SIDE_CLIENT);
      turn (world, SIDE_SERVER);
      for (guint i = 0; i < N_STRANGERS; i++)
        any |= carry (world, world->strangers[i], SIDE_SERVER);
      now_ns += 100000; /* a tenth of a millisecond on the way */
      if (!any && round > 1)
        break;
    }
}

/* ---- the program ---- */

static guint8
take_byte (Input *input)
{
  if (input->left == 0)
    return 0;
  input->left--;
  return *input->data++;
}

static gsize
take_bytes (Input *input, gsize n, const guint8 **data)
{
  n = MIN (n, input->left);
  *data = input->data;
  input->data += n;
  input->left -= n;
  return n;
}

static gsize
take_length (Input *input)
{
  gsize low = take_byte (input);
  return low | (gsize)take_byte (input) << 8;
}

/* As it is; or made as long as a client's first one has to be; or with an id that the server knows. */
static void
send_raw (World *world, Input *input, gboolean padded, gboolean known_id)
{
  guint8 datagram[MAX_DATAGRAM] = { 0 };
  guint stranger = take_byte (input);
  const guint8 *data;
  gsize n = take_length (input);
  gsize length = 0;

  n = take_bytes (input, MIN (n, sizeof datagram - 16), &data);
  if (known_id)
    {
      datagram[0] = 0x40;
      memcpy (datagram + 1, world->last_id, sizeof world->last_id);
      length = 1 + sizeof world->last_id;
    }
  memcpy (datagram + length, data, n);
  length = MAX (length + n, padded ? 1200 : 0);
  send_from (world, stranger, datagram, length);
}

static TlQuicTls *tls_of[N_SIDES];

static void
connect_client (World *world)
{
  struct sockaddr_in door;
  socklen_t length = sizeof door;
  g_autofree char *address = NULL;

  if (world->client != NULL || world->connects++ >= MAX_CONNECTS)
    return;
  getsockname (world->door, (struct sockaddr *)&door, &length);
  address = g_strdup_printf ("127.0.0.1:%u", ntohs (door.sin_port));
  side = SIDE_CLIENT;
  world->client = tl_quic_endpoint_connect (world->endpoints[SIDE_CLIENT], address, tls_of[SIDE_CLIENT],
                                            &client_handlers, world, NULL);
  side = SIDE_SERVER;
}

static void
use_stream (World *world, Input *input, gboolean fresh)
{
  guint8 flags = take_byte (input);
  const guint8 *data;
  gsize n = take_bytes (input, take_length (input), &data);

  if (fresh && world->client != NULL)
    world->stream = tl_quic_connection_open_stream (world->client, &client_streams, world);
  if (world->stream == NULL)
    return;
  if ((flags & 2) != 0)
    tl_quic_stream_reset (world->stream, TL_QUIC_STREAM_CANCELLED);
  else if (n > 0)
    tl_quic_stream_send (world->stream, data, n, flags & 1);
  else
    tl_quic_stream_finish (world->stream);
}

static void
move_client (World *world, guint8 how)
{
  if (how & 1)
    world->way++; /* a NAT's doing: the client does not know */
  else if (world->client != NULL && (how & 2) != 0)
    tl_quic_connection_rebind (world->client, NULL);
  else if (world->client != NULL)
    tl_quic_connection_migrate (world->client, (how & 4) != 0, NULL);
}

static void
change_server (World *world, guint8 how)
{
  TlQuicConnection *connection = g_queue_peek_head (&world->accepted);

  if (how == 0xff)
    tl_quic_endpoint_stop_accepting (world->endpoints[SIDE_SERVER]);
  else if (connection != NULL)
    tl_quic_connection_close (connection, TL_QUIC_CLOSE_REVOKED, "fuzz");
}

static void
pass_time (World *world, guint8 how)
{
  static const gint64 ms[] = { 1, 5, 30, 200, 1000, 5000, 11000, 61000 };
  gint64 step = ms[how % G_N_ELEMENTS (ms)];

  now_ns += (guint64)step * 1000000;
  tl_clock_advance (world->clock, step);
}

static void
set_damage (World *world, Input *input, Side from)
{
  world->damage[from].kind = take_byte (input);
  world->damage[from].place = take_byte (input);
  world->damage[from].value = take_byte (input);
}

static void
forge (Input *input)
{
  const guint8 *data;

  n_forged = take_bytes (input, take_byte (input), &data);
  memcpy (forged, data, n_forged);
}

static void
step (World *world, Input *input)
{
  switch (take_byte (input) % 14)
    {
    case 0:
      send_raw (world, input, FALSE, FALSE);
      break;
    case 1:
      send_raw (world, input, TRUE, FALSE);
      break;
    case 2:
      send_raw (world, input, FALSE, TRUE);
      break;
    case 3:
      connect_client (world);
      break;
    case 4:
      set_damage (world, input, SIDE_CLIENT);
      return; /* of what comes next */
    case 5:
      set_damage (world, input, SIDE_SERVER);
      return;
    case 6:
      forge (input);
      return;
    case 7:
      use_stream (world, input, TRUE);
      break;
    case 8:
      use_stream (world, input, FALSE);
      break;
    case 9:
      move_client (world, take_byte (input));
      break;
    case 10:
      if (world->client != NULL)
        tl_quic_connection_ping (world->client);
      break;
    case 11:
      change_server (world, take_byte (input));
      break;
    case 12:
      if (world->client != NULL)
        tl_quic_connection_close (world->client, take_byte (input), "done");
      break;
    default:
      pass_time (world, take_byte (input));
    }
  settle (world);
}

/* ---- a world for each input ---- */

static guint8
verify (const TlQuicPeerCertificate *peer, gpointer user_data)
{
  return g_str_equal (peer->fingerprint, user_data) ? TL_QUIC_ALERT_NONE : TL_QUIC_ALERT_CERTIFICATE_REVOKED;
}

static TlQuicTls *
make_tls (gboolean is_server, const char *chain, const char *key, const char *peer)
{
  g_autoptr (TlSecret) key_pem = tl_secret_new_copy (key, strlen (key));
  const TlQuicTlsOptions options = {
    .is_server = is_server, .chain_pem = chain, .key_pem = key_pem, .verify = verify, .verify_data = (gpointer)peer
  };
  TlQuicTls *tls = tl_quic_tls_new (&options, NULL);

  g_assert_nonnull (tls);
  return tls;
}

static TlQuicEndpoint *
make_endpoint (World *world, Side which, guint8 flags)
{
  static const guint8 secret[TL_QUIC_SECRET_LENGTH] = "always the same, for what is kep";
  const TlQuicEndpointOptions options = {
    .context = world->contexts[which],
    .clock = world->clock,
    .handlers = which == SIDE_SERVER ? &server_handlers : NULL,
    .user_data = world,
    .tls = which == SIDE_SERVER ? tls_of[SIDE_SERVER] : NULL,
    .secret = secret,
    .max_connections = MAX_CONNECTIONS,
    .retry_threshold = flags & 1 ? TL_QUIC_RETRY_ALWAYS : 4,
  };
  TlQuicEndpoint *endpoint;

  side = which;
  endpoint = tl_quic_endpoint_new (&options, NULL);
  side = SIDE_SERVER;
  g_assert_nonnull (endpoint);
  return endpoint;
}

static void
set_up (World *world, guint8 flags)
{
  struct sockaddr_in address;
  guint16 port;

  memset (world, 0, sizeof *world);
  now_ns = START_NS;
  n_forged = 0;
  for (guint i = 0; i < N_SIDES; i++)
    {
      g_clear_pointer (&randoms[i], tl_random_free);
      randoms[i] = tl_random_new_test (i + 1);
      if (tls_of[i] == NULL)
        tls_of[i] = i == SIDE_SERVER ? make_tls (TRUE, server_chain, server_key, client_fingerprint)
                                     : make_tls (FALSE, client_chain, client_key, server_fingerprint);
      world->contexts[i] = g_main_context_new ();
    }
  world->clock = tl_clock_new_virtual (G_GINT64_CONSTANT (1764075600000));
  for (guint i = 0; i < N_SIDES; i++)
    world->endpoints[i] = make_endpoint (world, i, flags);
  g_assert_true (tl_quic_endpoint_listen (world->endpoints[SIDE_SERVER], "127.0.0.1:0", &port, NULL));
  world->door = open_socket (&address);
  for (guint i = 0; i < N_STRANGERS; i++)
    world->strangers[i] = open_socket (&address);
  world->server = address;
  world->server.sin_port = htons (port);
}

static void
count (gpointer connection, gpointer user_data)
{
  (*(guint *)user_data)++;
}

/* What the endpoint says of itself is so, and nobody got more than there is. */
static void
look (World *world)
{
  TlQuicEndpointStats stats;
  guint n = 0;

  tl_quic_endpoint_get_stats (world->endpoints[SIDE_SERVER], &stats);
  tl_quic_endpoint_foreach (world->endpoints[SIDE_SERVER], count, &n);
  g_assert_cmpuint (stats.connections, ==, n);
  g_assert_cmpuint (n, <=, MAX_CONNECTIONS);
  g_assert_cmpuint (stats.half_open, <=, n);
  g_assert_cmpuint (world->accepted.length, <=, n);
}

static void
tear_down (World *world)
{
  for (guint i = N_SIDES; i > 0; i--)
    {
      side = i - 1;
      tl_quic_endpoint_free (world->endpoints[i - 1]);
      g_main_context_unref (world->contexts[i - 1]);
    }
  g_assert_null (world->client);
  g_assert_true (g_queue_is_empty (&world->accepted));
  tl_clock_free (world->clock);
  close (world->door);
  for (guint i = 0; i < N_STRANGERS; i++)
    close (world->strangers[i]);
}

/* First byte: bit 0, addresses have to be proven first. Then steps. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  Input input = { data, size };
  World world;

  set_up (&world, take_byte (&input));
  for (guint n = 0; n < MAX_STEPS && input.left > 0; n++)
    {
      step (&world, &input);
      look (&world);
    }
  tear_down (&world);
  return 0;
}

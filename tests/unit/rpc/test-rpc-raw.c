/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc-fixture.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <glib/gstdio.h>
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

/* What our own client never sends: foreign bytes, compression, too many headers. Over the local socket, where no TLS is
 * in the way. */

#define BOMB_BYTES (8u << 20)

typedef struct
{
  Fixture *fixture;
  char *directory;
  char *path;
  grpc_completion_queue *cq;
  grpc_channel *channel;
} Raw;

static Raw
raw_new (void)
{
  Raw raw = { 0 };
  struct sockaddr_un name = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  grpc_channel_credentials *insecure;
  g_autoptr (GError) error = NULL;

  raw.directory = g_dir_make_tmp ("tl-rpc-XXXXXX", &error);
  g_assert_no_error (error);
  raw.path = g_build_filename (raw.directory, "admin.sock", NULL);
  raw.fixture = fixture_new_idle (NULL);
  g_assert_true (tl_rpc_server_listen_local (raw.fixture->server, raw.path, 0600, NULL, &error));
  g_assert_true (tl_rpc_server_start (raw.fixture->server, &error));
  g_strlcpy (name.sun_path, raw.path, sizeof name.sun_path);
  g_assert_cmpint (connect (fd, (struct sockaddr *)&name, sizeof name), ==, 0);
  insecure = grpc_insecure_credentials_create ();
  raw.cq = grpc_completion_queue_create_for_next (NULL);
  raw.channel = grpc_channel_create_from_fd ("raw", fd, insecure, NULL);
  grpc_channel_credentials_release (insecure);
  return raw;
}

static void
raw_clear (Raw *raw)
{
  gpr_timespec forever = gpr_inf_future (GPR_CLOCK_REALTIME);

  grpc_channel_destroy (raw->channel);
  grpc_completion_queue_shutdown (raw->cq);
  while (grpc_completion_queue_next (raw->cq, forever, NULL).type != GRPC_QUEUE_SHUTDOWN)
    ;
  grpc_completion_queue_destroy (raw->cq);
  fixture_free (raw->fixture);
  g_assert_cmpint (g_rmdir (raw->directory), ==, 0);
  g_free (raw->path);
  g_free (raw->directory);
}

/* The default main context is the server's, gRPC's queue is the client's: both are served. */
static grpc_status_code
raw_call (Raw *raw, grpc_byte_buffer *message, grpc_metadata *headers, gsize n_headers)
{
  grpc_slice method = grpc_slice_from_static_string ("/test/Echo");
  grpc_call *call = grpc_channel_create_call (raw->channel, NULL, GRPC_PROPAGATE_DEFAULTS, raw->cq, method, NULL,
                                              gpr_time_add (gpr_now (GPR_CLOCK_MONOTONIC),
                                                            gpr_time_from_millis (TEST_WAIT_MS, GPR_TIMESPAN)),
                                              NULL);
  grpc_metadata_array initial;
  grpc_metadata_array trailing;
  grpc_byte_buffer *answer = NULL;
  grpc_slice details = grpc_empty_slice ();
  grpc_status_code status = GRPC_STATUS_OK;
  grpc_op ops[6] = { 0 };

  grpc_metadata_array_init (&initial);
  grpc_metadata_array_init (&trailing);
  ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
  ops[0].data.send_initial_metadata.count = n_headers;
  ops[0].data.send_initial_metadata.metadata = headers;
  ops[1].op = GRPC_OP_SEND_MESSAGE;
  ops[1].data.send_message.send_message = message;
  ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
  ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
  ops[3].data.recv_initial_metadata.recv_initial_metadata = &initial;
  ops[4].op = GRPC_OP_RECV_MESSAGE;
  ops[4].data.recv_message.recv_message = &answer;
  ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
  ops[5].data.recv_status_on_client.trailing_metadata = &trailing;
  ops[5].data.recv_status_on_client.status = &status;
  ops[5].data.recv_status_on_client.status_details = &details;
  g_assert_cmpint (grpc_call_start_batch (call, ops, G_N_ELEMENTS (ops), raw, NULL), ==, GRPC_CALL_OK);
  wait_until (grpc_completion_queue_next (raw->cq, gpr_now (GPR_CLOCK_MONOTONIC), NULL).tag == raw);

  grpc_call_unref (call);
  g_clear_pointer (&answer, grpc_byte_buffer_destroy);
  grpc_byte_buffer_destroy (message);
  grpc_slice_unref (details);
  grpc_metadata_array_destroy (&initial);
  grpc_metadata_array_destroy (&trailing);
  return status;
}

static grpc_byte_buffer *
bytes (const void *data, gsize length, grpc_compression_algorithm compression)
{
  grpc_slice slice = grpc_slice_from_copied_buffer (data, length);
  grpc_byte_buffer *buffer = grpc_raw_compressed_byte_buffer_create (&slice, 1, compression);

  grpc_slice_unref (slice);
  return buffer;
}

static void
test_bytes (void)
{
  static const struct
  {
    const char *data;
    gsize length;
    grpc_status_code status;
  } rows[] = {
    { "\012\002hi", 4, GRPC_STATUS_OK },
    { "", 0, GRPC_STATUS_OK },
    { "\012\177hi", 4, GRPC_STATUS_INVALID_ARGUMENT }, /* longer than it is */
    { "\012", 1, GRPC_STATUS_INVALID_ARGUMENT },
    { "\377\377\377\377\377\377\377\377\377\377\377", 11, GRPC_STATUS_INVALID_ARGUMENT },
    { "\012\004\377\376\000\001", 6, GRPC_STATUS_OK }, /* protobuf-c does not look at UTF-8: handlers have to */
  };
  Raw raw = raw_new ();

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    g_assert_cmpint (raw_call (&raw, bytes (rows[i].data, rows[i].length, GRPC_COMPRESS_NONE), NULL, 0), ==,
                     rows[i].status);
  raw_clear (&raw);
}

static GBytes *
gzip (const void *data, gsize length)
{
  g_autoptr (GZlibCompressor) compressor = g_zlib_compressor_new (G_ZLIB_COMPRESSOR_FORMAT_GZIP, 9);
  g_autoptr (GInputStream) plain = g_memory_input_stream_new_from_data (data, (gssize)length, NULL);
  g_autoptr (GInputStream) packed = g_converter_input_stream_new (plain, G_CONVERTER (compressor));
  g_autoptr (GError) error = NULL;
  GBytes *out = g_input_stream_read_bytes (packed, length, NULL, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (out), <, BOMB_BYTES / 100);
  return out;
}

/* A few kB that would be 8 MiB: refused, not unpacked. With and without saying so in the headers. */
static void
test_compressed (void)
{
  Raw raw = raw_new ();
  g_autofree guint8 *plain = g_malloc0 (BOMB_BYTES);
  g_autoptr (GBytes) packed = gzip (plain, BOMB_BYTES);
  gsize length;
  const void *data = g_bytes_get_data (packed, &length);
  grpc_metadata encoding = { 0 };

  encoding.key = grpc_slice_from_static_string ("grpc-encoding");
  encoding.value = grpc_slice_from_static_string ("gzip");
  g_assert_cmpint (raw_call (&raw, bytes (data, length, GRPC_COMPRESS_GZIP), NULL, 0), !=, GRPC_STATUS_OK);
  g_assert_cmpint (raw_call (&raw, bytes (data, length, GRPC_COMPRESS_GZIP), &encoding, 1), ==,
                   GRPC_STATUS_UNIMPLEMENTED);
  g_assert_cmpuint (raw.fixture->messages, ==, 0);
  g_assert_cmpint (raw_call (&raw, bytes ("\012\002hi", 4, GRPC_COMPRESS_NONE), NULL, 0), ==, GRPC_STATUS_OK);
  raw_clear (&raw);
}

/* gRPC holds a peer to the limit once it has acknowledged our SETTINGS: hence the call before. */
static void
test_large_headers (void)
{
  Raw raw = raw_new ();
  g_autofree char *text = g_strnfill (16384, 'x');
  grpc_metadata header = { 0 };

  g_assert_cmpint (raw_call (&raw, bytes ("\012\002hi", 4, GRPC_COMPRESS_NONE), NULL, 0), ==, GRPC_STATUS_OK);
  header.key = grpc_slice_from_static_string ("x-large");
  header.value = grpc_slice_from_copied_string (text);
  g_assert_cmpint (raw_call (&raw, bytes ("\012\002hi", 4, GRPC_COMPRESS_NONE), &header, 1), ==,
                   GRPC_STATUS_RESOURCE_EXHAUSTED);
  g_assert_cmpuint (raw.fixture->messages, ==, 1);
  grpc_slice_unref (header.value);
  raw_clear (&raw);
}

/* gRPC says that a server has stopped while the call that stops it still runs: nobody may destroy it before that
 * returned. */
static void
test_stops_again_and_again (void)
{
  guint rounds = g_strcmp0 (g_getenv ("TL_TEST_FULL"), "1") == 0 ? 2000 : 50;

  for (guint i = 0; i < rounds; i++)
    {
      Raw raw = raw_new ();

      if (i % 2 == 0)
        g_assert_cmpint (raw_call (&raw, bytes ("\012\002hi", 4, GRPC_COMPRESS_NONE), NULL, 0), ==, GRPC_STATUS_OK);
      raw_clear (&raw);
    }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rpc/raw/stops-again-and-again", test_stops_again_and_again);
  g_test_add_func ("/rpc/raw/bytes", test_bytes);
  g_test_add_func ("/rpc/raw/compressed", test_compressed);
  g_test_add_func ("/rpc/raw/large-headers", test_large_headers);
  return g_test_run ();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/tl-json.h"
#include "base/tl-ulid.h"
#include "bench.h"
#include "twinlatch/v1/node.pb-c.h"

#define WARM_UP        4 /* what is made once for all connections is there before the first look */
#define IN_FLIGHT      4
#define N_CAPABILITIES 8
#define CALL_MS        30000

typedef struct
{
  BenchDevice *device;
  TlRpcIdentity *identity;
  TlRpcClient *client;
  TlRpcStream *stream;
  char *instance_id;
  BenchOperation *operation; /* until it is connected */
  gboolean open;
} Node;

typedef struct
{
  Bench *bench;
  const char *address;
  GPtrArray *devices;
  gboolean registers; /* FALSE: the bare server has nowhere to */
  GPtrArray *nodes;   /* Node; connected or about to be */
} Crowd;

/* ---- one node: connects, registers, opens its stream, stays */

static void
connected (Node *node, const GError *error)
{
  BenchOperation *operation = g_steal_pointer (&node->operation);

  if (operation != NULL)
    bench_operation_finish (operation, error);
}

static void
on_message (TlRpcStream *stream, const ProtobufCMessage *message, gpointer user_data)
{
  const Twinlatch__V1__StreamEventsResponse *answer = (const Twinlatch__V1__StreamEventsResponse *)message;

  if (answer->kind_case == TWINLATCH__V1__STREAM_EVENTS_RESPONSE__KIND_READY)
    connected (user_data, NULL);
}

static void
on_closed (TlRpcStream *stream, const GError *error, gpointer user_data)
{
  Node *node = user_data;

  node->open = FALSE;
  connected (node, error);
}

static void
open_stream (Node *node)
{
  static const TlRpcStreamHandlers handlers = { on_message, on_closed };
  Twinlatch__V1__Cursor cursor = TWINLATCH__V1__CURSOR__INIT;
  Twinlatch__V1__StreamEventsRequest__Resume resume = TWINLATCH__V1__STREAM_EVENTS_REQUEST__RESUME__INIT;
  Twinlatch__V1__StreamEventsRequest request = TWINLATCH__V1__STREAM_EVENTS_REQUEST__INIT;

  resume.device_id = (char *)tl_device_identity_device_id (node->device->identity);
  resume.cursor = &cursor;
  resume.instance_id = node->instance_id;
  request.kind_case = TWINLATCH__V1__STREAM_EVENTS_REQUEST__KIND_RESUME;
  request.resume = &resume;
  node->open = TRUE;
  node->stream = tl_rpc_client_stream (node->client, "/twinlatch.v1.NodeService/StreamEvents", NULL,
                                       &twinlatch__v1__stream_events_response__descriptor, 0, &handlers, node);
  tl_rpc_stream_send (node->stream, &request.base);
}

static void
on_registered (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Node *node = user_data;
  g_autoptr (GError) error = NULL;
  ProtobufCMessage *answer = tl_rpc_client_call_finish (node->client, result, &error);

  if (answer == NULL)
    {
      connected (node, error);
      return;
    }
  protobuf_c_message_free_unpacked (answer, NULL);
  open_stream (node);
}

static void
register_node (Node *node)
{
  Twinlatch__V1__RegisterNodeRequest request = TWINLATCH__V1__REGISTER_NODE_REQUEST__INIT;
  Twinlatch__V1__CapabilityDescriptor capabilities[N_CAPABILITIES], *pointers[N_CAPABILITIES];
  char names[N_CAPABILITIES][16];
  uint32_t version = 1;

  for (guint i = 0; i < N_CAPABILITIES; i++)
    {
      g_snprintf (names[i], sizeof names[i], "bench.number%u", i);
      twinlatch__v1__capability_descriptor__init (&capabilities[i]);
      capabilities[i].name = names[i];
      capabilities[i].description = (char *)"A capability as real ones are: a line for people and two schemas.";
      capabilities[i].input_schema = (char *)"{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"},"
                                             "\"limit\":{\"type\":\"integer\"}},\"required\":[\"path\"]}";
      capabilities[i].output_schema = (char *)"{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"}}}";
      capabilities[i].consent = TWINLATCH__V1__CONSENT_LEVEL__CONSENT_LEVEL_ALLOW;
      capabilities[i].available = TRUE;
      pointers[i] = &capabilities[i];
    }
  request.device_id = (char *)tl_device_identity_device_id (node->device->identity);
  request.n_versions = 1;
  request.versions = &version;
  request.platform = (char *)"linux x86_64";
  request.node_version = (char *)"bench";
  request.n_capabilities = N_CAPABILITIES;
  request.capabilities = pointers;
  request.client_kind = TWINLATCH__V1__CLIENT_KIND__CLIENT_KIND_NODE;
  request.instance_id = node->instance_id;
  tl_rpc_client_call_async (node->client, "/twinlatch.v1.NodeService/RegisterNode", &request.base,
                            &twinlatch__v1__register_node_response__descriptor, CALL_MS, NULL, on_registered, node);
}

static void
start_node (BenchOperation *operation, guint index, gpointer user_data)
{
  Crowd *crowd = user_data;
  Node *node = g_new0 (Node, 1);
  g_autoptr (GError) error = NULL;

  node->operation = operation;
  node->device = g_ptr_array_index (crowd->devices, crowd->nodes->len);
  node->instance_id = tl_ulid_new (g_get_real_time () / 1000, tl_random_system ());
  g_ptr_array_add (crowd->nodes, node);
  node->identity = bench_device_rpc_identity (node->device, &error);
  if (node->identity != NULL)
    node->client = bench_device_client (node->device, node->identity, crowd->bench->loop, crowd->address, &error);
  if (node->client == NULL)
    connected (node, error);
  else if (crowd->registers)
    register_node (node);
  else
    open_stream (node);
}

static void
node_free (gpointer data)
{
  Node *node = data;

  if (node->stream != NULL)
    tl_rpc_stream_cancel (node->stream);
  while (node->open)
    g_main_context_iteration (NULL, TRUE);
  g_clear_pointer (&node->stream, tl_rpc_stream_unref);
  g_clear_pointer (&node->client, tl_rpc_client_unref);
  g_clear_pointer (&node->identity, tl_rpc_identity_unref);
  g_free (node->instance_id);
  g_free (node);
}

/* What one connection adds to the server. */
static gboolean
measure (Crowd *crowd, BenchProcess *server, BenchMemory *each, GError **error)
{
  guint count = bench_node_count (crowd->bench) - WARM_UP;
  BenchMemory before = { 0 }, after = { 0 };
  gboolean done;

  crowd->nodes = g_ptr_array_new_with_free_func (node_free);
  done = bench_load_run (WARM_UP, 1, start_node, crowd, NULL, error) && bench_process_memory (server, &before, error)
         && bench_load_run (count, IN_FLIGHT, start_node, crowd, NULL, error)
         && bench_process_memory (server, &after, error);
  g_ptr_array_unref (crowd->nodes);
  each->rss_kib = (after.rss_kib - before.rss_kib) / count;
  each->anonymous_kib = (after.anonymous_kib - before.anonymous_kib) / count;
  return done;
}

/* ---- the two servers */

static gboolean
measure_daemon (Bench *bench, BenchMemory *each, GError **error)
{
  Crowd crowd = { .bench = bench, .address = bench->daemon->address, .devices = bench->devices, .registers = TRUE };

  return measure (&crowd, bench->daemon->process, each, error);
}

/* Whom the bare server lets in: a fingerprint and a device id a line. */
static gboolean
write_admitted (GPtrArray *devices, const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, "admitted", NULL);
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < devices->len; i++)
    {
      BenchDevice *device = g_ptr_array_index (devices, i);
      g_autofree char *fingerprint = tl_certificate_fingerprint (tl_device_identity_certificate (device->identity));

      g_string_append_printf (text, "%s %s\n", fingerprint, tl_device_identity_device_id (device->identity));
    }
  return g_file_set_contents (path, text->str, (gssize)text->len, error);
}

static gboolean
measure_bare (Bench *bench, BenchMemory *each, GError **error)
{
  const char *const argv[] = { bench->self, "--bare-server", bench->directory, NULL };
  g_autoptr (GPtrArray) devices = g_ptr_array_new_with_free_func ((GDestroyNotify)bench_device_free);
  g_autoptr (BenchProcess) server = NULL;
  g_autofree char *address = NULL;
  tl_json_auto ready = NULL;
  Crowd crowd = { .bench = bench, .devices = devices };

  while (devices->len < bench_node_count (bench))
    {
      BenchDevice *device = bench_pki_new_device (bench->pki, error);

      if (device == NULL)
        return FALSE;
      g_ptr_array_add (devices, device);
    }
  if (!bench_pki_write_server (bench->pki, bench->directory, error)
      || !write_admitted (devices, bench->directory, error))
    return FALSE;
  server = bench_process_start (bench->directory, "bare-server", argv, &ready, error);
  if (server == NULL)
    return FALSE;
  address = g_strdup_printf ("127.0.0.1:%d", (int)json_integer_value (json_object_get (ready, "port")));
  crowd.address = address;
  return measure (&crowd, server, each, error);
}

gboolean
bench_memory (Bench *bench, GError **error)
{
  BenchMemory daemon = { 0 }, bare = { 0 };
  BenchRow row = { .bench = "memory_per_node_rss",
                   .unit = "KiB",
                   .budget = NAN, /* DESIGN's are for QUIC connections and for the agent */
                   .against = "a server with one stream a connection and nothing else" };

  if (!measure_bare (bench, &bare, error) || !measure_daemon (bench, &daemon, error))
    return FALSE;
  row.value = daemon.rss_kib;
  row.reference = bare.rss_kib;
  bench_report_add (bench->report, &row);
  row.bench = "memory_per_node_private";
  row.value = daemon.anonymous_kib;
  row.reference = bare.anonymous_kib;
  bench_report_add (bench->report, &row);
  return TRUE;
}

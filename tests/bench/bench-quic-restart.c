/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-ulid.h"
#include "bench-quic.h"

/*
 * A gateway with a crowd of nodes is stopped and started on the same port: until the last of them has its event stream
 * again. They come back at once, as many at a time as the bare client has under way; real ones wait a random while.
 */
#define NODES       5000
#define NODES_QUICK 200
#define IN_FLIGHT   32
#define MOST_S      20.0

typedef struct
{
  BenchBareTls *tls;
  guint8 *request;
  gsize length;
} Node;

typedef struct
{
  BenchQuic *quic;
  GPtrArray *nodes;
  BenchBareEndpoint *endpoint;
} Crowd;

static void
node_free (gpointer data)
{
  Node *node = data;

  bench_bare_tls_free (node->tls);
  g_free (node->request);
  g_free (node);
}

static void
crowd_clear (Crowd *crowd)
{
  g_clear_pointer (&crowd->endpoint, bench_bare_endpoint_free);
  g_clear_pointer (&crowd->nodes, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Crowd, crowd_clear)

static Node *
node_new (const BenchCrowd *devices, guint device, GError **error)
{
  g_autofree char *instance_id = tl_ulid_new (g_get_real_time () / 1000, tl_random_system ());
  g_autofree char *text = g_strdup_printf ("....{\"protocol_version\":1,\"method\":\"node.stream_events\","
                                           "\"resume_from\":0,\"resume_id\":\"\",\"instance_id\":\"%s\"}",
                                           instance_id);
  BenchBareTls *tls = bench_crowd_tls (devices, device, error);
  Node *node;

  if (tls == NULL)
    return NULL;
  node = g_new0 (Node, 1);
  node->tls = tls;
  node->length = strlen (text);
  node->request = (guint8 *)g_steal_pointer (&text);
  for (guint i = 0; i < 4; i++)
    node->request[i] = (guint8)((node->length - 4) >> (24 - 8 * i));
  return node;
}

static void
start_node (BenchOperation *operation, guint index, gpointer user_data)
{
  Crowd *crowd = user_data;
  Node *node = g_ptr_array_index (crowd->nodes, index);

  bench_bare_connection_subscribe (bench_bare_connect (crowd->endpoint, node->tls, NULL), node->request, node->length,
                                   "\"ready\"", operation);
}

static gboolean
connect_all (Crowd *crowd, GError **error)
{
  g_clear_pointer (&crowd->endpoint, bench_bare_endpoint_free);
  crowd->endpoint = bench_bare_endpoint_new_client (bench_daemon_port (crowd->quic->daemon), error);
  return crowd->endpoint != NULL && bench_load_run (crowd->nodes->len, IN_FLIGHT, start_node, crowd, NULL, error);
}

gboolean
bench_quic_restart (BenchQuic *quic, GError **error)
{
  const guint count = quic->bench->quick ? NODES_QUICK : NODES;
  g_auto (Crowd) crowd = { .quic = quic, .nodes = g_ptr_array_new_with_free_func (node_free) };
  BenchRow row = { .bench = "quic_restart_all_back",
                   .unit = "s",
                   .budget = MOST_S,
                   .against = quic->bench->quick ? "200 nodes, connecting for the first time"
                                                 : "5 000 nodes, connecting for the first time" };
  double began;

  while (crowd.nodes->len < count)
    {
      Node *node = node_new (&quic->crowd, crowd.nodes->len, error);

      if (node == NULL)
        return FALSE;
      g_ptr_array_add (crowd.nodes, node);
    }
  began = bench_now ();
  if (!connect_all (&crowd, error))
    return FALSE;
  row.reference = bench_now () - began;
  began = bench_now ();
  if (!bench_quic_start_gateway (quic, bench_daemon_port (quic->daemon), error) || !connect_all (&crowd, error))
    return FALSE;
  row.value = bench_now () - began;
  bench_report_add (quic->bench->report, &row);
  return TRUE;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/tl-rpc-core.h"

#include <pthread.h>
#include <unistd.h>

#include <grpc/grpc_posix.h>
#include <grpc/slice.h>

#define CALLS_REQUESTED 16 /* arrivals gRPC may hand over without waiting for us */
#define MAX_PATH        256

struct _TlRpcCore
{
  TlRpcLoop *loop;
  TlRpcCoreSetup setup;
  grpc_completion_queue *cq;
  grpc_server_credentials *insecure; /* local only */
  TlRpcTag shutdown_tag;
  gboolean shutting_down; /* main context */

  pthread_mutex_t lock;
  grpc_server *grpc; /* NULL after it stopped; under lock */
};

/* One awaited arrival. */
typedef struct
{
  TlRpcTag tag;
  TlRpcCore *core;
  grpc_call *call;
  grpc_call_details details;
  grpc_metadata_array metadata;
} Arrival;

static void await_call (TlRpcCore *core);

static void
on_arrival (TlRpcTag *tag, gboolean ok)
{
  Arrival *arrival = TL_RPC_TAG_OWNER (tag, Arrival, tag);
  TlRpcCore *core = arrival->core;

  if (ok)
    {
      g_autofree char *path = NULL;

      await_call (core);
      if (GRPC_SLICE_LENGTH (arrival->details.method) <= MAX_PATH)
        path = tl_rpc_slice_to_string (arrival->details.method);
      core->setup.on_call (core, g_steal_pointer (&arrival->call), path != NULL ? path : "", core->setup.owner);
    }
  grpc_call_details_destroy (&arrival->details);
  grpc_metadata_array_destroy (&arrival->metadata);
  g_free (arrival);
}

static void
await_call (TlRpcCore *core)
{
  Arrival *arrival = g_new0 (Arrival, 1);

  arrival->tag.done = on_arrival;
  arrival->core = core;
  grpc_call_details_init (&arrival->details);
  grpc_metadata_array_init (&arrival->metadata);
  grpc_server_request_call (core->grpc, &arrival->call, &arrival->details, &arrival->metadata, core->cq, core->cq,
                            &arrival->tag);
}

static void
deliver_stopped (gpointer data)
{
  TlRpcCore *core = data;

  core->setup.on_stopped (core, core->setup.owner);
}

/* rpc thread: no call and no awaited arrival is left. */
static void
on_shutdown (TlRpcTag *tag, gboolean ok G_GNUC_UNUSED)
{
  TlRpcCore *core = TL_RPC_TAG_OWNER (tag, TlRpcCore, shutdown_tag);
  TlRpcLoop *loop = core->loop;

  pthread_mutex_lock (&core->lock);
  grpc_server_destroy (g_steal_pointer (&core->grpc));
  pthread_mutex_unlock (&core->lock);
  tl_rpc_loop_post (loop, deliver_stopped, core);
  tl_rpc_loop_release (loop);
}

TlRpcCore *
tl_rpc_core_new (TlRpcLoop *loop, const grpc_channel_args *args, const TlRpcCoreSetup *setup)
{
  TlRpcCore *core = g_new0 (TlRpcCore, 1);

  core->loop = loop;
  core->setup = *setup;
  core->cq = tl_rpc_loop_cq (loop);
  core->shutdown_tag.done = on_shutdown;
  core->grpc = grpc_server_create (args, NULL);
  pthread_mutex_init (&core->lock, NULL);
  if (setup->local)
    core->insecure = grpc_insecure_server_credentials_create ();
  grpc_server_register_completion_queue (core->grpc, core->cq, NULL);
  tl_rpc_loop_hold (loop);
  return core;
}

void
tl_rpc_core_free (TlRpcCore *core)
{
  g_assert (core->grpc == NULL);
  if (core->insecure != NULL)
    grpc_server_credentials_release (core->insecure);
  pthread_mutex_destroy (&core->lock);
  g_free (core);
}

const TlRpcCoreSetup *
tl_rpc_core_setup (TlRpcCore *core)
{
  return &core->setup;
}

int
tl_rpc_core_add_port (TlRpcCore *core, const char *address, grpc_server_credentials *credentials)
{
  return grpc_server_add_http2_port (core->grpc, address, credentials);
}

void
tl_rpc_core_start (TlRpcCore *core)
{
  grpc_server_start (core->grpc);
  for (guint i = 0; i < CALLS_REQUESTED; i++)
    await_call (core);
}

void
tl_rpc_core_add_connection (TlRpcCore *core, int fd)
{
  if (core->shutting_down)
    {
      close (fd);
      return;
    }
  grpc_server_add_channel_from_fd (core->grpc, fd, core->insecure);
}

void
tl_rpc_core_shutdown (TlRpcCore *core)
{
  core->shutting_down = TRUE;
  /* Without the lock the tag may come, and on_shutdown() destroy the server, while gRPC still walks its listeners here.
   */
  pthread_mutex_lock (&core->lock);
  grpc_server_shutdown_and_notify (core->grpc, core->cq, &core->shutdown_tag);
  pthread_mutex_unlock (&core->lock);
}

void
tl_rpc_core_cancel_all (TlRpcCore *core)
{
  pthread_mutex_lock (&core->lock);
  if (core->grpc != NULL)
    grpc_server_cancel_all_calls (core->grpc);
  pthread_mutex_unlock (&core->lock);
}

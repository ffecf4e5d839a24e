/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-event-stream.h"
#include "daemon/tl-gateway.h"
#include "daemon/tl-instance-guard.h"
#include "daemon/tl-node-stream.h"
#include "rpc/tl-rpc.h"
#include "twinlatch/v1/admin.pb-c.h"
#include "twinlatch/v1/node.pb-c.h"

G_BEGIN_DECLS

/*
 * TlNodeRegistry: which nodes there are, what they announce, and which are connected (PROTOCOL 4). Presence is memory;
 * it is written when it changes meaning. Thread: main.
 */
#define TL_NODE_MAX_CAPABILITIES 128
#define TL_NODE_MAX_TEXT         64 /* platform, version */
#define TL_NODE_MAX_DESCRIPTION  240
#define TL_NODE_MAX_SCHEMA       4096

typedef struct
{
  char *device_id;
  char *name;
  guint8 identity_public[32]; /* Ed25519, recorded at pairing; never changes for a device id (PROTOCOL 3.5) */
  Twinlatch__V1__RegisterNodeRequest *registration; /* NULL: never registered */
  TlNodeStream *stream;                             /* NULL: not connected */
  TlEventStream *events;                            /* what goes down it; NULL with it */
  TlInstanceGuard *instances;                       /* who opened it so far */
  TlNodePath path;                                  /* how the stream's connection was doing when last asked */
  gint64 registered_at, connected_at, last_seen_at;
  guint64 latest_seq, acknowledged_seq;
  TlDeviceState state;
  GHashTable *switched_off; /* set of char*: what the gateway refuses (SetNodeCapability) */
  gboolean known_only;      /* an imported inventory names it; it has not paired with this gateway */
  char *last_event;         /* type of what it said last, not yet in the store; NULL: nothing new */
  gint64 last_event_at;
  TlGateway *gateway;
} TlNode;

TlNodeRegistry *tl_node_registry_new (TlGateway *gateway);
void tl_node_registry_free (TlNodeRegistry *registry);
/* Start-up, sync: what the store knows. */
gboolean tl_node_registry_load (TlNodeRegistry *registry, GError **error);

/* The node said something (PROTOCOL 4.1, device to gateway). */
void tl_node_registry_heard (TlNodeRegistry *registry, TlNode *node, const char *type);

/* NULL: no such device. */
TlNode *tl_node_registry_lookup (TlNodeRegistry *registry, const char *device_id);
/* Every node, by device id. Borrowed pointers in a new array (g_ptr_array_unref). */
GPtrArray *tl_node_registry_list (TlNodeRegistry *registry);
guint tl_node_registry_count_connected (TlNodeRegistry *registry);
const Twinlatch__V1__CapabilityDescriptor *tl_node_find_capability (const TlNode *node, const char *name);
gboolean tl_node_is_connected (const TlNode *node);
gboolean tl_node_is_switched_off (const TlNode *node, const char *capability);

/* Paired (again): the node exists from now on. label: the operators' name for it; NULL: what it calls itself, if it had
 * none. */
void tl_node_registry_device_changed (TlNodeRegistry *registry, const char *device_id, const char *label,
                                      const char *device_name, const guint8 identity_public[32]);
/* Nothing is dispatched to a device that is not active; its stream is the rpc layer's to cut
 * (tl_rpc_server_drop_device). A removed one is forgotten. */
void tl_node_registry_device_state (TlNodeRegistry *registry, const char *device_id, TlDeviceState state);
void tl_node_registry_device_renamed (TlNodeRegistry *registry, const char *device_id, const char *name);
/* NULL on success, else an error for the caller: INVALID_ARGUMENT naming what is malformed. Takes nothing over. */
GError *tl_node_registry_check_registration (const Twinlatch__V1__RegisterNodeRequest *request);
/* Replaces what the node announced. NULL, and nothing changed: the message does not survive being stored. */
TlNode *tl_node_registry_registered (TlNodeRegistry *registry, const char *device_id,
                                     const Twinlatch__V1__RegisterNodeRequest *request);
/* The store has it: from now on the capability is refused at submission, or no longer. */
void tl_node_registry_switched (TlNodeRegistry *registry, TlNode *node, const char *capability, gboolean enabled);
/* A stream opened, over whatever transport, from the cursor seq, event_id ("" with 0); takes it over. The one before it
 * ends with IN_USE (the newest wins). A superseded instance that comes back is a clone: the device is suspended and the
 * stream ends with SUSPENDED (PROTOCOL 5). */
void tl_node_registry_attach (TlNodeRegistry *registry, TlNode *node, TlNodeStream *stream, guint64 seq,
                              const char *event_id);
/* The peer or the transport ended it. */
void tl_node_registry_detach (TlNodeRegistry *registry, TlNode *node);
/* The gateway stops: every stream ends, so that nodes try again instead of waiting for our grace. */
void tl_node_registry_close_all (TlNodeRegistry *registry);
/* A committed event: pushed when the node is connected. */
void tl_node_registry_push (TlNodeRegistry *registry, const char *device_id, const TlEventRecord *event);

/* AdminService: fills a message that borrows from the node; free with tl_node_wire_clear(). */
void tl_node_wire (Twinlatch__V1__Node *message, TlNode *node);
void tl_node_wire_clear (Twinlatch__V1__Node *message);
/* WatchNodes streams. */
void tl_node_registry_watch (TlNodeRegistry *registry, TlRpcCall *call);
void tl_node_registry_unwatch (TlNodeRegistry *registry, TlRpcCall *call);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeRegistry, tl_node_registry_free)

G_END_DECLS

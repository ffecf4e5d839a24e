/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-json.h"

G_BEGIN_DECLS

/*
 * Capabilities of a node: a table of descriptors, each with the function that does the work. The function runs on a
 * worker thread and may block (unless it is `immediate`); it looks at its TlCapabilityCall now and then to notice that
 * nobody waits any more.
 */
#define TL_CAPABILITY_NAME_MAX    64 /* PROTOCOL 4.2 */
#define TL_CAPABILITY_MAX_PAYLOAD (4u * 1024u * 1024u)

/*
 * TlCapabilityCall: one execution, shared by the owner and the worker. Thread: any.
 */
typedef struct _TlCapabilityCall TlCapabilityCall;

TlCapabilityCall *tl_capability_call_new (gsize max_output);
TlCapabilityCall *tl_capability_call_ref (TlCapabilityCall *call);
void tl_capability_call_unref (TlCapabilityCall *call);
void tl_capability_call_cancel (TlCapabilityCall *call);
gboolean tl_capability_call_is_cancelled (TlCapabilityCall *call);
/* Readable once cancelled, for those that wait in poll(); the call's. -1: this process has no descriptor left. */
int tl_capability_call_fd (TlCapabilityCall *call);
/* Longest output in bytes; more is RESOURCE_EXHAUSTED. */
gsize tl_capability_call_max_output (TlCapabilityCall *call);

/* Worker thread. input: parsed, an object unless `any_input`. Returns the output (json_decref) or NULL with an error
 * whose reason goes to the caller (NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT, ...). */
typedef json_t *(*TlCapabilityFunc) (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error);

/* A row of a static table. */
typedef struct
{
  const char *name;          /* [a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*, <= 64 bytes */
  const char *description;   /* one line for people, <= 240 bytes */
  const char *input_schema;  /* JSON Schema, <= 4096 bytes */
  const char *output_schema; /* may be NULL */
  gboolean idempotent;       /* may simply run again after a restart (PROTOCOL 4.1) */
  gboolean immediate;        /* only computes, and briefly: runs on the main context */
  gboolean any_input;        /* input may be any JSON value */
  guint timeout_ms;          /* longest run whatever the request allows; 0: as the request says */
  TlCapabilityFunc func;
} TlCapability;

typedef struct
{
  const TlCapability *capability;
  gpointer data;
  GDestroyNotify free_data;
  gboolean available;       /* FALSE: announced, but switched off here */
  char *unavailable_reason; /* one line, when not available */
} TlCapabilityEntry;

/*
 * TlCapabilitySet: what this node announces, sorted by name. Filled before it is shared, immutable afterwards. Thread:
 * any.
 */
typedef struct _TlCapabilitySet TlCapabilitySet;

TlCapabilitySet *tl_capability_set_new (void);
void tl_capability_set_free (TlCapabilitySet *set);
/* unavailable_reason NULL: available. data is freed with the set. A name twice is a programming error. */
void tl_capability_set_add (TlCapabilitySet *set, const TlCapability *capability, gpointer data,
                            GDestroyNotify free_data, const char *unavailable_reason);
guint tl_capability_set_size (const TlCapabilitySet *set);
const TlCapabilityEntry *tl_capability_set_get (const TlCapabilitySet *set, guint index);
const TlCapabilityEntry *tl_capability_set_lookup (const TlCapabilitySet *set,
                                                   const char *name); /* NULL when unknown */

/* Worker thread: parses input ("" means {}), runs, serialises and bounds the output. g_free() */
char *tl_capability_execute (const TlCapabilityEntry *entry, TlCapabilityCall *call, const char *input, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlCapabilityCall, tl_capability_call_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlCapabilitySet, tl_capability_set_free)

G_END_DECLS

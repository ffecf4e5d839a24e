/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/tl-queue.h"
#include "daemon/tl-quic-runtime.h"
#include "quic/tl-quic-verifier.h"

G_BEGIN_DECLS

/* What passes between main (tl-quic-runtime.c) and the quic thread (tl-quic-thread.c). */

/* Who is at the other end of a connection; immutable but for the count (g_atomic_rc_box). */
typedef struct
{
  char device_id[27];
  char fingerprint[65];
  char address[64];    /* when it was registered */
  atomic_uint in_hand; /* channels whose request went to main and that somebody still holds */
} TlQuicPeer;

typedef struct _TlQuicMember TlQuicMember; /* tl-quic-members.h */

struct _TlQuicChannel
{
  gatomicrefcount refs;
  TlQuicPeer *peer;
  TlQueue *orders;
  /* Bytes that main handed over and the stream does not have yet; bytes that the stream has. */
  _Atomic gsize on_the_way, in_stream;
  atomic_bool gone;

  /* quic thread */
  TlQuicStream *stream; /* NULL: gone */
  TlQuicMember *member; /* NULL: gone */
  gboolean asked;       /* its request came */
  gboolean events;      /* the event stream of its connection */
  gboolean in_hand;     /* counted by its peer; set before main knows the channel */

  /* main */
  TlNodePath path;
};

TlQuicChannel *tl_quic_channel_new (TlQuicPeer *peer, TlQueue *orders);

/* ---- main to quic thread ---- */
typedef enum
{
  TL_QUIC_ORDER_SEND,
  TL_QUIC_ORDER_CLOSE,       /* the channel's connection */
  TL_QUIC_ORDER_DEVICE,      /* cut, or count; answered */
  TL_QUIC_ORDER_CERTIFICATE, /* cut */
  TL_QUIC_ORDER_LATEST,
  TL_QUIC_ORDER_TLS,
  TL_QUIC_ORDER_REPORT, /* answered */
  TL_QUIC_ORDER_STOP,
} TlQuicOrderKind;

typedef struct
{
  TlQuicOrderKind kind;
  TlQuicChannel *channel; /* SEND, CLOSE */
  GBytes *frame;          /* SEND */
  gboolean last;          /* SEND */
  guint64 code;           /* CLOSE, DEVICE, CERTIFICATE */
  const char *reason;     /* the same; static */
  char subject[65];       /* DEVICE, LATEST: device id; CERTIFICATE: fingerprint */
  guint64 number;         /* DEVICE, REPORT: which question; LATEST: seq */
  TlQuicTls *tls;         /* TLS */
} TlQuicOrder;
void tl_quic_order_free (gpointer order);

/* ---- quic thread to main ---- */
typedef enum
{
  TL_QUIC_NOTE_REGISTERED,
  TL_QUIC_NOTE_REQUEST,
  TL_QUIC_NOTE_ENDED,
  TL_QUIC_NOTE_DRAINED,
  TL_QUIC_NOTE_DENIED,
  TL_QUIC_NOTE_CUT,    /* answer to DEVICE */
  TL_QUIC_NOTE_REPORT, /* answer to REPORT */
} TlQuicNoteKind;

typedef struct
{
  TlQuicChannel *channel;
  TlNodePath path;
} TlQuicPathNote;

typedef struct
{
  TlQuicNoteKind kind;
  TlQuicChannel *channel; /* REQUEST, ENDED, DRAINED */
  TlQuicRequest *request; /* REQUEST */
  TlQuicPeer *peer;       /* REGISTERED */
  guint64 number;         /* CUT, REPORT: the question */
  guint count;            /* CUT: connections */
  /* DENIED */
  char *actor, *subject;
  const char *reason;
  /* REPORT */
  TlQuicEndpointStats stats;
  GArray *paths; /* TlQuicPathNote, of event streams */
} TlQuicNote;
void tl_quic_note_free (gpointer note);

/* ---- the thread ---- */
typedef struct _TlQuicThread TlQuicThread;

/* notes: main's; referenced. Nothing runs yet: until tl_quic_thread_start() it is the caller's thread. */
TlQuicThread *tl_quic_thread_new (const TlQuicRuntimeOptions *options, TlQueue *notes, GError **error);
TlQuicEndpoint *tl_quic_thread_endpoint (TlQuicThread *thread);
/* Any thread, as long as the thread object is there. */
TlQuicVerifier *tl_quic_thread_verifier (TlQuicThread *thread);
/* Where orders go. */
TlQueue *tl_quic_thread_orders (TlQuicThread *thread);
/* Main told a denial on: room for another one. Returns how many were only counted since. */
guint tl_quic_thread_denial_told (TlQuicThread *thread);
void tl_quic_thread_start (TlQuicThread *thread);
/* Waits until it ended, if it was started: TL_QUIC_ORDER_STOP comes first. NULL allowed. */
void tl_quic_thread_free (TlQuicThread *thread);

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "quic/tl-quic-connection.h"
#include "quic/tl-quic-message.h"

G_BEGIN_DECLS

/*
 * TlQuicRequests: requests over one QUIC connection that are answered by one frame each (PROTOCOL 5), a stream a
 * request, many at a time. Requests of one lane are sent one after the other, each when the one before it was answered.
 * A request that is not answered is how a path that died is noticed soon: then the gateway is asked for a sign of life,
 * and `silent` called when none comes (TL_QUIC_REQUESTS_SILENT_MS after the request). Thread: main context.
 */
#define TL_QUIC_REQUESTS_AT_A_TIME 48 /* below TL_QUIC_MAX_STREAMS: the event stream is one too */
#define TL_QUIC_REQUESTS_SILENT_MS 2000
#define TL_QUIC_REQUESTS_LIMIT_MS  30000 /* for a gateway that is there and does not answer */

typedef struct _TlQuicRequests TlQuicRequests;

/* answer NULL: error says why (an `error` answer, too). Borrowed. May free the object. */
typedef void (*TlQuicAnswerFunc) (const TlQuicAnswer *answer, const GError *error, gpointer user_data);
typedef void (*TlQuicSilentFunc) (gpointer user_data);

/* connection: borrowed, outlives the object or is over (its streams are closed then). */
TlQuicRequests *tl_quic_requests_new (TlQuicConnection *connection, TlQuicSilentFunc silent, gpointer user_data);
/* Functions are not called any more. NULL allowed. */
void tl_quic_requests_free (TlQuicRequests *requests);
/* frame is taken over. lane NULL: none. release (NULL: none) frees user_data, always. */
void tl_quic_requests_send (TlQuicRequests *requests, GBytes *frame, const char *lane, TlQuicAnswerFunc func,
                            gpointer user_data, GDestroyNotify release);
/* Sent or waiting, not answered. */
guint tl_quic_requests_pending (TlQuicRequests *requests);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlQuicRequests, tl_quic_requests_free)

G_END_DECLS

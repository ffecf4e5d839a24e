/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/cli/tl-cli.h"
#include "twinlatch/v1/admin.pb-c.h"

G_BEGIN_DECLS

/*
 * Calls of AdminService: over the admin socket, or with --gateway (or $TWINLATCH_GATEWAY) over the network
 * (tl-admin-remote.h). A socket that is not there, that nobody listens on or that this user may not use is found out
 * before gRPC is asked, so that the message says where it looked and what to do. Thread: main, blocking (main context).
 */

/* The gateway to work with over the network: --gateway, else $TWINLATCH_GATEWAY unless --socket was given (what was
 * typed wins over what is set). NULL: the admin socket. Borrowed. */
const char *tl_admin_gateway (TlCli *cli);

/* Asks one method ("GetStatus"); free with protobuf_c_message_free_unpacked(). */
ProtobufCMessage *tl_admin_call (TlCli *cli, const char *method, const ProtobufCMessage *request,
                                 const ProtobufCMessageDescriptor *response, GError **error);
/* All pages of a List* method: the request has a `page`, the response one repeated message and `next_page_token`. The
 * items are the array's. request is left as it was. */
GPtrArray *tl_admin_list (TlCli *cli, const char *method, ProtobufCMessage *request,
                          const ProtobufCMessageDescriptor *response, GError **error);
/* The first `limit` items. */
GPtrArray *tl_admin_list_some (TlCli *cli, const char *method, ProtobufCMessage *request,
                               const ProtobufCMessageDescriptor *response, guint limit, GError **error);

/* Borrowed message; FALSE ends the stream from this side. */
typedef gboolean (*TlAdminMessageFunc) (const ProtobufCMessage *message, gpointer user_data);
typedef enum
{
  TL_ADMIN_ENDED,       /* by the gateway or by the function */
  TL_ADMIN_INTERRUPTED, /* SIGINT or SIGTERM: the stream was cancelled cleanly */
  TL_ADMIN_FAILED,      /* *error is set */
} TlAdminOutcome;
/* deadline_ms 0: none. */
TlAdminOutcome tl_admin_stream (TlCli *cli, const char *method, const ProtobufCMessage *request,
                                const ProtobufCMessageDescriptor *response, guint deadline_ms, TlAdminMessageFunc func,
                                gpointer user_data, GError **error);
/* A stream without an end of its own: interrupting it is success, its end is an error. Over the network a connection
 * that is lost is made again, for ever: the gateway then tells everything anew. (tl-admin-watch.c) */
gboolean tl_admin_watch (TlCli *cli, const char *method, const ProtobufCMessage *request,
                         const ProtobufCMessageDescriptor *response, TlAdminMessageFunc func, gpointer user_data,
                         GError **error);

/* g_autoptr for the answers that verbs use. */
typedef Twinlatch__V1__MintNodePairingCodeResponse TlMintAnswer;
typedef Twinlatch__V1__CancelPairingCodeResponse TlCancelAnswer;
typedef Twinlatch__V1__DecidePairingResponse TlDecideAnswer;
typedef Twinlatch__V1__GetDeviceResponse TlDeviceAnswer;
typedef Twinlatch__V1__DeviceChangeResponse TlChangeAnswer; /* of RevokeDevice too: the same fields */
typedef Twinlatch__V1__RenameDeviceResponse TlRenameAnswer;
typedef Twinlatch__V1__RotateDeviceResponse TlRotateAnswer;
typedef Twinlatch__V1__ConfirmDevicesResponse TlConfirmAnswer;
typedef Twinlatch__V1__GetStatusResponse TlStatusAnswer;
typedef Twinlatch__V1__GetCapabilityRequestResponse TlRequestAnswer;
typedef Twinlatch__V1__CancelCapabilityResponse TlCancelRequestAnswer;
typedef Twinlatch__V1__SetNodeCapabilityResponse TlSwitchAnswer;
typedef Twinlatch__V1__GetCaBundleResponse TlCaAnswer;
typedef Twinlatch__V1__GetJournalHeadResponse TlHeadAnswer;

void tl_admin_answer_free (gpointer message); /* NULL allowed */

#define TL_ADMIN_AUTOPTR(Type)                                                                                         \
  static inline void Type##_free (Type *answer)                                                                        \
  {                                                                                                                    \
    tl_admin_answer_free (answer);                                                                                     \
  }                                                                                                                    \
  G_DEFINE_AUTOPTR_CLEANUP_FUNC (Type, Type##_free)

TL_ADMIN_AUTOPTR (TlMintAnswer)
TL_ADMIN_AUTOPTR (TlCancelAnswer)
TL_ADMIN_AUTOPTR (TlDecideAnswer)
TL_ADMIN_AUTOPTR (TlDeviceAnswer)
TL_ADMIN_AUTOPTR (TlChangeAnswer)
TL_ADMIN_AUTOPTR (TlRenameAnswer)
TL_ADMIN_AUTOPTR (TlRotateAnswer)
TL_ADMIN_AUTOPTR (TlConfirmAnswer)
TL_ADMIN_AUTOPTR (TlStatusAnswer)
TL_ADMIN_AUTOPTR (TlRequestAnswer)
TL_ADMIN_AUTOPTR (TlCancelRequestAnswer)
TL_ADMIN_AUTOPTR (TlSwitchAnswer)
TL_ADMIN_AUTOPTR (TlCaAnswer)
TL_ADMIN_AUTOPTR (TlHeadAnswer)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/tl-admin-service.h"
#include "twinlatch/v1/admin.pb-c.h"

G_BEGIN_DECLS

/* The handlers behind the method table: tl-admin-pairing.c, tl-admin-devices.c, tl-admin-nodes.c, tl-admin-requests.c,
 * tl-admin-status.c. user_data: the gateway. */
void tl_admin_on_mint (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_list_codes (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_cancel_code (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_list_pairings (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_watch_pairings (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_watch_pairings_end (TlRpcCall *call, gpointer user_data);
void tl_admin_on_decide (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);

void tl_admin_on_list_devices (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_get_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_rename_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_rotate_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);

/* tl-admin-admission.c */
void tl_admin_on_revoke_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_suspend_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_resume_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_remove_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_clear_device (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_set_device_role (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_confirm_devices (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
/* GetStatus: fields 40 to 49. */
void tl_admin_fill_admission (TlGateway *gateway, const TlStoreStatus *store, Twinlatch__V1__GetStatusResponse *answer);

void tl_admin_on_list_nodes (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_watch_nodes (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_watch_nodes_end (TlRpcCall *call, gpointer user_data);
void tl_admin_on_execute (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_execute_end (TlRpcCall *call, gpointer user_data);

void tl_admin_on_cancel_request (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_list_requests (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_get_request (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_watch_request (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_set_node_capability (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);

void tl_admin_on_status (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);
void tl_admin_on_ca_bundle (TlRpcCall *call, const ProtobufCMessage *message, gpointer user_data);

/* An admin call that waits for the store. */
typedef struct
{
  TlGateway *gateway;
  TlRpcCall *call;
  guint limit;             /* page size, lists */
  gboolean connected_only; /* lists */
  char *text;              /* what the handler needs again: a reason, a new name, a filter */
  char *subject;           /* id of what it is about, once known */
  char *old_name;
  guint64 seq;
  gboolean already;
  /* Changes of admission. */
  TlAdmissionKind kind;
  TlRole role;
  gboolean dry_run;
} TlAdminWait;

TlAdminWait *tl_admin_wait_new (TlGateway *gateway, TlRpcCall *call);
void tl_admin_wait_free (TlAdminWait *wait);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlAdminWait, tl_admin_wait_free)

/* The record, and presence, which is the registry's; tl_wire_device_clear(). */
void tl_admin_fill_device (TlGateway *gateway, Twinlatch__V1__Device *message, const TlDeviceRecord *record);
/* Ends the call with an error; a denial (NOT_OPERATOR, LOCAL_ONLY) goes into the journal. subject: id of what it was
 * about, or NULL. */
void tl_admin_fail (TlGateway *gateway, TlRpcCall *call, const char *subject, const GError *error);
/* The call came over the network: an admitted operator's device. */
gboolean tl_admin_is_remote (TlRpcCall *call);

/* Page size asked for, bounded; *token "" when absent. */
guint tl_admin_page (const Twinlatch__V1__Page *page, const char **token);

G_END_DECLS

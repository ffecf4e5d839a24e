/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/tl-admitted-set.h"
#include "identity/tl-certificate.h"
#include "pairing/tl-pairing-messages.h"

G_BEGIN_DECLS

/*
 * The rows of the gateway's store as plain values. Strings and GBytes are owned by the record; *_free() takes NULL.
 * Times are wall-clock milliseconds, 0 = not yet. Records are immutable once handed to another thread.
 */

typedef enum
{
  TL_CODE_LIVE,
  TL_CODE_USED,      /* a request came of it */
  TL_CODE_EXHAUSTED, /* attempts used up */
  TL_CODE_EXPIRED,
  TL_CODE_CANCELLED,
} TlCodeState;

/* A pairing code; never the code itself, only what verifies it (PROTOCOL 3.1). */
typedef struct
{
  char *code_id;
  TlPairingMethod method;
  guint slot; /* PIN; 0 before the store assigned it */
  TlCodeState state;
  TlRole role;
  char *label; /* may be NULL */
  gboolean auto_approve;
  guint attempts, attempts_left;
  char *minted_by; /* actor */
  gint64 created_at, expires_at;
  TlPairingVerifier *verifier; /* NULL in lists and once the code is no longer live */
} TlCodeRecord;

/* A pairing request (PROTOCOL 3.2). */
typedef struct
{
  char *request_id;
  char *session_id;
  char *code_id;
  char *code_minted_by;
  TlPairingMethod method;
  TlPairingState state;
  char *device_id;
  char *device_name;
  char *platform;
  char *label;              /* from the code; wins over device_name; may be NULL */
  char *replaces_device_id; /* may be NULL */
  TlClientKind client_kind;
  TlRole role;
  gboolean auto_approve;
  guint8 identity_public[32];
  guint8 device_nonce[32];
  GBytes *tls_public_der;    /* SubjectPublicKeyInfo taken from the CSR */
  char *tls_key_fingerprint; /* tl_key_fingerprint() of it */
  GBytes *sealed_keys;       /* TlPairingKeys, AEAD; NULL after first use of the certificate or 24 h */
  char *source;
  guint wrong_codes;
  char *decided_by, *reason;
  gint64 requested_at, expires_at, decided_at;
  GBytes *certificate_der; /* COMPLETED */
  GPtrArray *ended;        /* char* fingerprints revoked by this completion; NULL in any other result */
  gboolean lowered;        /* this completion took the device's role operator; FALSE in any other result */
} TlPairingRecord;

/* Numbers are those of twinlatch.v1.DeviceState minus one. */
typedef enum
{
  TL_DEVICE_ACTIVE,
  TL_DEVICE_SUSPENDED,
  TL_DEVICE_REVOKED,
  TL_DEVICE_REMOVED,
} TlDeviceState;

typedef struct
{
  char *fingerprint; /* hex SHA-256 of the DER */
  char *device_id;
  char *serial; /* hex */
  char *tls_key_fingerprint;
  gint64 not_before, not_after;
  guint ca_generation;
  gboolean used, revoked;
} TlCertificateRecord;

typedef struct
{
  char *device_id;
  char *name;
  TlDeviceState state;
  TlRole role;
  TlClientKind client_kind;
  char *platform;
  guint8 identity_public[32];
  gint64 paired_at;
  char *approved_by;
  char *replaced_device_id;
  gint64 revoked_at;
  char *revoked_by, *revoked_reason;
  gint64 last_seen_at;
  gint64 changed_at; /* last suspend, resume, revoke, clear or removal */
  char *changed_by, *changed_reason;
  GPtrArray *certificates; /* TlCertificateRecord, newest first; never NULL */
} TlDeviceRecord;

/* What a node announced last (RegisterNode). capabilities: packed twinlatch.v1.RegisterNodeRequest, so that nothing is
 * lost. */
typedef struct
{
  char *device_id;
  char *platform;
  char *node_version;
  GBytes *registration; /* packed RegisterNodeRequest */
  gint64 registered_at, last_seen_at;
  guint64 latest_seq, acknowledged_seq;
} TlNodeRecord;

typedef struct
{
  guint64 seq;
  char *id;
  gint64 time;
  char *type;
  char *data; /* JSON object */
} TlEventRecord;

/* Numbers are those of twinlatch.v1.RequestState minus one (PROTOCOL 4.2). */
typedef enum
{
  TL_REQUEST_QUEUED,
  TL_REQUEST_DISPATCHED,
  TL_REQUEST_AWAITING_CONSENT,
  TL_REQUEST_RUNNING,
  TL_REQUEST_SUCCEEDED,
  TL_REQUEST_FAILED,
  TL_REQUEST_DENIED,
  TL_REQUEST_TIMED_OUT,
  TL_REQUEST_CANCELLED,
  TL_REQUEST_EXPIRED,
} TlRequestState;

typedef struct
{
  char *request_id;
  char *device_id;
  char *capability;
  char *input; /* JSON; NULL once it ended */
  TlRequestState state;
  char *requested_by;
  guint32 max_payload_bytes;
  gint64 timeout_ms;
  gint64 created_at, updated_at, dispatched_at, completed_at, expires_at;
  char *output; /* NULL unless it was asked for and is still kept */
  char *error, *error_reason;
  GBytes *receipt;                      /* packed twinlatch.v1.Receipt */
  guint64 event_seq;                    /* its dispatch event in the device's log */
  char *input_summary, *output_summary; /* tl_json_summary() */
  GBytes *input_sha256, *output_sha256; /* 32 bytes; NULL: none, or of an older version */
  gint64 cancel_at;                     /* somebody asked for its end; 0: nobody did */
  char *cancelled_by;
} TlCapabilityRecord;

/* A capability of a device that the gateway refuses (SetNodeCapability). */
typedef struct
{
  char *device_id;
  char *capability;
} TlSwitchRecord;

void tl_code_record_free (TlCodeRecord *record);
void tl_pairing_record_free (TlPairingRecord *record);
void tl_certificate_record_free (TlCertificateRecord *record);
void tl_device_record_free (TlDeviceRecord *record);
void tl_node_record_free (TlNodeRecord *record);
void tl_event_record_free (TlEventRecord *record);
void tl_capability_record_free (TlCapabilityRecord *record);
TlCodeRecord *tl_code_record_copy (const TlCodeRecord *record);
TlPairingRecord *tl_pairing_record_copy (const TlPairingRecord *record);
/* For a leaf that was just made: not used, not revoked. leaf: X509. */
TlCertificateRecord *tl_certificate_record_new (X509 *leaf, const char *device_id, const char *tls_key_fingerprint,
                                                guint ca_generation);
TlCertificateRecord *tl_certificate_record_copy (const TlCertificateRecord *record);
TlDeviceRecord *tl_device_record_copy (const TlDeviceRecord *record);
TlEventRecord *tl_event_record_copy (const TlEventRecord *record);
TlCapabilityRecord *tl_capability_record_copy (const TlCapabilityRecord *record);

const char *tl_code_state_to_string (TlCodeState state);
const char *tl_device_state_to_string (TlDeviceState state);
const char *tl_request_state_to_string (TlRequestState state); /* "queued", "awaiting_consent", ... */
gboolean tl_request_state_is_final (TlRequestState state);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlCodeRecord, tl_code_record_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlPairingRecord, tl_pairing_record_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlCertificateRecord, tl_certificate_record_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlDeviceRecord, tl_device_record_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlNodeRecord, tl_node_record_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlEventRecord, tl_event_record_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlCapabilityRecord, tl_capability_record_free)

G_END_DECLS

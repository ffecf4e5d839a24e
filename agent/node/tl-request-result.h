/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "identity/tl-receipt.h"

G_BEGIN_DECLS

/*
 * TlRequestResult: how a capability request ended on this device. A value that owns its strings. Thread: owner's.
 */
#define TL_RESULT_ERROR_MAX   1024          /* bytes of `error` */
#define TL_REASON_INTERRUPTED "interrupted" /* PROTOCOL 4.1: started, no result, the process ended */

typedef enum
{
  TL_RESULT_SUCCEEDED,
  TL_RESULT_FAILED,
  TL_RESULT_DENIED,
  TL_RESULT_TIMED_OUT,
  TL_RESULT_CANCELLED,
} TlResultState;

const char *tl_result_state_to_string (TlResultState state);

typedef struct
{
  TlResultState state;
  char *output;       /* JSON; "" unless succeeded */
  char *error;        /* one line for people; "" when succeeded */
  char *error_reason; /* stable reason; "" when succeeded */
} TlRequestResult;

TlRequestResult *tl_request_result_new_success (const char *output);
/* The message is cut to TL_RESULT_ERROR_MAX, at a character's end. */
TlRequestResult *tl_request_result_new_failure (TlResultState state, const char *reason, const char *message);
/* State and reason as the error says: CANCELLED, TIMED_OUT and CAPABILITY_DENIED have a state of their own. */
TlRequestResult *tl_request_result_new_error (const GError *error);
void tl_request_result_free (TlRequestResult *result);

json_t *tl_request_result_to_json (const TlRequestResult *result);
TlRequestResult *tl_request_result_from_json (const json_t *object, GError **error);

/* What goes to the gateway: SubmitCapabilityResult. Everything borrowed but digest, signature and proof. */
typedef struct
{
  const char *request_id;
  const TlRequestResult *result;
  const TlReceipt *receipt;
  guint8 output_sha256[TL_SHA256_LENGTH];
  guint8 signature[TL_SIGNATURE_LENGTH]; /* the same for all that were signed together */
  TlResultProof proof;
} TlSubmission;

/* Request id, result and receipt are set; fills in the rest with one signature. subjects: who they are about, n of them
 * in 1..TL_RESULT_TREE_MAX_LEAVES. */
gboolean tl_submissions_sign (TlSubmission *submissions, const TlReceiptSubject *subjects, guint n,
                              TlDeviceIdentity *identity, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlRequestResult, tl_request_result_free)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "daemon/tl-capability-name.h"
#include "daemon/tl-challenge-table.h"
#include "daemon/tl-node-registry.h"
#include "daemon/tl-receipt-check.h"
#include "daemon/tl-wire.h"
#include "fuzz.h"

#define GATEWAY_ID "01JD0000000000000000GATEWA"
#define DEVICE_ID  "01JD0000000000000000DEV1CE"
#define REQUEST_ID "01JD0000000000000000REQEST"

/* What is accepted is within the limits, and is accepted again as the store keeps it. */
static void
look_at_registration (const Twinlatch__V1__RegisterNodeRequest *request)
{
  g_autoptr (GBytes) packed = NULL;
  Twinlatch__V1__RegisterNodeRequest *again;

  g_assert_cmpuint (request->n_capabilities, <=, TL_NODE_MAX_CAPABILITIES);
  for (gsize i = 0; i < request->n_capabilities; i++)
    {
      const Twinlatch__V1__CapabilityDescriptor *capability = request->capabilities[i];

      g_assert_true (tl_capability_name_is_valid (capability->name));
      g_assert_true (g_utf8_validate (capability->description, -1, NULL));
      g_assert_cmpuint (strlen (capability->input_schema), <=, TL_NODE_MAX_SCHEMA);
    }
  /* Unknown fields can be such that protobuf-c writes what it cannot read: that is refused, not stored. */
  again = tl_wire_copy (&request->base, &packed);
  if (again == NULL)
    return;
  g_assert_nonnull (packed);
  g_assert_null (tl_node_registry_check_registration (again));
  twinlatch__v1__register_node_request__free_unpacked (again, NULL);
}

static void
register_node (const guint8 *data, gsize size)
{
  Twinlatch__V1__RegisterNodeRequest *request = twinlatch__v1__register_node_request__unpack (NULL, size, data);
  g_autoptr (GError) error = NULL;

  if (request == NULL)
    return;
  error = tl_node_registry_check_registration (request);
  if (error == NULL)
    look_at_registration (request);
  else
    g_assert_true (g_utf8_validate (error->message, -1, NULL)); /* it goes into a status, and into logs */
  twinlatch__v1__register_node_request__free_unpacked (request, NULL);
}

static void
submit_result (const guint8 *data, gsize size)
{
  static const guint8 identity_public[32]
      = { 0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
          0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a };
  const TlCapabilityRecord record = { .request_id = (char *)REQUEST_ID,
                                      .device_id = (char *)DEVICE_ID,
                                      .capability = (char *)"echo",
                                      .input = (char *)"{}",
                                      .requested_by = (char *)"uid 1000",
                                      .expires_at = 1763719200000 };
  Twinlatch__V1__SubmitCapabilityResultRequest *result
      = twinlatch__v1__submit_capability_result_request__unpack (NULL, size, data);
  TlVerifiedRoot last = { 0 };
  TlCheckedReceipt checked = { 0 };
  g_autoptr (GError) error = NULL;

  if (result == NULL)
    return;
  /* Nobody here has the key: no signature can be right. */
  g_assert_false (tl_receipt_check (result, &record, GATEWAY_ID, identity_public, &last, &checked, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  twinlatch__v1__submit_capability_result_request__free_unpacked (result, NULL);
}

/* What strangers send too: nobody here has the identity key, and no challenge was given out. */
static void
renew (const guint8 *data, gsize size)
{
  static const guint8 identity_public[32]
      = { 0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
          0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a };
  Twinlatch__V1__RenewRequest *request = twinlatch__v1__renew_request__unpack (NULL, size, data);
  g_autoptr (TlRandom) random = tl_random_new_test (1);
  g_autoptr (TlChallengeTable) table = tl_challenge_table_new (4, random);
  TlRenewalProof proof = { .gateway_id = GATEWAY_ID };
  guint8 challenge[TL_RENEWAL_CHALLENGE_LENGTH];
  g_autoptr (EVP_PKEY) key = NULL;

  if (request == NULL)
    return;
  g_assert_true (tl_challenge_table_give (table, DEVICE_ID, 0, challenge));
  g_assert_false (
      tl_challenge_table_take (table, request->challenge.data, request->challenge.len, request->device_id, 0));
  key = tl_csr_verify (request->csr_der.data, request->csr_der.len, NULL);
  if (request->challenge.len == TL_RENEWAL_CHALLENGE_LENGTH)
    {
      proof.device_id = request->device_id;
      proof.challenge = request->challenge.data;
      proof.csr = request->csr_der.data;
      proof.csr_length = request->csr_der.len;
      g_assert_false (tl_renewal_proof_verify (&proof, identity_public, request->identity_signature.data,
                                               request->identity_signature.len));
    }
  twinlatch__v1__renew_request__free_unpacked (request, NULL);
}

/* What an admitted node sends, and one who was admitted once. The first byte says which message. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  if (size == 0)
    return 0;
  if (data[0] == 'R')
    submit_result (data + 1, size - 1);
  else if (data[0] == 'N')
    renew (data + 1, size - 1);
  else
    register_node (data + 1, size - 1);
  return 0;
}

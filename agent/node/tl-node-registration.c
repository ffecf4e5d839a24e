/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-registration.h"

#include "agent/node/tl-node-host.h"
#include "base/tl-error.h"
#include "tl-config-build.h"

#define PROTOCOL_VERSION 1

struct _TlNodeRegistration
{
  Twinlatch__V1__RegisterNodeRequest message;
  Twinlatch__V1__CapabilityDescriptor *rows;
  uint32_t versions[1];
  char *platform;
  char *instance_id;
};

static Twinlatch__V1__ConsentLevel
consent_level (TlConsentLevel level)
{
  switch (level)
    {
    case TL_CONSENT_ALLOW:
      return TWINLATCH__V1__CONSENT_LEVEL__CONSENT_LEVEL_ALLOW;
    case TL_CONSENT_ASK:
      return TWINLATCH__V1__CONSENT_LEVEL__CONSENT_LEVEL_ASK;
    case TL_CONSENT_DENY:
      return TWINLATCH__V1__CONSENT_LEVEL__CONSENT_LEVEL_DENY;
    }
  g_assert_not_reached ();
}

static void
fill_row (Twinlatch__V1__CapabilityDescriptor *row, const TlCapabilityEntry *entry, TlPolicy *policy)
{
  const TlCapability *capability = entry->capability;

  twinlatch__v1__capability_descriptor__init (row);
  row->name = (char *)capability->name;
  row->description = (char *)capability->description;
  row->input_schema = (char *)capability->input_schema;
  if (capability->output_schema != NULL)
    row->output_schema = (char *)capability->output_schema;
  row->idempotent = capability->idempotent;
  row->available = entry->available;
  row->consent = consent_level (tl_policy_level (policy, capability->name));
}

TlNodeRegistration *
tl_node_registration_new (const TlGatewayLinkOpen *what, const char *device_id, TlClientKind kind)
{
  TlNodeRegistration *registration = g_new0 (TlNodeRegistration, 1);
  Twinlatch__V1__RegisterNodeRequest *message = &registration->message;
  guint n = tl_capability_set_size (what->capabilities);

  twinlatch__v1__register_node_request__init (message);
  registration->versions[0] = PROTOCOL_VERSION;
  registration->platform = tl_node_platform ();
  registration->instance_id = g_strdup (what->instance_id);
  registration->rows = g_new0 (Twinlatch__V1__CapabilityDescriptor, n);
  message->capabilities = g_new0 (Twinlatch__V1__CapabilityDescriptor *, n);
  message->n_capabilities = n;
  for (guint i = 0; i < n; i++)
    {
      fill_row (&registration->rows[i], tl_capability_set_get (what->capabilities, i), what->policy);
      message->capabilities[i] = &registration->rows[i];
    }
  message->device_id = (char *)device_id;
  message->n_versions = G_N_ELEMENTS (registration->versions);
  message->versions = registration->versions;
  message->platform = registration->platform;
  message->node_version = (char *)TL_VERSION;
  message->client_kind = (Twinlatch__V1__ClientKind)(kind + 1); /* UNSPECIFIED is 0 there */
  message->instance_id = registration->instance_id;
  return registration;
}

void
tl_node_registration_free (TlNodeRegistration *registration)
{
  if (registration == NULL)
    return;
  g_free (registration->message.capabilities);
  g_free (registration->rows);
  g_free (registration->platform);
  g_free (registration->instance_id);
  g_free (registration);
}

const ProtobufCMessage *
tl_node_registration_message (const TlNodeRegistration *registration)
{
  return &registration->message.base;
}

gboolean
tl_node_registration_check (const Twinlatch__V1__RegisterNodeResponse *answer, const char *gateway_id, GError **error)
{
  const char *what = NULL;

  if (answer->version != PROTOCOL_VERSION)
    what = "it chose a version that was not offered";
  else if (!g_str_equal (answer->gateway_id, gateway_id))
    what = "it names itself another gateway";
  if (what == NULL)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_PROTOCOL, "the gateway broke the protocol: %s", what);
  return FALSE;
}

void
tl_node_registration_read (const Twinlatch__V1__RegisterNodeResponse *answer, GPtrArray *addresses,
                           TlLinkRegistration *out)
{
  for (gsize i = 0; i < answer->n_addresses; i++)
    g_ptr_array_add (addresses, answer->addresses[i]);
  g_ptr_array_add (addresses, NULL);
  out->addresses = (const char *const *)addresses->pdata;
  out->gateway_id = answer->gateway_id;
  out->gateway_name = answer->gateway_name;
  out->gateway_version = answer->gateway_version;
  out->latest_seq = answer->latest_seq;
  out->server_time_ms = answer->server_time_unix_ms;
}

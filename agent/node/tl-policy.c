/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-policy.h"

typedef struct
{
  TlPolicy base;
  TlNodeConfig *config;
} ConfigPolicy;

static TlConsentLevel
config_level (TlPolicy *policy, const char *capability)
{
  TlNodeConfig *config = ((ConfigPolicy *)policy)->config;
  gpointer row;

  if (!g_hash_table_lookup_extended (config->policy, capability, NULL, &row))
    {
      /* It runs what the operators say: never by a default. There is nobody here to ask. */
      if (g_str_equal (capability, TL_CAPABILITY_PROCESS_RUN))
        return TL_CONSENT_ASK;
      return config->policy_default ? TL_CONSENT_ALLOW : TL_CONSENT_DENY;
    }
  return GPOINTER_TO_INT (row) ? TL_CONSENT_ALLOW : TL_CONSENT_DENY;
}

static void
config_decide (TlPolicy *policy, const TlPolicyRequest *request, TlPolicyFunc func, gpointer user_data)
{
  g_autofree char *message = NULL;
  TlConsentLevel level = config_level (policy, request->capability);
  TlPolicyDecision decision = { .allowed = level == TL_CONSENT_ALLOW, .by = "policy" };

  if (level == TL_CONSENT_ASK)
    {
      decision.by = "absent";
      decision.message = message
          = g_strdup_printf ("%s has to be allowed in this node's node.conf: [policy %s] mode=allow",
                             request->capability, request->capability);
    }
  else if (level == TL_CONSENT_DENY)
    decision.message = message = g_strdup_printf ("the policy of this node denies %s", request->capability);
  func (&decision, user_data);
}

static void
config_forget (TlPolicy *policy, const char *request_id)
{
  (void)policy, (void)request_id; /* every decision was made at once */
}

static void
config_free (TlPolicy *policy)
{
  g_free (policy);
}

static const TlPolicyClass config_class = {
  .level = config_level,
  .decide = config_decide,
  .forget = config_forget,
  .free = config_free,
};

TlPolicy *
tl_policy_new_config (TlNodeConfig *config)
{
  ConfigPolicy *policy = g_new0 (ConfigPolicy, 1);

  policy->base.klass = &config_class;
  policy->config = config;
  return &policy->base;
}

void
tl_policy_free (TlPolicy *policy)
{
  if (policy != NULL)
    policy->klass->free (policy);
}

TlConsentLevel
tl_policy_level (TlPolicy *policy, const char *capability)
{
  return policy->klass->level (policy, capability);
}

void
tl_policy_decide (TlPolicy *policy, const TlPolicyRequest *request, TlPolicyFunc func, gpointer user_data)
{
  policy->klass->decide (policy, request, func, user_data);
}

void
tl_policy_forget (TlPolicy *policy, const char *request_id)
{
  policy->klass->forget (policy, request_id);
}

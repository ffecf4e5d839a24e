/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-node-config.h"

G_BEGIN_DECLS

/*
 * TlPolicy: the hook before every execution (PROTOCOL 6). Asynchronous, since the desktop's back end asks a person; the
 * headless one reads node.conf and answers at once, from within tl_policy_decide(). Thread: main context.
 */
typedef struct _TlPolicy TlPolicy;

typedef enum
{
  TL_CONSENT_ALLOW,
  TL_CONSENT_ASK,
  TL_CONSENT_DENY,
} TlConsentLevel;

/* Borrowed during tl_policy_decide(). */
typedef struct
{
  const char *request_id;
  const char *capability;
  const char *input;
  const char *requested_by;
} TlPolicyRequest;

typedef struct
{
  gboolean allowed;
  const char *by;      /* "policy" | "user" | "timeout" | "absent" */
  const char *message; /* why it was denied, one line; NULL when allowed */
} TlPolicyDecision;

typedef void (*TlPolicyFunc) (const TlPolicyDecision *decision, gpointer user_data);

typedef struct
{
  TlConsentLevel (*level) (TlPolicy *policy, const char *capability);
  void (*decide) (TlPolicy *policy, const TlPolicyRequest *request, TlPolicyFunc func, gpointer user_data);
  /* Nobody waits for that decision any more: its func is not called. */
  void (*forget) (TlPolicy *policy, const char *request_id);
  void (*free) (TlPolicy *policy);
} TlPolicyClass;

/* First member of every back end. */
struct _TlPolicy
{
  const TlPolicyClass *klass;
};

/* Headless: node.conf. config is borrowed. */
TlPolicy *tl_policy_new_config (TlNodeConfig *config);
void tl_policy_free (TlPolicy *policy);

/* What the capability is announced with. */
TlConsentLevel tl_policy_level (TlPolicy *policy, const char *capability);
void tl_policy_decide (TlPolicy *policy, const TlPolicyRequest *request, TlPolicyFunc func, gpointer user_data);
void tl_policy_forget (TlPolicy *policy, const char *request_id);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlPolicy, tl_policy_free)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-capability-builtin.h"

static json_t *
echo (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error)
{
  (void)call, (void)data, (void)error;
  return json_incref ((json_t *)input);
}

static const TlCapability echo_capability = {
  .name = "echo",
  .description = "Returns its input.",
  .input_schema = "{}",
  .output_schema = "{}",
  .idempotent = TRUE,
  .immediate = TRUE,
  .any_input = TRUE,
  .func = echo,
};

void
tl_capability_add_echo (TlCapabilitySet *set)
{
  tl_capability_set_add (set, &echo_capability, NULL, NULL, NULL);
}

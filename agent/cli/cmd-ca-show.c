/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-verb.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__GetCaBundleRequest request = TWINLATCH__V1__GET_CA_BUNDLE_REQUEST__INIT;
  g_autoptr (TlCaAnswer) answer = NULL;
  g_autoptr (TlTable) table = NULL;

  (void)args;
  answer = (TlCaAnswer *)tl_admin_call (cli, "GetCaBundle", &request.base,
                                        &twinlatch__v1__get_ca_bundle_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    {
      tl_cli_print_json (cli, tl_json_from_message (&answer->base));
      return TRUE;
    }

  table = tl_table_new (_ ("GENERATION"), _ ("SIGNS NOW"), _ ("FINGERPRINT"), _ ("ENDS"), NULL);
  for (size_t i = 0; i < answer->n_certificates; i++)
    {
      const Twinlatch__V1__CaCertificate *certificate = answer->certificates[i];
      g_autofree char *generation = g_strdup_printf ("G%u", certificate->generation);
      g_autofree char *ends = tl_cli_time (cli, certificate->not_after_unix_ms);

      tl_table_add (table, generation, certificate->signs_now ? _ ("yes") : _ ("no"), certificate->fingerprint, ends);
    }
  tl_cli_print (cli, _ ("Gateway %s\n"), answer->gateway_id);
  tl_cli_print_table (cli, table);
  return TRUE;
}

const TlVerb tl_verb_ca_show = {
  .path = "ca show",
  .arguments = "",
  .summary = N_ ("show the gateway's certificate authorities"),
  .run = run,
};

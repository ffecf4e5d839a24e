/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>
#include <string.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"
#include "base/tl-file.h"
#include "identity/tl-certificate.h"

static char *
bundle_to_pem (const TlCaAnswer *answer, GError **error)
{
  g_autoptr (GString) pem = g_string_new (NULL);

  for (size_t i = 0; i < answer->n_certificates; i++)
    {
      const ProtobufCBinaryData *der = &answer->certificates[i]->certificate_der;
      g_autoptr (X509) certificate = tl_certificate_from_der (der->data, der->len, error);
      g_autofree char *text = NULL;

      if (certificate == NULL)
        {
          g_prefix_error (error, _ ("the gateway sent a CA certificate that does not parse: "));
          return NULL;
        }
      text = tl_certificate_to_pem (certificate);
      g_string_append (pem, text);
    }
  if (pem->len == 0)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, _ ("the gateway sent no CA certificate"));
      return NULL;
    }
  return g_strdup (pem->str);
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__GetCaBundleRequest request = TWINLATCH__V1__GET_CA_BUNDLE_REQUEST__INIT;
  const char *out = tl_args_text (args, "out");
  g_autoptr (TlCaAnswer) answer = NULL;
  g_autofree char *pem = NULL;

  answer = (TlCaAnswer *)tl_admin_call (cli, "GetCaBundle", &request.base,
                                        &twinlatch__v1__get_ca_bundle_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  pem = bundle_to_pem (answer, error);
  if (pem == NULL || (out != NULL && !tl_file_write_atomic (out, pem, strlen (pem), 0644, error)))
    return FALSE;

  if (tl_cli_is_json (cli))
    {
      json_t *object = json_object ();

      json_object_set_new (object, "gateway_id", tl_json_text (answer->gateway_id));
      json_object_set_new (object, out != NULL ? "out" : "pem", tl_json_text (out != NULL ? out : pem));
      tl_cli_print_json (cli, object);
    }
  else if (out == NULL)
    tl_cli_print (cli, "%s", pem);
  else
    tl_cli_note (cli, _ ("The certificates are in %s\n"), out);
  return TRUE;
}

static const TlOption options[] = {
  { "out", TL_OPTION_TEXT, "FILE", N_ ("write into a file instead of standard output") },
  { NULL },
};

const TlVerb tl_verb_ca_export = {
  .path = "ca export",
  .arguments = "",
  .summary = N_ ("print the CA certificates as PEM, newest first"),
  .options = options,
  .run = run,
};

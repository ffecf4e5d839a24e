/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-pairing-show.h"
#include "agent/cli/tl-prompt.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"

#define DIGITS 6

/* Six digits, blanks and dashes do not count; checked here because a typing mistake must not cost one of three tries.
 */
static char *
clean_digits (const char *text, GError **error)
{
  GString *digits = g_string_new (NULL);
  gboolean foreign = FALSE;

  for (const char *p = text; *p != '\0'; p++)
    {
      if (g_ascii_isdigit (*p))
        g_string_append_c (digits, *p);
      else if (*p != ' ' && *p != '-')
        foreign = TRUE;
    }
  if (foreign || digits->len != DIGITS)
    {
      g_string_free (digits, TRUE);
      g_set_error_literal (error, TL_ERROR, TL_ERROR_USAGE,
                           _ ("the code must be the six digits that the device shows"));
      return NULL;
    }
  return g_string_free (digits, FALSE);
}

static char *
ask_digits (TlCli *cli, const char *request_id, GError **error)
{
  Twinlatch__V1__PairingRequest *request;
  g_autoptr (TlSecret) line = NULL;

  if (!tl_prompt_available ())
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_USAGE,
                           _ ("approving needs the six digits that the device shows; give them with --code"));
      return NULL;
    }
  request = tl_pairing_find_request (cli, request_id, error);
  if (request == NULL)
    return NULL;
  if (!tl_cli_is_json (cli))
    tl_pairing_show_request (cli, request);
  tl_admin_answer_free (request);
  line = tl_prompt_line (_ ("Six digits that the device shows: "), error);
  return line != NULL ? clean_digits ((const char *)tl_secret_data (line), error) : NULL;
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  const char *request_id = tl_args_argument (args, 0);
  const char *given = tl_args_text (args, "code");
  g_autofree char *digits = given != NULL ? clean_digits (given, error) : ask_digits (cli, request_id, error);

  return digits != NULL && tl_pairing_decide (cli, request_id, TRUE, digits, NULL, error);
}

static const TlOption options[] = {
  { "code", TL_OPTION_TEXT, "DIGITS", N_ ("the six digits, read off the device (asked for when left out)") },
  { NULL },
};

const TlVerb tl_verb_pairing_approve = {
  .path = "pairing approve",
  .arguments = "REQUEST",
  .min_arguments = 1,
  .max_arguments = 1,
  .summary = N_ ("let a device in, with the six digits it shows"),
  .details = N_ ("REQUEST is the request's id or a unique prefix. The gateway does not show the digits: they have to "
                 "come from the\n"
                 "device, or somebody may be in between. Three wrong ones reject the request."),
  .options = options,
  .run = run,
};

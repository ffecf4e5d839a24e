/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-help.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  const char *first = tl_args_argument (args, 0);
  const char *second = tl_args_argument (args, 1);
  g_autofree char *words = g_strjoin (" ", first != NULL ? first : "", second, NULL);
  g_autofree char *text = NULL;

  if (tl_args_flag (args, "list-verbs"))
    text = tl_help_list_verbs ();
  else
    text = tl_help_for (words);
  if (text == NULL)
    {
      const char *near = tl_verb_suggest (words);

      if (near != NULL)
        g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("there is no verb '%s'; did you mean '%s'?"), words, near);
      else
        g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("there is no verb '%s'; see twinlatch help"), words);
      return FALSE;
    }
  tl_cli_print (cli, "%s", text);
  return TRUE;
}

static const TlOption options[] = {
  { "list-verbs", TL_OPTION_FLAG, NULL, N_ ("one verb a line with its options, for completion") },
  { NULL },
};

const TlVerb tl_verb_help = {
  .path = "help",
  .arguments = "[VERB...]",
  .max_arguments = 2,
  .summary = N_ ("show help"),
  .options = options,
  .run = run,
};

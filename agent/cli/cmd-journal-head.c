/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-verb.h"

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__GetJournalHeadRequest request = TWINLATCH__V1__GET_JOURNAL_HEAD_REQUEST__INIT;
  g_autoptr (TlHeadAnswer) answer = NULL;

  (void)args;
  answer = (TlHeadAnswer *)tl_admin_call (cli, "GetJournalHead", &request.base,
                                          &twinlatch__v1__get_journal_head_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  if (tl_cli_is_json (cli))
    tl_cli_print_json (cli, tl_json_from_message (&answer->base));
  else
    tl_cli_print (cli, "%s\n", answer->head);
  return TRUE;
}

const TlVerb tl_verb_journal_head = {
  .path = "journal head",
  .arguments = "",
  .summary = N_ ("print the journal's newest row as NUMBER:HASH"),
  .details = N_ (
      "Keep it elsewhere: 'twinlatch journal verify --head NUMBER:HASH' then proves that nobody removed rows up to it\n"
      "or wrote the journal anew."),
  .run = run,
};

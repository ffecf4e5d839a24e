/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"
#include "journal/tl-journal-verification.h"
#include "journal/tl-journal-wire.h"

#define DATABASE "twinlatch.db"

typedef struct
{
  TlCli *cli;
  gboolean answered;
  GError *failure; /* the journal is not sound */
} Verify;

static GError *
make_failure (const Twinlatch__V1__VerifyJournalResponse *answer)
{
  if (g_str_equal (answer->finding, tl_journal_finding_to_string (TL_JOURNAL_HEAD_GONE)))
    return g_error_new (TL_ERROR, TL_ERROR_FAILED_PRECONDITION, _ ("nothing is proven: %s"), answer->message);
  return g_error_new (TL_ERROR, TL_ERROR_CORRUPT, _ ("the journal is NOT sound: %s"), answer->message);
}

static void
print_sound (TlCli *cli, const Twinlatch__V1__VerifyJournalResponse *answer)
{
  const TlJournalHead head = { .seq = answer->head_seq };
  g_autofree char *text = NULL;
  g_autofree char *since = tl_cli_time (cli, answer->first_time_unix_ms);
  TlJournalHead copy = head;

  if (answer->head_hash.len == sizeof copy.hash)
    memcpy (copy.hash, answer->head_hash.data, sizeof copy.hash);
  text = tl_journal_head_to_string (&copy);
  tl_cli_print (cli, _ ("The journal is sound: %llu rows, from %llu (%s) on.\n"), (unsigned long long)answer->rows,
                (unsigned long long)answer->first_seq, since);
  if (answer->receipts > 0 || answer->receipts_unproven > 0)
    tl_cli_print (cli, _ ("Signed receipts of requests: %llu verify, %llu of devices that are forgotten.\n"),
                  (unsigned long long)answer->receipts, (unsigned long long)answer->receipts_unproven);
  if (answer->head_proven)
    tl_cli_print (cli, _ ("The head that was kept is on it.\n"));
  tl_cli_print (cli, _ ("Its head: %s\n"), text);
}

static void
take_answer (Verify *verify, const Twinlatch__V1__VerifyJournalResponse *answer)
{
  verify->answered = TRUE;
  if (!answer->sound)
    verify->failure = make_failure (answer);
  if (tl_cli_is_json (verify->cli))
    tl_cli_print_json (verify->cli, tl_json_from_message (&answer->base));
  else if (answer->sound)
    print_sound (verify->cli, answer);
}

static gboolean
on_answer (const ProtobufCMessage *message, gpointer user_data)
{
  const Twinlatch__V1__VerifyJournalResponse *answer = (const Twinlatch__V1__VerifyJournalResponse *)message;

  if (answer->done)
    take_answer (user_data, answer);
  return TRUE;
}

/* The gateway is asked. */
static gboolean
verify_online (Verify *verify, const char *head, GError **error)
{
  Twinlatch__V1__VerifyJournalRequest request = TWINLATCH__V1__VERIFY_JOURNAL_REQUEST__INIT;
  TlAdminOutcome outcome;
  g_autoptr (GError) problem = NULL;

  if (head != NULL)
    request.head = (char *)head;
  outcome = tl_admin_stream (verify->cli, "VerifyJournal", &request.base,
                             &twinlatch__v1__verify_journal_response__descriptor,
                             tl_cli_stream_timeout_ms (verify->cli), on_answer, verify, &problem);
  if (verify->answered)
    return TRUE;
  if (outcome == TL_ADMIN_FAILED)
    g_propagate_error (error, g_steal_pointer (&problem));
  else
    g_set_error_literal (error, TL_ERROR, TL_ERROR_CANCELLED, _ ("stopped before the journal was verified"));
  return FALSE;
}

/* The database of a stopped gateway, or a copy, is read here. */
static gboolean
verify_offline (Verify *verify, const char *path, const TlJournalHead *head, GError **error)
{
  g_autoptr (TlJournalReader) reader = tl_journal_reader_open (path, TL_JOURNAL_STOPPED, error);
  g_autoptr (TlJournalVerification) verification = NULL;
  Twinlatch__V1__VerifyJournalResponse answer;
  gboolean done = FALSE;

  if (reader == NULL)
    return FALSE;
  verification = tl_journal_verification_new (reader, head);
  while (!done)
    {
      if (!tl_journal_verification_step (verification, &done, error))
        return FALSE;
    }
  tl_journal_verdict_to_message (tl_journal_verification_verdict (verification), TRUE, &answer);
  take_answer (verify, &answer);
  return TRUE;
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  const char *offline = tl_args_text (args, "offline");
  const char *database = tl_args_text (args, "database");
  const char *text = tl_args_text (args, "head");
  g_autofree char *path = offline != NULL ? g_build_filename (offline, DATABASE, NULL) : g_strdup (database);
  Verify verify = { .cli = cli };
  TlJournalHead head;

  if (offline != NULL && database != NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_USAGE, _ ("give either --offline or --database"));
      return FALSE;
    }
  if (text != NULL && !tl_journal_head_parse (text, &head, error))
    return FALSE;
  if (!(path != NULL ? verify_offline (&verify, path, text != NULL ? &head : NULL, error)
                     : verify_online (&verify, text, error)))
    return FALSE;
  if (verify.failure == NULL)
    return TRUE;
  if (tl_cli_is_json (cli))
    {
      tl_cli_set_exit_code (cli, tl_error_to_exit_code (verify.failure));
      g_error_free (verify.failure);
      return TRUE;
    }
  g_propagate_error (error, verify.failure);
  return FALSE;
}

static const TlOption options[] = {
  { "head", TL_OPTION_TEXT, "NUMBER:HASH", N_ ("a head that was kept elsewhere has to be on the chain") },
  { "offline", TL_OPTION_TEXT, "DIR", N_ ("read the state directory of a stopped gateway, without one") },
  { "database", TL_OPTION_TEXT, "FILE", N_ ("the same for a database file, such as a copy") },
  { NULL },
};

const TlVerb tl_verb_journal_verify = {
  .path = "journal verify",
  .arguments = "",
  .summary = N_ ("prove that no row of the journal was changed or removed"),
  .details
  = N_ ("Rows are chained by SHA-256. A row that was changed, removed or swapped is named, and the exit status is 9. "
        "Without\n"
        "--head, somebody who wrote the whole chain anew is not found out: keep what 'twinlatch journal head' prints."),
  .options = options,
  .run = run,
};

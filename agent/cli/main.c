/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>
#include <locale.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/tl-help.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"
#include "tl-config-build.h"

static void
init_locale (void)
{
  setlocale (LC_ALL, "");
  bindtextdomain (GETTEXT_PACKAGE, TL_LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
}

/* For errors in the command line itself, which is not parsed then. */
static gboolean
asks_for_json (int argc, char **argv)
{
  for (int i = 1; i < argc && !g_str_equal (argv[i], "--"); i++)
    {
      if (g_str_equal (argv[i], "--json"))
        return TRUE;
    }
  return FALSE;
}

static gboolean
run_without_verb (TlArgs *args, GError **error)
{
  const char *words = tl_args_words (args);
  g_autofree char *offered = NULL;

  if (words[0] == '\0')
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_USAGE, _ ("say what to do; see twinlatch help"));
      return FALSE;
    }
  offered = tl_verb_group_words (words);
  g_set_error (error, TL_ERROR, TL_ERROR_USAGE, _ ("'%s' needs one of: %s"), words, offered);
  return FALSE;
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  const TlVerb *verb = tl_args_verb (args);

  if (tl_args_flag (args, "help"))
    {
      g_autofree char *text = tl_help_for (tl_args_words (args));

      tl_cli_print (cli, "%s", text);
      return TRUE;
    }
  if (tl_args_flag (args, "version") && verb == NULL)
    return tl_verb_version.run (cli, args, error);
  return verb != NULL ? verb->run (cli, args, error) : run_without_verb (args, error);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (TlArgs) args = NULL;
  g_autoptr (TlCli) cli = NULL;

  /* gRPC's threads may be in a handshake when the process ends: libcrypto must not take its locks away at exit. It has
   * to hear that before its first use. */
  OPENSSL_init_crypto (OPENSSL_INIT_NO_ATEXIT, NULL);
  init_locale ();
  args = tl_args_parse (argc, (const char *const *)argv, &error);
  cli = tl_cli_new (args, asks_for_json (argc, argv));
  if (args == NULL || !run (cli, args, &error))
    return tl_cli_report (cli, error);

  if (fflush (stdout) != 0 || ferror (stdout))
    {
      g_set_error_literal (&error, TL_ERROR, TL_ERROR_IO, _ ("cannot write to standard output"));
      return tl_cli_report (cli, error);
    }
  return tl_cli_exit_code (cli);
}

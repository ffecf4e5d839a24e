/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/tl-text.h"
#include "base/tl-clock.h"
#include "base/tl-error.h"

struct _TlCli
{
  gboolean json;
  gboolean coloured;
  char *socket;
  char *gateway;
  char *state_dir;
  gint64 timeout_ms; /* 0: not given */
  int exit_code;
  TlRpcLoop *loop;
};

static gboolean
may_colour (TlArgs *args)
{
  const char *no_color = g_getenv ("NO_COLOR");
  const char *term = g_getenv ("TERM");

  if (args != NULL && tl_args_flag (args, "no-color"))
    return FALSE;
  if (no_color != NULL && no_color[0] != '\0')
    return FALSE;
  return isatty (STDOUT_FILENO) && term != NULL && !g_str_equal (term, "dumb");
}

TlCli *
tl_cli_new (TlArgs *args, gboolean json)
{
  TlCli *cli = g_new0 (TlCli, 1);

  cli->json = json;
  cli->coloured = may_colour (args);
  if (args != NULL)
    {
      cli->socket = g_strdup (tl_args_text (args, "socket"));
      cli->gateway = g_strdup (tl_args_text (args, "gateway"));
      cli->state_dir = g_strdup (tl_args_text (args, "state-dir"));
      cli->timeout_ms = tl_args_number (args, "timeout", 0);
    }
  return cli;
}

void
tl_cli_free (TlCli *cli)
{
  if (cli == NULL)
    return;
  g_clear_pointer (&cli->loop, tl_rpc_loop_unref);
  g_free (cli->socket);
  g_free (cli->gateway);
  g_free (cli->state_dir);
  g_free (cli);
}

gboolean
tl_cli_is_json (TlCli *cli)
{
  return cli->json;
}

gboolean
tl_cli_is_coloured (TlCli *cli)
{
  return cli->coloured;
}

const char *
tl_cli_socket (TlCli *cli)
{
  return cli->socket;
}

const char *
tl_cli_gateway (TlCli *cli)
{
  return cli->gateway;
}

const char *
tl_cli_state_dir (TlCli *cli)
{
  return cli->state_dir;
}

void
tl_cli_set_state_dir (TlCli *cli, const char *state_dir)
{
  g_free (cli->state_dir);
  cli->state_dir = g_strdup (state_dir);
}

guint
tl_cli_timeout_ms (TlCli *cli)
{
  return cli->timeout_ms > 0 ? (guint)cli->timeout_ms : TL_CLI_DEFAULT_TIMEOUT_MS;
}

guint
tl_cli_stream_timeout_ms (TlCli *cli)
{
  return (guint)cli->timeout_ms;
}

gint64
tl_cli_now_ms (TlCli *cli)
{
  (void)cli;
  return tl_clock_wall_ms (tl_clock_system ());
}

TlRpcLoop *
tl_cli_loop (TlCli *cli)
{
  if (cli->loop == NULL)
    cli->loop = tl_rpc_loop_new (NULL);
  return cli->loop;
}

void
tl_cli_drop_loop (TlCli *cli)
{
  g_clear_pointer (&cli->loop, tl_rpc_loop_unref);
}

/* stdio and not g_print(): output is UTF-8 whatever the locale says, as JSON has to be. */
static void
write_text (FILE *stream, const char *text)
{
  fputs (text, stream);
  fflush (stream);
}

void
tl_cli_print (TlCli *cli, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list values;

  (void)cli;
  va_start (values, format);
  text = g_strdup_vprintf (format, values);
  va_end (values);
  write_text (stdout, text);
}

void
tl_cli_note (TlCli *cli, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list values;

  if (cli->json)
    return;
  va_start (values, format);
  text = g_strdup_vprintf (format, values);
  va_end (values);
  write_text (stderr, text);
}

void
tl_cli_print_json (TlCli *cli, json_t *value)
{
  g_autofree char *text = tl_json_to_string (value);

  tl_cli_print (cli, "%s\n", text);
  json_decref (value);
}

void
tl_cli_print_table (TlCli *cli, TlTable *table)
{
  g_autofree char *text = tl_table_render (table, cli->coloured);

  write_text (stdout, text);
}

char *
tl_cli_time (TlCli *cli, gint64 wall_ms)
{
  return tl_text_time (wall_ms, tl_cli_now_ms (cli));
}

void
tl_cli_set_exit_code (TlCli *cli, int exit_code)
{
  cli->exit_code = exit_code;
}

int
tl_cli_exit_code (TlCli *cli)
{
  return cli->exit_code;
}

int
tl_cli_report (TlCli *cli, const GError *error)
{
  int exit_code = cli->exit_code != TL_EXIT_OK ? cli->exit_code : tl_error_to_exit_code (error);
  g_autofree char *valid = g_utf8_make_valid (error->message, -1);

  if (cli->json)
    {
      tl_json_auto object = json_pack ("{s:{s:s, s:s, s:i}}", "error", "reason", tl_error_to_reason (error), "message",
                                       valid, "exit_code", exit_code);
      g_autofree char *text = tl_json_to_string (object);

      fprintf (stderr, "%s\n", text);
    }
  else
    {
      g_autofree char *line = tl_text_escape (g_strstrip (valid));

      fprintf (stderr, "twinlatch: %s\n", line);
    }
  fflush (stderr);
  return exit_code;
}

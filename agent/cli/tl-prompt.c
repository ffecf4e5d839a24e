/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"

#define TTY      "/dev/tty"
#define MAX_LINE 4096

static int
open_tty (void)
{
  return open (TTY, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

gboolean
tl_prompt_available (void)
{
  int fd;

  if (!isatty (STDIN_FILENO) && !isatty (STDERR_FILENO))
    return FALSE;
  fd = open_tty ();
  if (fd < 0)
    return FALSE;
  close (fd);
  return TRUE;
}

static gboolean
write_all (int fd, const char *text)
{
  gsize left = strlen (text);

  while (left > 0)
    {
      gssize n = write (fd, text, left);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return FALSE;
      text += n;
      left -= (gsize)n;
    }
  return TRUE;
}

/* Bytes up to the end, a line end (if stop_at_line) or the limit, which is an error. Straight into the secret: stdio
 * would keep a copy in its buffer. */
static gssize
read_into (int fd, guint8 *buffer, gsize size, gboolean stop_at_line, GError **error)
{
  gsize length = 0;

  for (;;)
    {
      gssize n = read (fd, buffer + length, stop_at_line ? 1 : size - length);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          tl_error_set_errno (error, errno, _ ("cannot read"));
          return -1;
        }
      if (n == 0 || (stop_at_line && buffer[length] == '\n'))
        return n == 0 && stop_at_line && length == 0 ? -2 : (gssize)length;
      length += (gsize)n;
      if (length == size)
        {
          g_set_error (error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED, _ ("the input is longer than %d bytes"),
                       (int)size - 1);
          return -1;
        }
    }
}

TlSecret *
tl_prompt_line (const char *question, GError **error)
{
  g_autoptr (TlSecret) buffer = tl_secret_new (MAX_LINE);
  int fd = tl_prompt_available () ? open_tty () : -1;
  gssize length;

  if (fd < 0)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_USAGE,
                           _ ("there is no terminal to ask on; say it with an option"));
      return NULL;
    }
  write_all (fd, question);
  length = read_into (fd, tl_secret_data_mut (buffer), MAX_LINE, TRUE, error);
  if (length == -2)
    {
      write_all (fd, "\n");
      g_set_error_literal (error, TL_ERROR, TL_ERROR_CANCELLED, _ ("cancelled; nothing was done"));
    }
  close (fd);
  return length >= 0 ? tl_secret_slice (buffer, 0, (gsize)length) : NULL;
}

static gboolean
means_yes (const char *answer)
{
  /* Translators: the answers that mean yes, in lower case, separated by '|'. English y and yes always work. */
  g_auto (GStrv) words = g_strsplit (_ ("y|yes"), "|", -1);
  g_autofree char *lower = g_utf8_strdown (answer, -1);

  return g_strv_contains ((const char *const *)words, lower) || g_str_equal (lower, "y") || g_str_equal (lower, "yes");
}

gboolean
tl_prompt_confirm (const char *question, GError **error)
{
  g_autofree char *full = g_strdup_printf ("%s [y/N] ", question);
  g_autoptr (TlSecret) line = tl_prompt_line (full, error);
  g_autofree char *answer = NULL;

  if (line == NULL)
    return FALSE;
  answer = g_utf8_make_valid ((const char *)tl_secret_data (line), -1);
  return means_yes (g_strstrip (answer));
}

gboolean
tl_prompt_require (gboolean yes, const char *question, GError **error)
{
  g_autoptr (GError) problem = NULL;

  if (yes)
    return TRUE;
  if (!tl_prompt_available ())
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_USAGE,
                           _ ("there is nobody to ask for confirmation; give --yes to go on"));
      return FALSE;
    }
  if (tl_prompt_confirm (question, &problem))
    return TRUE;
  if (problem != NULL)
    g_propagate_error (error, g_steal_pointer (&problem));
  else
    g_set_error_literal (error, TL_ERROR, TL_ERROR_CANCELLED, _ ("not confirmed; nothing was done"));
  return FALSE;
}

/* The first line that is not blank, as a secret of its own. */
static TlSecret *
first_line (const char *text)
{
  text += strspn (text, " \t\r\n");
  gsize length = strcspn (text, "\r\n");

  while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
    length--;
  return length > 0 ? tl_secret_new_copy (text, length) : NULL;
}

TlSecret *
tl_prompt_read_code (const char *file, GError **error)
{
  g_autoptr (TlSecret) buffer = tl_secret_new (TL_PROMPT_MAX_CODE + 1);
  gboolean is_stdin = g_str_equal (file, "-");
  int fd = is_stdin ? STDIN_FILENO : open (file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  TlSecret *code;
  gssize length;

  if (fd < 0)
    {
      tl_error_set_errno (error, errno, _ ("cannot open %s"), file);
      return NULL;
    }
  length = read_into (fd, tl_secret_data_mut (buffer), TL_PROMPT_MAX_CODE + 1, FALSE, error);
  if (!is_stdin)
    close (fd);
  if (length < 0)
    {
      g_prefix_error (error, "%s: ", is_stdin ? _ ("standard input") : file);
      return NULL;
    }
  code = first_line ((const char *)tl_secret_data (buffer));
  if (code == NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, _ ("there is no PIN or link in %s"),
                 is_stdin ? _ ("standard input") : file);
  return code;
}

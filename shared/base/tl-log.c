/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-log.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

/* sd_journal_sendv() itself, not the macro that adds our own file and line to every entry. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/tl-clock.h"
#include "base/tl-error.h"

/* Longer values are cut: a stranger's bytes must not fill the disk. */
#define MAX_VALUE_BYTES 4096

/* Written once by tl_log_init() before there are threads, only read later. */
static struct
{
  char *program;
  TlLogLevel level;
  gboolean to_journal;
} settings = { .program = NULL, .level = TL_LOG_INFO };

static const char *const level_names[] = {
  [TL_LOG_ERROR] = "error", [TL_LOG_WARNING] = "warning", [TL_LOG_NOTICE] = "notice",
  [TL_LOG_INFO] = "info",   [TL_LOG_DEBUG] = "debug",
};

static const int priorities[] = {
  [TL_LOG_ERROR] = LOG_ERR, [TL_LOG_WARNING] = LOG_WARNING, [TL_LOG_NOTICE] = LOG_NOTICE,
  [TL_LOG_INFO] = LOG_INFO, [TL_LOG_DEBUG] = LOG_DEBUG,
};

/* systemd.exec(5): device and inode of the stream, so that a redirected stderr is told from the journal. */
static gboolean
stderr_is_journal (void)
{
  const char *stream = g_getenv ("JOURNAL_STREAM");
  g_autofree char *ours = NULL;
  struct stat info;

  if (stream == NULL || fstat (STDERR_FILENO, &info) != 0)
    return FALSE;
  ours = g_strdup_printf ("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, (guint64)info.st_dev, (guint64)info.st_ino);
  return g_str_equal (stream, ours);
}

static gboolean
must_escape (gunichar c)
{
  switch (g_unichar_type (c))
    {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT: /* bidirectional overrides */
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
      return TRUE;
    default:
      return FALSE;
    }
}

/* Printable text on one line. quoted: backslash and quotation mark are escaped as well. */
static void
append_escaped (GString *line, const char *text, gboolean quoted)
{
  gsize length = strnlen (text, MAX_VALUE_BYTES + 1);
  const char *end = text + MIN (length, MAX_VALUE_BYTES);

  for (const char *p = text; p < end;)
    {
      gunichar c = g_utf8_get_char_validated (p, end - p);

      if (c == (gunichar)-1 || c == (gunichar)-2)
        {
          g_string_append_printf (line, "\\x%02x", (guint8)*p);
          p++;
          continue;
        }
      if (c == '\n')
        g_string_append (line, "\\n");
      else if (c == '\t')
        g_string_append (line, "\\t");
      else if (must_escape (c))
        g_string_append_printf (line, "\\u%04x", c);
      else
        {
          if (quoted && (c == '"' || c == '\\'))
            g_string_append_c (line, '\\');
          g_string_append_unichar (line, c);
        }
      p = g_utf8_next_char (p);
    }
  if (length > MAX_VALUE_BYTES)
    g_string_append (line, "...");
}

static gboolean
is_bare_word (const char *value)
{
  if (value[0] == '\0')
    return FALSE;
  for (const char *p = value; *p != '\0'; p++)
    {
      if (!g_ascii_isalnum (*p) && strchr ("-_.:/,+@%[]", *p) == NULL)
        return FALSE;
    }
  return TRUE;
}

static void
append_pair (GString *line, const char *key, const char *value)
{
  g_string_append_printf (line, " %s=", key);
  if (is_bare_word (value))
    {
      append_escaped (line, value, FALSE);
      return;
    }
  g_string_append_c (line, '"');
  append_escaped (line, value, TRUE);
  g_string_append_c (line, '"');
}

static void
write_to_stderr (TlLogLevel level, const char *text)
{
  g_autofree char *time = tl_time_to_string (tl_clock_wall_ms (tl_clock_system ()));
  g_autofree char *line = g_strdup_printf ("%s %s %s\n", time, level_names[level], text);
  ssize_t n;

  /* One write a line, so that lines of several threads do not mix; nobody is left to tell when it fails. */
  do
    n = write (STDERR_FILENO, line, strlen (line));
  while (n < 0 && errno == EINTR);
}

static gboolean
send_to_journal (TlLogLevel level, const char *text, GPtrArray *fields)
{
  g_autofree struct iovec *parts = g_new0 (struct iovec, fields->len + 3);
  g_autofree char *message = g_strconcat ("MESSAGE=", text, NULL);
  g_autofree char *priority = g_strdup_printf ("PRIORITY=%d", priorities[level]);
  g_autofree char *identifier = g_strconcat ("SYSLOG_IDENTIFIER=", settings.program, NULL);
  const char *const own[] = { message, priority, identifier };

  for (guint i = 0; i < fields->len + G_N_ELEMENTS (own); i++)
    {
      const char *part = i < G_N_ELEMENTS (own) ? own[i] : fields->pdata[i - G_N_ELEMENTS (own)];

      parts[i].iov_base = (char *)part;
      parts[i].iov_len = strlen (part);
    }
  return sd_journal_sendv (parts, (int)(fields->len + G_N_ELEMENTS (own))) == 0;
}

static void
emit (TlLogLevel level, const char *message, va_list *pairs)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GPtrArray) fields = g_ptr_array_new_with_free_func (g_free);
  const char *key;

  append_escaped (text, message, FALSE);
  while (pairs != NULL && (key = va_arg (*pairs, const char *)) != NULL)
    {
      const char *value = va_arg (*pairs, const char *);
      g_autofree char *upper = NULL;

      if (value == NULL)
        continue;
      append_pair (text, key, value);
      upper = g_ascii_strup (key, -1);
      g_ptr_array_add (fields, g_strdup_printf ("TWINLATCH_%s=%.*s", upper, MAX_VALUE_BYTES, value));
    }
  if (!settings.to_journal || !send_to_journal (level, text->str, fields))
    write_to_stderr (level, text->str);
}

static TlLogLevel
level_of_glib (GLogLevelFlags flags)
{
  if ((flags & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)) != 0)
    return TL_LOG_ERROR;
  if ((flags & G_LOG_LEVEL_WARNING) != 0)
    return TL_LOG_WARNING;
  if ((flags & G_LOG_LEVEL_MESSAGE) != 0)
    return TL_LOG_NOTICE;
  return (flags & G_LOG_LEVEL_INFO) != 0 ? TL_LOG_INFO : TL_LOG_DEBUG;
}

static GLogWriterOutput
write_glib_message (GLogLevelFlags flags, const GLogField *fields, gsize n_fields, gpointer user_data G_GNUC_UNUSED)
{
  const char *message = "";
  const char *domain = NULL;

  for (gsize i = 0; i < n_fields; i++)
    {
      if (fields[i].length >= 0) /* not a NUL-terminated string */
        continue;
      if (g_str_equal (fields[i].key, "MESSAGE"))
        message = fields[i].value;
      else if (g_str_equal (fields[i].key, "GLIB_DOMAIN"))
        domain = fields[i].value;
    }
  tl_log (level_of_glib (flags), message, "domain", domain, NULL);
  return G_LOG_WRITER_HANDLED;
}

void
tl_log_init (const char *program, TlLogLevel level)
{
  gboolean first = settings.program == NULL;

  g_free (settings.program);
  settings.program = g_strdup (program);
  settings.level = level;
  settings.to_journal = stderr_is_journal ();
  if (first) /* GLib allows it once */
    g_log_set_writer_func (write_glib_message, NULL, NULL);
}

gboolean
tl_log_level_parse (const char *text, TlLogLevel *level)
{
  for (guint i = 0; text != NULL && i < G_N_ELEMENTS (level_names); i++)
    {
      if (g_str_equal (text, level_names[i]))
        {
          *level = (TlLogLevel)i;
          return TRUE;
        }
    }
  return FALSE;
}

void
tl_log (TlLogLevel level, const char *message, ...)
{
  va_list pairs;

  if (level > settings.level)
    return;
  va_start (pairs, message);
  emit (level, message, &pairs);
  va_end (pairs);
}

void
tl_log_error (TlLogLevel level, const char *context, const GError *error)
{
  g_autofree char *message = NULL;

  if (level > settings.level)
    return;
  message = g_strdup_printf ("%s: %s", context, error->message);
  tl_log (level, message, "reason", tl_error_to_reason (error), NULL);
}

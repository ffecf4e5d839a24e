/* SPDX-License-Identifier: Apache-2.0 */
#include "event-record.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct _EventRecord
{
  int fd;
  guint64 seq;
  char *event_id;
};

static void
die (const char *what)
{
  g_error ("event record: %s: %s", what, g_strerror (errno));
}

static void
remember (EventRecord *record, guint64 seq, const char *event_id)
{
  record->seq = seq;
  g_free (record->event_id);
  record->event_id = g_strdup (event_id);
}

static void
read_back (EventRecord *record, const char *path)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  char *end;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    die ("read");
  end = strrchr (text, '\n');
  if (ftruncate (record->fd, end != NULL ? end + 1 - text : 0) != 0)
    die ("truncate");
  if (end == NULL)
    return;
  *end = '\0';
  lines = g_strsplit (text, "\n", -1);
  for (guint i = g_strv_length (lines); i-- > 0;)
    {
      g_auto (GStrv) words = g_strsplit (lines[i], " ", 4);

      if (*lines[i] == '!')
        continue;
      remember (record, g_ascii_strtoull (words[0], NULL, 10), words[1]);
      return;
    }
}

EventRecord *
event_record_open (const char *path)
{
  EventRecord *record = g_new0 (EventRecord, 1);

  record->event_id = g_strdup ("");
  record->fd = open (path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (record->fd < 0)
    die ("open");
  read_back (record, path);
  return record;
}

void
event_record_free (EventRecord *record)
{
  if (record == NULL)
    return;
  close (record->fd);
  g_free (record->event_id);
  g_free (record);
}

guint64
event_record_seq (EventRecord *record)
{
  return record->seq;
}

const char *
event_record_event_id (EventRecord *record)
{
  return record->event_id;
}

static void
append (EventRecord *record, const char *line)
{
  gsize length = strlen (line);

  if (write (record->fd, line, length) != (gssize)length || fdatasync (record->fd) != 0)
    die ("append");
}

void
event_record_append (EventRecord *record, guint64 seq, const char *event_id, const char *type, const char *input)
{
  g_autofree char *line = g_strdup_printf ("%" G_GUINT64_FORMAT " %s %s %s\n", seq, event_id, type, input);

  append (record, line);
  remember (record, seq, event_id);
}

void
event_record_complain (EventRecord *record, const char *what)
{
  g_autofree char *line = g_strdup_printf ("! %s\n", what);

  append (record, line);
}

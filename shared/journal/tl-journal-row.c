/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/tl-journal-row.h"

#include <string.h>

#include "base/tl-error.h"
#include "base/tl-json.h"

#define CHECKPOINT_MAX 4096

TlJournalRow *
tl_journal_row_copy (const TlJournalRow *row)
{
  TlJournalRow *copy = g_memdup2 (row, sizeof *row);

  copy->kind = g_strdup (row->kind);
  copy->actor = g_strdup (row->actor);
  copy->subject = g_strdup (row->subject);
  copy->detail = g_strdup (row->detail);
  return copy;
}

void
tl_journal_row_free (TlJournalRow *row)
{
  if (row == NULL)
    return;
  g_free ((char *)row->kind);
  g_free ((char *)row->actor);
  g_free ((char *)row->subject);
  g_free ((char *)row->detail);
  g_free (row);
}

void
tl_journal_row_hash (const guint8 previous[TL_JOURNAL_HASH_LENGTH], const TlJournalRow *row,
                     guint8 hash[TL_JOURNAL_HASH_LENGTH])
{
  g_autoptr (TlTranscript) transcript = tl_transcript_new ("journal");

  tl_transcript_add (transcript, previous, TL_JOURNAL_HASH_LENGTH);
  tl_transcript_add_u64 (transcript, row->seq);
  tl_transcript_add_u64 (transcript, (guint64)row->time);
  tl_transcript_add_string (transcript, row->kind);
  tl_transcript_add_string (transcript, row->actor);
  tl_transcript_add_string (transcript, row->subject);
  tl_transcript_add_string (transcript, row->detail);
  tl_transcript_hash (transcript, hash);
}

char *
tl_journal_head_to_string (const TlJournalHead *head)
{
  g_autofree char *hex = tl_hex_encode (head->hash, sizeof head->hash);

  return g_strdup_printf ("%" G_GUINT64_FORMAT ":%s", head->seq, hex);
}

gboolean
tl_journal_head_parse (const char *text, TlJournalHead *head, GError **error)
{
  const char *colon = strchr (text, ':');
  g_autofree char *digits = colon != NULL ? g_strndup (text, (gsize)(colon - text)) : NULL;
  TlJournalHead parsed = { 0 };

  if (digits == NULL || !g_ascii_string_to_unsigned (digits, 10, 0, G_MAXINT64, &parsed.seq, NULL)
      || !tl_hex_decode (colon + 1, parsed.hash, sizeof parsed.hash))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "\"%.90s\" is not the head of a journal: a number, a colon and 64 hex digits, as 'twinlatch journal "
                   "head' prints it",
                   text);
      return FALSE;
    }
  *head = parsed;
  return TRUE;
}

char *
tl_journal_checkpoint_to_detail (const TlJournalCheckpoint *checkpoint)
{
  g_autofree char *hex = tl_hex_encode (checkpoint->last.hash, sizeof checkpoint->last.hash);
  tl_json_auto detail = json_pack ("{s:I, s:s, s:I}", "last_seq", (json_int_t)checkpoint->last.seq, "last_hash", hex,
                                   "rows", (json_int_t)checkpoint->rows);

  if (checkpoint->damaged != 0)
    json_object_set_new (detail, "damaged", json_integer ((json_int_t)checkpoint->damaged));
  return tl_json_to_string (detail);
}

static guint64
get_number (const json_t *object, const char *name)
{
  const json_t *value = json_object_get (object, name);

  return json_is_integer (value) && json_integer_value (value) > 0 ? (guint64)json_integer_value (value) : 0;
}

gboolean
tl_journal_checkpoint_parse (const char *detail, TlJournalCheckpoint *checkpoint, GError **error)
{
  tl_json_auto object = tl_json_parse (detail, -1, CHECKPOINT_MAX, error);
  TlJournalCheckpoint parsed = { 0 };

  if (object == NULL)
    return FALSE;
  parsed.last.seq = get_number (object, "last_seq");
  parsed.rows = get_number (object, "rows");
  parsed.damaged = get_number (object, "damaged");
  if (parsed.last.seq == 0
      || !tl_hex_decode (json_string_value (json_object_get (object, "last_hash")), parsed.last.hash,
                         sizeof parsed.last.hash))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                           "the checkpoint does not say which row was the last one removed");
      return FALSE;
    }
  *checkpoint = parsed;
  return TRUE;
}

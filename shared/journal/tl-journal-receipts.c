/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "identity/tl-receipt.h"
#include "journal/tl-journal-private.h"
#include "twinlatch/v1/common.pb-c.h"

/*
 * Signed receipts of requests, as the gateway knows the request: what the device claimed of it is not believed. The
 * signature says that the device's identity key made it; the journal's row about the request's end holds its hash.
 */

enum
{
  COLUMN_REQUEST,
  COLUMN_DEVICE,
  COLUMN_CAPABILITY,
  COLUMN_INPUT,
  COLUMN_INPUT_SHA256,
  COLUMN_REQUESTED_BY,
  COLUMN_EXPIRES,
  COLUMN_RECEIPT,
  COLUMN_IDENTITY,
  COLUMN_GATEWAY,
};

/* Older schemas have the input itself, and no digest of it. */
#define SELECT(digest)                                                                                                 \
  "SELECT r.request_id, r.device_id, r.capability, r.input, " digest ", r.requested_by, r.expires_at, r.receipt,"      \
  " d.identity_public, (SELECT value FROM meta WHERE key = 'gateway_id')"                                              \
  " FROM requests AS r LEFT JOIN devices AS d USING (device_id)"
#define AFTER " WHERE r.request_id > ? ORDER BY r.request_id LIMIT ?"
#define ONE   " WHERE r.request_id = ?"

static sqlite3_stmt *
prepare (TlJournalReader *reader, const char *with_digest, const char *without, GError **error)
{
  tl_statement_auto columns
      = tl_journal_reader_prepare (reader, "SELECT 1 FROM pragma_table_info ('requests') WHERE name = 'input_sha256'",
                                   error);
  gboolean row;

  if (columns == NULL || !tl_journal_reader_step (reader, columns, &row, error))
    return NULL;
  return tl_journal_reader_prepare (reader, row ? with_digest : without, error);
}

static const char *
text (sqlite3_stmt *query, int column)
{
  const char *value = (const char *)sqlite3_column_text (query, column);
  return value != NULL ? value : "";
}

/* Of an input that history does not keep any more, its digest; without that, what the receipt says. */
static void
hash_input (sqlite3_stmt *query, const Twinlatch__V1__Receipt *message, guint8 digest[TL_SHA256_LENGTH])
{
  const void *stored = sqlite3_column_blob (query, COLUMN_INPUT_SHA256);

  memset (digest, 0, TL_SHA256_LENGTH);
  if (sqlite3_column_type (query, COLUMN_INPUT) == SQLITE_TEXT)
    tl_sha256 (sqlite3_column_text (query, COLUMN_INPUT), (gsize)sqlite3_column_bytes (query, COLUMN_INPUT), digest);
  else if (stored != NULL && sqlite3_column_bytes (query, COLUMN_INPUT_SHA256) == TL_SHA256_LENGTH)
    memcpy (digest, stored, TL_SHA256_LENGTH);
  else if (message->input_sha256.len == TL_SHA256_LENGTH)
    memcpy (digest, message->input_sha256.data, TL_SHA256_LENGTH);
}

/* A row's receipt, rebuilt, and what is kept beside it. */
typedef struct
{
  Twinlatch__V1__Receipt *message;
  TlReceipt *receipt; /* NULL: there is none that parses */
  TlReceiptSubject subject;
} Kept;

static void
kept_clear (Kept *kept)
{
  tl_receipt_free (kept->receipt);
  if (kept->message != NULL)
    twinlatch__v1__receipt__free_unpacked (kept->message, NULL);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Kept, kept_clear)

static void
read_kept (sqlite3_stmt *query, Kept *kept)
{
  const guint8 *packed = sqlite3_column_blob (query, COLUMN_RECEIPT);
  Twinlatch__V1__Receipt *message
      = packed != NULL
            ? twinlatch__v1__receipt__unpack (NULL, (gsize)sqlite3_column_bytes (query, COLUMN_RECEIPT), packed)
            : NULL;
  TlReceipt *receipt;

  kept->message = message;
  kept->subject.gateway_id = text (query, COLUMN_GATEWAY);
  kept->subject.device_id = text (query, COLUMN_DEVICE);
  kept->subject.request_id = text (query, COLUMN_REQUEST);
  kept->subject.capability = text (query, COLUMN_CAPABILITY);
  if (message == NULL || (message->signature.len != 0 && message->signature.len != TL_SIGNATURE_LENGTH))
    return;
  receipt = kept->receipt = g_new0 (TlReceipt, 1);
  receipt->allowed = g_str_equal (message->decision, "allowed");
  receipt->by = g_strdup (message->by);
  receipt->time_ms = message->time_unix_ms;
  receipt->requested_by = g_strdup (text (query, COLUMN_REQUESTED_BY));
  receipt->expires_at_ms = sqlite3_column_int64 (query, COLUMN_EXPIRES);
  hash_input (query, message, receipt->input_sha256);
  receipt->is_signed = message->signature.len != 0;
  if (receipt->is_signed)
    memcpy (receipt->signature, message->signature.data, sizeof receipt->signature);
}

/* Signed by itself, or covered by the signature over its result, alone or with others (data/doc/protocol.md,
 * Receipts). */
static gboolean
is_proven (const Kept *kept, const guint8 *identity)
{
  const Twinlatch__V1__Receipt *message = kept->message;
  TlResultSubject result = { .request_id = kept->subject.request_id };

  if (kept->receipt == NULL)
    return FALSE;
  if (kept->receipt->is_signed && !tl_receipt_verify (kept->receipt, &kept->subject, identity))
    return FALSE;
  if (message->result_signature.len == 0)
    return kept->receipt->is_signed;
  if (message->result_signature.len != TL_SIGNATURE_LENGTH || message->output_sha256.len != TL_SHA256_LENGTH)
    return FALSE;
  tl_receipt_hash (kept->receipt, &kept->subject, result.receipt_hash);
  memcpy (result.output_sha256, message->output_sha256.data, TL_SHA256_LENGTH);
  return tl_result_verify (&result, message->result_proof.data, message->result_proof.len, identity,
                           message->result_signature.data, NULL);
}

static gboolean
check_signature (TlJournalVerifier *verifier, sqlite3_stmt *query)
{
  const guint8 *identity = sqlite3_column_blob (query, COLUMN_IDENTITY);
  gboolean known = identity != NULL && sqlite3_column_bytes (query, COLUMN_IDENTITY) == 32;
  g_auto (Kept) kept = { 0 };

  if (sqlite3_column_type (query, COLUMN_RECEIPT) == SQLITE_NULL)
    return TRUE; /* nothing was decided at the device */
  if (known)
    read_kept (query, &kept);
  return tl_journal_verifier_add_receipt (verifier, text (query, COLUMN_REQUEST), known,
                                          known && is_proven (&kept, identity));
}

gboolean
tl_journal_verify_receipts (TlJournalReader *reader, TlJournalVerifier *verifier, guint limit, char **request_id,
                            gboolean *end, GError **error)
{
  tl_statement_auto query = prepare (reader, SELECT ("r.input_sha256") AFTER, SELECT ("NULL") AFTER, error);
  gboolean row = TRUE;
  guint n;

  if (query == NULL)
    return FALSE;
  sqlite3_bind_text (query, 1, *request_id, -1, SQLITE_TRANSIENT);
  sqlite3_bind_int64 (query, 2, limit);
  for (n = 0; row; n++)
    {
      if (!tl_journal_reader_step (reader, query, &row, error))
        return FALSE;
      if (!row)
        break;
      g_free (*request_id);
      *request_id = g_strdup (text (query, COLUMN_REQUEST));
      if (!check_signature (verifier, query))
        break;
    }
  *end = n < limit;
  return TRUE;
}

/* ---- the row about the end ---- */

sqlite3_stmt *
tl_journal_prepare_request (TlJournalReader *reader, GError **error)
{
  return prepare (reader, SELECT ("r.input_sha256") ONE, SELECT ("NULL") ONE, error);
}

gboolean
tl_journal_check_ended (TlJournalReader *reader, TlJournalVerifier *verifier, sqlite3_stmt *query,
                        const TlJournalRow *row, GError **error)
{
  static const char member[] = "\"receipt\":\"";
  const char *found = strstr (row->detail, member);
  g_autofree char *hex = found != NULL ? g_strndup (found + strlen (member), 2 * TL_SHA256_LENGTH) : NULL;
  guint8 expected[TL_SHA256_LENGTH], digest[TL_SHA256_LENGTH];
  g_auto (Kept) kept = { 0 };
  gboolean there;

  if (hex == NULL || !tl_hex_decode (hex, expected, sizeof expected))
    return TRUE; /* the device had no part in it */
  sqlite3_reset (query);
  sqlite3_bind_text (query, 1, row->subject, -1, SQLITE_TRANSIENT);
  if (!tl_journal_reader_step (reader, query, &there, error))
    return FALSE;
  if (!there)
    return TRUE; /* history does not keep the request as long */
  read_kept (query, &kept);
  memset (digest, 0, sizeof digest);
  if (kept.receipt != NULL)
    tl_receipt_hash (kept.receipt, &kept.subject, digest);
  if (memcmp (digest, expected, sizeof digest) != 0)
    tl_journal_verifier_add_receipt (verifier, row->subject, TRUE, FALSE);
  return TRUE;
}

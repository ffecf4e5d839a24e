/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "identity/tl-receipt.h"
#include "journal/tl-journal-private.h"
#include "twinlatch/v1/common.pb-c.h"

/* Signed receipts of requests, as the gateway knows the request: what the device claimed of it is not believed. */

enum
{
  COLUMN_REQUEST,
  COLUMN_DEVICE,
  COLUMN_CAPABILITY,
  COLUMN_INPUT,
  COLUMN_REQUESTED_BY,
  COLUMN_EXPIRES,
  COLUMN_RECEIPT,
  COLUMN_IDENTITY,
  COLUMN_GATEWAY,
};

#define RECEIPTS                                                                                                       \
  "SELECT r.request_id, r.device_id, r.capability, r.input, r.requested_by, r.expires_at, r.receipt,"                  \
  " d.identity_public, (SELECT value FROM meta WHERE key = 'gateway_id')"                                              \
  " FROM requests AS r LEFT JOIN devices AS d USING (device_id)"                                                       \
  " WHERE r.request_id > ? ORDER BY r.request_id LIMIT ?"

static const char *
text (sqlite3_stmt *query, int column)
{
  const char *value = (const char *)sqlite3_column_text (query, column);
  return value != NULL ? value : "";
}

/* An input that history does not keep any more is taken at the receipt's word. */
static void
hash_input (sqlite3_stmt *query, const Twinlatch__V1__Receipt *message, guint8 digest[TL_SHA256_LENGTH])
{
  if (sqlite3_column_type (query, COLUMN_INPUT) == SQLITE_TEXT)
    tl_sha256 (sqlite3_column_text (query, COLUMN_INPUT), (gsize)sqlite3_column_bytes (query, COLUMN_INPUT), digest);
  else if (message->input_sha256.len == TL_SHA256_LENGTH)
    memcpy (digest, message->input_sha256.data, TL_SHA256_LENGTH);
  else
    memset (digest, 0, TL_SHA256_LENGTH);
}

static gboolean
verify_receipt (sqlite3_stmt *query, const guint8 *identity)
{
  const guint8 *packed = sqlite3_column_blob (query, COLUMN_RECEIPT);
  Twinlatch__V1__Receipt *message
      = twinlatch__v1__receipt__unpack (NULL, (gsize)sqlite3_column_bytes (query, COLUMN_RECEIPT), packed);
  TlReceiptSubject subject = { .gateway_id = text (query, COLUMN_GATEWAY),
                               .device_id = text (query, COLUMN_DEVICE),
                               .request_id = text (query, COLUMN_REQUEST),
                               .capability = text (query, COLUMN_CAPABILITY) };
  g_autoptr (TlReceipt) receipt = NULL;
  gboolean good = FALSE;

  if (message != NULL && message->signature.len == TL_SIGNATURE_LENGTH)
    {
      receipt = g_new0 (TlReceipt, 1);
      receipt->allowed = g_str_equal (message->decision, "allowed");
      receipt->by = g_strdup (message->by);
      receipt->time_ms = message->time_unix_ms;
      receipt->requested_by = g_strdup (text (query, COLUMN_REQUESTED_BY));
      receipt->expires_at_ms = sqlite3_column_int64 (query, COLUMN_EXPIRES);
      hash_input (query, message, receipt->input_sha256);
      memcpy (receipt->signature, message->signature.data, sizeof receipt->signature);
      good = tl_receipt_verify (receipt, &subject, identity);
    }
  if (message != NULL)
    twinlatch__v1__receipt__free_unpacked (message, NULL);
  return good;
}

static gboolean
check_row (TlJournalVerifier *verifier, sqlite3_stmt *query)
{
  const guint8 *identity;
  gboolean known;

  if (sqlite3_column_type (query, COLUMN_RECEIPT) != SQLITE_BLOB)
    return TRUE; /* nothing was decided at the device */
  identity = sqlite3_column_blob (query, COLUMN_IDENTITY);
  known = identity != NULL && sqlite3_column_bytes (query, COLUMN_IDENTITY) == 32;
  return tl_journal_verifier_add_receipt (verifier, text (query, COLUMN_REQUEST), known,
                                          known && verify_receipt (query, identity));
}

gboolean
tl_journal_verify_receipts (TlJournalReader *reader, TlJournalVerifier *verifier, guint limit, char **request_id,
                            gboolean *end, GError **error)
{
  tl_statement_auto query = tl_journal_reader_prepare (reader, RECEIPTS, error);
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
      if (!check_row (verifier, query))
        break;
    }
  *end = n < limit;
  return TRUE;
}

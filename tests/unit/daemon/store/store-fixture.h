/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "daemon/store/tl-store.h"

#include "base/tl-error.h"
#include "base/tl-random.h"
#include "base/tl-ulid.h"

G_BEGIN_DECLS

/* A store in a directory of its own, in virtual time that starts at STORE_NOW. */
#define STORE_NOW     G_GINT64_CONSTANT (1800000000000)
#define STORE_GATEWAY "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define MINUTE_MS     ((gint64)60 * 1000)
#define HOUR_MS       (60 * MINUTE_MS)
#define DAY_MS        (24 * HOUR_MS)

typedef struct
{
  char *directory;
  TlStore *store;
  TlStoreAdmission *admission; /* as it was found when the store was opened last */
  gint64 ids;                  /* every new id is later than the one before */
  int steps;                   /* test-store-restore: where to be killed */
} Fixture;

void fixture_set_up (Fixture *f, gconstpointer data);
void fixture_tear_down (Fixture *f, gconstpointer data);
void fixture_reopen (Fixture *f);
/* Of a table or index, from 1. */
guint fixture_root_page (const char *directory, const char *name);
/* Until the check of all pages is over; its verdict, and a word of its problem (NULL: there is none). */
void fixture_wait_check (Fixture *f, TlStoreCheckVerdict verdict, const char *word);
/* After tl_store_open(): admission.log of STORE_GATEWAY. */
void fixture_open_admission (Fixture *f);
char *fixture_id (Fixture *f);
void remove_directory (const char *path);
/* Behind the store's back, with checksums that fit afterwards; on its own connection, so also beside an open store. */
void fixture_sql (const char *directory, const char *sql);
#define store_test(path, function) g_test_add (path, Fixture, NULL, fixture_set_up, function, fixture_tear_down)

/* What an operation answered. copy (may be NULL) keeps the result; error and result are the test's. */
typedef gpointer (*AnswerCopy) (gconstpointer result);
typedef struct
{
  AnswerCopy copy;
  gboolean called;
  GError *error;
  gpointer result;
} Answer;

void answer_callback (const GError *error, gpointer result, gpointer user_data);
/* Flushes, asserts that the answer came and what it was; the error goes. */
void assert_ok (Fixture *f, Answer *answer);
void assert_failed (Fixture *f, Answer *answer, TlErrorCode code);

#define ANSWER(copy_function) ((Answer){ (AnswerCopy)(gpointer)(copy_function), FALSE, NULL, NULL })

/* A code record with a random verifier. */
TlCodeRecord *make_code (Fixture *f, TlPairingMethod method, TlRole role);
/* Mints it; the stored record. */
TlCodeRecord *mint (Fixture *f, TlPairingMethod method, TlRole role);
TlPairingRecord *make_request (Fixture *f, const TlCodeRecord *code, const char *device_id, guint8 identity,
                               const char *tls_key);
TlCertificateRecord *make_certificate (Fixture *f, const TlPairingRecord *request);
/* 64 hex digits that differ with the seed. */
char *make_fingerprint (const char *seed);
/* Mints a link, adds a request: pending. */
TlPairingRecord *request_pairing (Fixture *f, const char *device_id, guint8 identity, const char *tls_key, TlRole role,
                                  TlErrorCode expected);
#define REQUEST_OK ((TlErrorCode)TL_N_ERRORS)
void approve (Fixture *f, const TlPairingRecord *request);
/* The whole way; the certificate's fingerprint. */
char *pair_device (Fixture *f, const char *device_id, guint8 identity, TlRole role);
TlDeviceRecord *find_device (Fixture *f, const char *device);
TlCodeRecord *cancel_code (Fixture *f, const char *code, gint64 now);

G_END_DECLS

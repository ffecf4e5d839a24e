/* SPDX-License-Identifier: Apache-2.0 */
#include "pairing/tl-pairing-messages.h"

#include <stdatomic.h>
#include <string.h>

#include "base/tl-error.h"
#include "crypto/tl-hash.h"
#include "pairing/tl-pairing-private.h"

/*
 * The one place where messages become bytes. Every input is a TlTranscript: lp("twinlatch/1 <purpose>"), then lp(field)
 * for each field in the order of the code below; integers are fields of 8 bytes, little-endian; enumerations are their
 * strings; an absent value is an empty field; a list is its count followed by its members, so that members cannot move
 * between lists. data/doc/protocol.md says the same for people, tests/data/pairing_vectors.py computes it a second
 * time.
 */
#define KEY_LENGTH         32
#define OFFSET_DEVICE      0
#define OFFSET_GATEWAY     32
#define OFFSET_DISPLAY     64
#define OFFSET_TRANSCRIPT  96
#define KEYS_DERIVED       96
#define COMPARISON_MODULUS 1000000

struct _TlPairingKeys
{
  atomic_int refs;
  TlSecret *value; /* key_device || key_gateway || key_display || transcript_hash */
};

const char *
tl_client_kind_to_string (TlClientKind kind)
{
  switch (kind)
    {
    case TL_CLIENT_NODE:
      return "node";
    case TL_CLIENT_DESKTOP:
      return "desktop";
    case TL_CLIENT_CLI:
      return "cli";
    }
  return "unknown";
}

const char *
tl_pairing_state_to_string (TlPairingState state)
{
  switch (state)
    {
    case TL_PAIRING_STATE_PENDING_APPROVAL:
      return "pending_approval";
    case TL_PAIRING_STATE_APPROVED:
      return "approved";
    case TL_PAIRING_STATE_REJECTED:
      return "rejected";
    case TL_PAIRING_STATE_EXPIRED:
      return "expired";
    case TL_PAIRING_STATE_COMPLETED:
      return "completed";
    }
  return "unknown";
}

void
tl_pairing_commitment (const guint8 device_nonce[TL_PAIRING_NONCE_LENGTH], const guint8 identity_public[32],
                       guint8 commitment[32])
{
  g_autoptr (TlTranscript) input = tl_transcript_new ("commit");

  tl_transcript_add (input, device_nonce, TL_PAIRING_NONCE_LENGTH);
  tl_transcript_add (input, identity_public, 32);
  tl_transcript_hash (input, commitment);
}

static void
add_versions (TlTranscript *input, const TlPairingStart *start)
{
  guint64 versions[TL_PAIRING_VERSIONS_MAX];

  g_assert (start->n_versions <= TL_PAIRING_VERSIONS_MAX);

  for (guint i = 0; i < start->n_versions; i++)
    versions[i] = GUINT64_TO_LE ((guint64)start->versions[i]);
  tl_transcript_add (input, versions, start->n_versions * sizeof versions[0]);
}

static void
add_selector (TlTranscript *input, const TlPairingStart *start)
{
  g_autofree char *selector
      = start->code_id != NULL ? g_strdup_printf ("code:%s", start->code_id) : g_strdup_printf ("slot:%u", start->slot);

  tl_transcript_add_string (input, selector);
}

GBytes *
tl_pairing_context (const TlPairingStart *start, const TlPairingOffer *offer)
{
  g_autoptr (TlTranscript) input = tl_transcript_new ("context");
  guint8 ca_sha256[TL_SHA256_LENGTH];
  const guint8 *data;
  gsize length;

  data = g_bytes_get_data (offer->ca_certificate, &length);
  tl_sha256 (data, length, ca_sha256);

  tl_transcript_add_u64 (input, offer->version);
  add_versions (input, start);
  tl_transcript_add_string (input, TL_SPAKE2PLUS_SUITE);
  tl_transcript_add_string (input, offer->kdf.name);
  tl_transcript_add_u64 (input, offer->kdf.n);
  tl_transcript_add_u64 (input, offer->kdf.r);
  tl_transcript_add_u64 (input, offer->kdf.p);
  tl_transcript_add (input, offer->salt, sizeof offer->salt);
  add_selector (input, start);
  tl_transcript_add_string (input, offer->session_id);
  tl_transcript_add_string (input, tl_client_kind_to_string (start->client_kind));
  tl_transcript_add (input, offer->challenge, sizeof offer->challenge);
  tl_transcript_add (input, start->device_ephemeral, sizeof start->device_ephemeral);
  tl_transcript_add (input, offer->gateway_ephemeral, sizeof offer->gateway_ephemeral);
  tl_transcript_add (input, start->device_commitment, sizeof start->device_commitment);
  tl_transcript_add (input, ca_sha256, sizeof ca_sha256);
  tl_transcript_add (input, start->server_certificate_sha256, sizeof start->server_certificate_sha256);

  data = tl_transcript_data (input, &length);
  return g_bytes_new (data, length);
}

static TlPairingKeys *
keys_take (TlSecret *value)
{
  TlPairingKeys *keys = g_new0 (TlPairingKeys, 1);

  atomic_init (&keys->refs, 1);
  keys->value = value;
  return keys;
}

TlPairingKeys *
tl_pairing_keys_new (const TlSecret *shared, const TlSecret *x, const guint8 challenge[32], const char *session_id,
                     const guint8 transcript_hash[32])
{
  g_autoptr (TlTranscript) info = tl_transcript_new ("pairing");
  gsize shared_length = tl_secret_length (shared);
  g_autoptr (TlSecret) material = tl_secret_new (shared_length + tl_secret_length (x));
  g_autoptr (TlSecret) derived = NULL;
  g_autoptr (TlSecret) value = tl_secret_new (TL_PAIRING_KEYS_LENGTH);
  const guint8 *info_data;
  gsize info_length;

  memcpy (tl_secret_data_mut (material), tl_secret_data (shared), shared_length);
  memcpy (tl_secret_data_mut (material) + shared_length, tl_secret_data (x), tl_secret_length (x));
  tl_transcript_add_string (info, session_id);
  info_data = tl_transcript_data (info, &info_length);
  derived = tl_hkdf_sha256 (challenge, 32, tl_secret_data (material), tl_secret_length (material), info_data,
                            info_length, KEYS_DERIVED);

  memcpy (tl_secret_data_mut (value), tl_secret_data (derived), KEYS_DERIVED);
  memcpy (tl_secret_data_mut (value) + OFFSET_TRANSCRIPT, transcript_hash, TL_SHA256_LENGTH);
  return keys_take (g_steal_pointer (&value));
}

TlSecret *
tl_pairing_keys_serialise (TlPairingKeys *keys)
{
  return tl_secret_ref (keys->value);
}

TlPairingKeys *
tl_pairing_keys_parse (const TlSecret *value, GError **error)
{
  if (tl_secret_length (value) != TL_PAIRING_KEYS_LENGTH)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT,
                   "stored pairing keys have %" G_GSIZE_FORMAT " bytes instead of %d", tl_secret_length (value),
                   TL_PAIRING_KEYS_LENGTH);
      return NULL;
    }
  return keys_take (tl_secret_slice (value, 0, TL_PAIRING_KEYS_LENGTH));
}

TlPairingKeys *
tl_pairing_keys_ref (TlPairingKeys *keys)
{
  atomic_fetch_add_explicit (&keys->refs, 1, memory_order_relaxed);
  return keys;
}

void
tl_pairing_keys_unref (TlPairingKeys *keys)
{
  if (keys == NULL || atomic_fetch_sub_explicit (&keys->refs, 1, memory_order_acq_rel) > 1)
    return;
  tl_secret_unref (keys->value);
  g_free (keys);
}

/* Every MAC begins with the transcript hash: it says which run of which exchange it belongs to. */
static TlTranscript *
begin_input (TlPairingKeys *keys, const char *purpose)
{
  TlTranscript *input = tl_transcript_new (purpose);

  tl_transcript_add (input, tl_secret_data (keys->value) + OFFSET_TRANSCRIPT, TL_SHA256_LENGTH);
  return input;
}

static void
make_mac (TlPairingKeys *keys, gsize key_offset, TlTranscript *input, guint8 mac[TL_PAIRING_MAC_LENGTH])
{
  g_autoptr (TlSecret) key = tl_secret_slice (keys->value, key_offset, KEY_LENGTH);

  tl_transcript_mac (input, key, mac);
}

static gboolean
check_mac (TlPairingKeys *keys, gsize key_offset, TlTranscript *input, const guint8 mac[TL_PAIRING_MAC_LENGTH])
{
  g_autoptr (TlSecret) key = tl_secret_slice (keys->value, key_offset, KEY_LENGTH);

  return tl_transcript_check_mac (input, key, mac, TL_PAIRING_MAC_LENGTH);
}

static TlTranscript *
complete_transcript (TlPairingKeys *keys, const TlPairingComplete *message)
{
  TlTranscript *input = begin_input (keys, "complete");

  tl_transcript_add_string (input, message->session_id);
  tl_transcript_add (input, message->confirm_p, sizeof message->confirm_p);
  tl_transcript_add (input, message->identity_public, sizeof message->identity_public);
  tl_transcript_add (input, message->device_nonce, sizeof message->device_nonce);
  tl_transcript_add_bytes (input, message->csr_der);
  tl_transcript_add_string (input, message->device_name);
  tl_transcript_add_string (input, message->platform);
  tl_transcript_add_string (input, message->replaces_device_id);
  return input;
}

GBytes *
tl_pairing_complete_input (TlPairingKeys *keys, const TlPairingComplete *message)
{
  g_autoptr (TlTranscript) input = complete_transcript (keys, message);
  gsize length;
  const guint8 *data = tl_transcript_data (input, &length);

  return g_bytes_new (data, length);
}

void
tl_pairing_keys_mac_complete (TlPairingKeys *keys, TlPairingComplete *message)
{
  g_autoptr (TlTranscript) input = complete_transcript (keys, message);

  make_mac (keys, OFFSET_DEVICE, input, message->mac);
}

gboolean
tl_pairing_keys_check_complete (TlPairingKeys *keys, const TlPairingComplete *message)
{
  g_autoptr (TlTranscript) input = complete_transcript (keys, message);

  return check_mac (keys, OFFSET_DEVICE, input, message->mac);
}

static TlTranscript *
complete_answer_transcript (TlPairingKeys *keys, const guint8 *device_nonce, const TlPairingCompleteAnswer *answer)
{
  TlTranscript *input = begin_input (keys, "complete-answer");

  tl_transcript_add (input, device_nonce, TL_PAIRING_NONCE_LENGTH);
  tl_transcript_add_string (input, answer->request_id);
  tl_transcript_add_string (input, tl_pairing_state_to_string (answer->state));
  tl_transcript_add_u64 (input, (guint64)answer->expires_at_ms);
  return input;
}

void
tl_pairing_keys_mac_complete_answer (TlPairingKeys *keys, const guint8 device_nonce[TL_PAIRING_NONCE_LENGTH],
                                     TlPairingCompleteAnswer *answer)
{
  g_autoptr (TlTranscript) input = complete_answer_transcript (keys, device_nonce, answer);

  make_mac (keys, OFFSET_GATEWAY, input, answer->mac);
}

gboolean
tl_pairing_keys_check_complete_answer (TlPairingKeys *keys, const guint8 device_nonce[TL_PAIRING_NONCE_LENGTH],
                                       const TlPairingCompleteAnswer *answer)
{
  g_autoptr (TlTranscript) input = complete_answer_transcript (keys, device_nonce, answer);

  return check_mac (keys, OFFSET_GATEWAY, input, answer->mac);
}

static TlTranscript *
watch_transcript (TlPairingKeys *keys, const char *session_id, const guint8 *nonce)
{
  TlTranscript *input = begin_input (keys, "watch");

  tl_transcript_add_string (input, session_id);
  tl_transcript_add (input, nonce, TL_PAIRING_WATCH_NONCE_LENGTH);
  return input;
}

void
tl_pairing_keys_mac_watch (TlPairingKeys *keys, const char *session_id,
                           const guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH], guint8 mac[TL_PAIRING_MAC_LENGTH])
{
  g_autoptr (TlTranscript) input = watch_transcript (keys, session_id, nonce);

  make_mac (keys, OFFSET_DEVICE, input, mac);
}

gboolean
tl_pairing_keys_check_watch (TlPairingKeys *keys, const char *session_id,
                             const guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH], const guint8 mac[TL_PAIRING_MAC_LENGTH])
{
  g_autoptr (TlTranscript) input = watch_transcript (keys, session_id, nonce);

  return check_mac (keys, OFFSET_DEVICE, input, mac);
}

static TlTranscript *
watch_answer_transcript (TlPairingKeys *keys, const guint8 *nonce, const TlPairingWatchAnswer *answer)
{
  TlTranscript *input = begin_input (keys, "watch-answer");
  guint n_addresses = answer->addresses != NULL ? g_strv_length ((GStrv)answer->addresses) : 0;

  tl_transcript_add (input, nonce, TL_PAIRING_WATCH_NONCE_LENGTH);
  tl_transcript_add_string (input, tl_pairing_state_to_string (answer->state));
  tl_transcript_add_string (input, answer->reason);
  tl_transcript_add_bytes (input, answer->certificate_der);
  tl_transcript_add_u64 (input, answer->n_ca_bundle);
  for (guint i = 0; i < answer->n_ca_bundle; i++)
    tl_transcript_add_bytes (input, answer->ca_bundle[i]);
  tl_transcript_add_u64 (input, n_addresses);
  for (guint i = 0; i < n_addresses; i++)
    tl_transcript_add_string (input, answer->addresses[i]);
  tl_transcript_add_string (input, answer->policy);
  tl_transcript_add_string (input, answer->gateway_name);
  tl_transcript_add_u64 (input, answer->ca_generation);
  tl_transcript_add_u64 (input, answer->role);
  return input;
}

void
tl_pairing_keys_mac_watch_answer (TlPairingKeys *keys, const guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH],
                                  TlPairingWatchAnswer *answer)
{
  g_autoptr (TlTranscript) input = watch_answer_transcript (keys, nonce, answer);

  make_mac (keys, OFFSET_GATEWAY, input, answer->mac);
}

gboolean
tl_pairing_keys_check_watch_answer (TlPairingKeys *keys, const guint8 nonce[TL_PAIRING_WATCH_NONCE_LENGTH],
                                    const TlPairingWatchAnswer *answer)
{
  g_autoptr (TlTranscript) input = watch_answer_transcript (keys, nonce, answer);

  return check_mac (keys, OFFSET_GATEWAY, input, answer->mac);
}

void
tl_pairing_keys_comparison (TlPairingKeys *keys, const guint8 device_nonce[TL_PAIRING_NONCE_LENGTH],
                            char digits[TL_PAIRING_COMPARISON_DIGITS + 1])
{
  g_autoptr (TlTranscript) input = begin_input (keys, "compare");
  guint8 mac[TL_PAIRING_MAC_LENGTH];
  guint64 number = 0;

  tl_transcript_add (input, device_nonce, TL_PAIRING_NONCE_LENGTH);
  make_mac (keys, OFFSET_DISPLAY, input, mac);
  for (guint i = 0; i < sizeof number; i++)
    number = number << 8 | mac[i];
  number %= COMPARISON_MODULUS;
  for (int i = TL_PAIRING_COMPARISON_DIGITS - 1; i >= 0; i--, number /= 10)
    digits[i] = (char)('0' + number % 10);
  digits[TL_PAIRING_COMPARISON_DIGITS] = '\0';
  tl_wipe (mac, sizeof mac);
}

gboolean
tl_pairing_keys_check_comparison (TlPairingKeys *keys, const guint8 device_nonce[TL_PAIRING_NONCE_LENGTH],
                                  const char *digits)
{
  char expected[TL_PAIRING_COMPARISON_DIGITS + 1];
  char typed[TL_PAIRING_COMPARISON_DIGITS];
  guint n = 0;
  gboolean equal;

  for (const char *p = digits; *p != '\0'; p++)
    {
      if (*p == ' ' || *p == '\t' || *p == '-')
        continue;
      if (!g_ascii_isdigit (*p) || n == TL_PAIRING_COMPARISON_DIGITS)
        return FALSE;
      typed[n++] = *p;
    }
  if (n != TL_PAIRING_COMPARISON_DIGITS)
    return FALSE;

  tl_pairing_keys_comparison (keys, device_nonce, expected);
  equal = tl_memory_equal (expected, typed, TL_PAIRING_COMPARISON_DIGITS);
  tl_wipe (expected, sizeof expected);
  return equal;
}

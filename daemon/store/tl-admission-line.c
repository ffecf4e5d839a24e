/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/store/tl-admission-line.h"

#include <string.h>

#include "base/tl-json.h"
#include "base/tl-ulid.h"

#define MAC_MEMBER  ",\"mac\":\""
#define MAC_HEX     (2 * TL_SHA256_LENGTH)
#define TAIL        (sizeof MAC_MEMBER - 1 + MAC_HEX + 2) /* and the quote and brace behind it */
#define MAX_LINE    8192
#define LOG_NAME    "twinlatch admission"
#define LOG_VERSION 1

static const char *const kind_names[] = {
  [TL_ADMISSION_REVOKE] = "revoke",     [TL_ADMISSION_SUSPEND] = "suspend", [TL_ADMISSION_RESUME] = "resume",
  [TL_ADMISSION_REMOVE] = "remove",     [TL_ADMISSION_CLEAR] = "clear",     [TL_ADMISSION_ROLE] = "role",
  [TL_ADMISSION_RESTORED] = "restored", [TL_ADMISSION_CONFIRM] = "confirm",
};

const char *
tl_admission_kind_to_string (TlAdmissionKind kind)
{
  return kind_names[kind];
}

static gboolean
kind_from_string (const char *text, TlAdmissionKind *kind)
{
  for (guint i = 0; i < G_N_ELEMENTS (kind_names); i++)
    {
      if (g_str_equal (text, kind_names[i]))
        {
          *kind = (TlAdmissionKind)i;
          return TRUE;
        }
    }
  return FALSE;
}

static void
compute_mac (const char *body, gsize length, const TlSecret *key, guint8 mac[TL_SHA256_LENGTH])
{
  g_autoptr (TlTranscript) transcript = tl_transcript_new ("admission-log");

  tl_transcript_add (transcript, mac, TL_SHA256_LENGTH);
  tl_transcript_add (transcript, body, length);
  tl_transcript_mac (transcript, key, mac);
}

gboolean
tl_admission_line_verify (const char *line, gsize length, const TlSecret *key, guint8 mac[TL_SHA256_LENGTH])
{
  const char *tail = line + length - TAIL;
  g_autofree char *expected = NULL;
  guint8 computed[TL_SHA256_LENGTH];

  if (length <= TAIL || length > MAX_LINE || memcmp (tail, MAC_MEMBER, sizeof MAC_MEMBER - 1) != 0
      || memcmp (line + length - 2, "\"}", 2) != 0)
    return FALSE;
  memcpy (computed, mac, sizeof computed);
  compute_mac (line, length - TAIL, key, computed);
  /* As text: a letter that became upper case is a changed byte too. */
  expected = tl_hex_encode (computed, sizeof computed);
  if (!tl_memory_equal (tail + sizeof MAC_MEMBER - 1, expected, MAC_HEX))
    return FALSE;
  memcpy (mac, computed, sizeof computed);
  return TRUE;
}

static gboolean
get_counter (const json_t *object, const char *member, guint64 *value)
{
  gint64 number;

  if (!tl_json_get_int (object, member, TRUE, 0, TL_JSON_MAX_INTEGER - 1, 0, &number, NULL))
    return FALSE;
  *value = (guint64)number;
  return TRUE;
}

gboolean
tl_admission_line_read_header (const char *line, gsize length, char **gateway_id, guint64 *base)
{
  tl_json_auto object = tl_json_parse (line, (gssize)length, MAX_LINE, NULL);
  const char *name, *gateway;
  gint64 version;

  if (!json_is_object (object) || !tl_json_get_string (object, "log", TRUE, &name, NULL)
      || !g_str_equal (name, LOG_NAME) || !tl_json_get_string (object, "gateway", TRUE, &gateway, NULL)
      || !tl_json_get_int (object, "version", TRUE, LOG_VERSION, LOG_VERSION, 0, &version, NULL)
      || !get_counter (object, "base", base))
    return FALSE;
  *gateway_id = g_strdup (gateway);
  return TRUE;
}

TlAdmissionEntry *
tl_admission_line_read_entry (const char *line, gsize length)
{
  tl_json_auto object = tl_json_parse (line, (gssize)length, MAX_LINE, NULL);
  const char *change, *device, *name, *identity, *role, *actor, *reason;
  TlAdmissionEntry entry = { 0 };

  if (!json_is_object (object) || !get_counter (object, "n", &entry.counter)
      || !tl_json_get_int (object, "time", TRUE, 0, TL_JSON_MAX_INTEGER - 1, 0, &entry.time, NULL)
      || !tl_json_get_string (object, "change", TRUE, &change, NULL) || !kind_from_string (change, &entry.kind)
      || !tl_json_get_string (object, "device", TRUE, &device, NULL)
      || !tl_json_get_string (object, "name", TRUE, &name, NULL)
      || !tl_json_get_string (object, "identity", TRUE, &identity, NULL)
      || !tl_hex_decode (identity, entry.identity_public, sizeof entry.identity_public)
      || !tl_json_get_string (object, "role", TRUE, &role, NULL) || !tl_role_from_string (role, &entry.role)
      || !tl_json_get_string (object, "actor", TRUE, &actor, NULL)
      || !tl_json_get_string (object, "reason", TRUE, &reason, NULL))
    return NULL;
  if (entry.kind != TL_ADMISSION_RESTORED && entry.kind != TL_ADMISSION_CONFIRM && !tl_ulid_is_valid (device))
    return NULL;
  entry.device_id = (char *)device;
  entry.name = (char *)name;
  entry.actor = (char *)actor;
  entry.reason = (char *)reason;
  return tl_admission_entry_copy (&entry);
}

/* Takes the object. */
static void
append_line (GString *text, json_t *object, const TlSecret *key, guint8 mac[TL_SHA256_LENGTH])
{
  tl_json_auto owned = object;
  g_autofree char *body = NULL;
  g_autofree char *hex = NULL;

  g_assert (owned != NULL);
  body = tl_json_to_string (owned);
  body[strlen (body) - 1] = '\0'; /* the brace comes behind the MAC */
  compute_mac (body, strlen (body), key, mac);
  hex = tl_hex_encode (mac, TL_SHA256_LENGTH);
  g_string_append_printf (text, "%s" MAC_MEMBER "%s\"}\n", body, hex);
}

void
tl_admission_line_append_header (GString *text, const char *gateway_id, guint64 base, const TlSecret *key,
                                 guint8 mac[TL_SHA256_LENGTH])
{
  append_line (text,
               json_pack ("{s:s, s:i, s:s, s:I}", "log", LOG_NAME, "version", LOG_VERSION, "gateway", gateway_id,
                          "base", (json_int_t)base),
               key, mac);
}

void
tl_admission_line_append_entry (GString *text, const TlAdmissionEntry *entry, const TlSecret *key,
                                guint8 mac[TL_SHA256_LENGTH])
{
  g_autofree char *identity = tl_hex_encode (entry->identity_public, sizeof entry->identity_public);
  /* Callers checked; a row of an old store that is no UTF-8 must not stop a revocation. */
  g_autofree char *name = g_utf8_make_valid (entry->name, -1);
  g_autofree char *reason = g_utf8_make_valid (entry->reason, -1);

  append_line (text,
               json_pack ("{s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "n", (json_int_t)entry->counter, "time",
                          (json_int_t)entry->time, "change", tl_admission_kind_to_string (entry->kind), "device",
                          entry->device_id, "role", tl_role_to_string (entry->role), "name", name, "identity", identity,
                          "actor", entry->actor, "reason", reason),
               key, mac);
}

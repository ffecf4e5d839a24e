/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlAdmittedSet: certificate fingerprints that are recorded for a device in state `active` (PROTOCOL 1, P admission).
 * The one structure shared between threads: main changes it after the store committed, both transports' handshakes and
 * every call read it. What is not in it is nothing, whatever its signature says. Thread: any (short pthread lock).
 */
typedef enum
{
  TL_ROLE_NODE,
  TL_ROLE_OPERATOR,
} TlRole;

typedef struct
{
  char device_id[27];
  TlRole role;
  gint64 not_after_ms;
  guint ca_generation;
  gboolean superseded; /* renewed: its connections have until not_after_ms, no new handshake (PROTOCOL 4.3) */
} TlAdmission;

typedef struct _TlAdmittedSet TlAdmittedSet;

TlAdmittedSet *tl_admitted_set_new (void);
TlAdmittedSet *tl_admitted_set_ref (TlAdmittedSet *set);
void tl_admitted_set_unref (TlAdmittedSet *set);

/* fingerprint: 64 lower-case hex digits. Replaces what was there. */
void tl_admitted_set_add (TlAdmittedSet *set, const char *fingerprint, const TlAdmission *admission);
gboolean tl_admitted_set_remove (TlAdmittedSet *set, const char *fingerprint);
/* Renewed: no handshakes with it any more, its connections and their calls go on until end_ms at most. */
void tl_admitted_set_supersede (TlAdmittedSet *set, const char *fingerprint, gint64 end_ms);
/* All certificates of a device; returns how many went. */
guint tl_admitted_set_remove_device (TlAdmittedSet *set, const char *device_id);
/* Certificates of a device in it. */
guint tl_admitted_set_count_device (TlAdmittedSet *set, const char *device_id);
/* The role is read on every call: calls after this one have the new role. Returns how many certificates have it. */
guint tl_admitted_set_set_role (TlAdmittedSet *set, const char *device_id, TlRole role);
/* A closed set admits nobody, whatever it holds (PROTOCOL 4.4, a restored gateway); it is kept up to date meanwhile. */
void tl_admitted_set_set_closed (TlAdmittedSet *set, gboolean closed);
gboolean tl_admitted_set_is_closed (TlAdmittedSet *set);
/* TRUE when the set is not closed, recorded and now_ms < notAfter; *admission (may be NULL) written on success only. A
 * handshake looks at `superseded` too. */
gboolean tl_admitted_set_lookup (TlAdmittedSet *set, const char *fingerprint, gint64 now_ms, TlAdmission *admission);
guint tl_admitted_set_size (TlAdmittedSet *set);

const char *tl_role_to_string (TlRole role);
gboolean tl_role_from_string (const char *text, TlRole *role);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlAdmittedSet, tl_admitted_set_unref)

G_END_DECLS

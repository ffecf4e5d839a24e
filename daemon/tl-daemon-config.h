/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-config.h"
#include "base/tl-log.h"

G_BEGIN_DECLS

/*
 * TlDaemonConfig: twinlatchd.conf(5), checked: what a value means is known here, not where it is used. Immutable after
 * load. Thread: main.
 */
#define TL_DAEMON_MAX_LISTEN 16 /* addresses */

typedef struct
{
  guint strangers, strangers_per_source; /* connections without certificate */
  gint64 stranger_lifetime_ms;
  guint handshake_timeout_ms;
  guint sessions, sessions_per_source; /* open pairing sessions */
  guint starts_per_minute, starts_per_minute_per_source;
  guint renewals_per_minute, renewals_per_minute_per_source; /* GetChallenge and RenewWithIdentity, of strangers */
} TlDaemonLimits;

typedef struct
{
  guint connections;
  guint retry_threshold; /* half-open ones from which on an address has to be proven first; TL_QUIC_RETRY_ALWAYS */
  guint handshake_timeout_ms;
  char *qlog_directory; /* NULL: no qlog */
} TlDaemonQuic;

typedef struct
{
  TlConfig *config;
  char *name;          /* shown to people; host name by default */
  char **listen;       /* host:port, IPv6 in brackets */
  char **listen_quic;  /* the same, over UDP; empty: QUIC is off; NULL: hosts and bound ports of `listen` */
  char **advertise;    /* host:port; empty: global addresses of interfaces that are up */
  char **server_names; /* extra DNS names and IP addresses in the server leaf */
  char *admin_group;
  TlLogLevel log_level;
  gint64 device_lifetime_ms;
  gint64 renewal_grace_ms;     /* after a certificate's end (PROTOCOL 4.3) */
  gint64 journal_retention_ms; /* older rows of the journal go */
  guint64 journal_rows;        /* and those above this many */
  TlDaemonLimits limits;
  TlDaemonQuic quic;
} TlDaemonConfig;

/* path NULL: <config dir>/twinlatchd.conf when it exists. Errors name file and line. */
TlDaemonConfig *tl_daemon_config_load (const char *path, gboolean user, GError **error);
void tl_daemon_config_free (TlDaemonConfig *config);
/* For --help and the man page test. */
const TlConfigKey *tl_daemon_config_table (void);

/* host:port of this machine's global addresses for `port` (no loopback, link-local, or bridges and container
 * interfaces), at most max: what links carry when nothing is configured. */
char **tl_daemon_config_guess_addresses (guint16 port, guint max);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlDaemonConfig, tl_daemon_config_free)

G_END_DECLS

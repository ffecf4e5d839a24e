/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/cli/tl-args.h"
#include "agent/cli/tl-table.h"
#include "base/tl-json.h"
#include "rpc/tl-rpc.h"

G_BEGIN_DECLS

/*
 * TlCli: one run of `twinlatch`: the global options, where output goes, the loop. People get tables and lines, `--json`
 * gets objects; both go through here so that no verb forgets to escape or to flush. Thread: main.
 */
#define TL_CLI_DEFAULT_TIMEOUT_MS 30000

typedef struct _TlCli TlCli;

/* Copies what it needs of the parsed global options. args NULL (they did not parse): json as said, the rest default. */
TlCli *tl_cli_new (TlArgs *args, gboolean json);
void tl_cli_free (TlCli *cli);

gboolean tl_cli_is_json (TlCli *cli);
/* Standard output is a terminal that may be coloured. */
gboolean tl_cli_is_coloured (TlCli *cli);
const char *tl_cli_socket (TlCli *cli);    /* --socket, NULL: look for it */
const char *tl_cli_gateway (TlCli *cli);   /* --gateway, NULL: not given */
const char *tl_cli_state_dir (TlCli *cli); /* --state-dir, NULL: default */
/* --system stands for another default. */
void tl_cli_set_state_dir (TlCli *cli, const char *state_dir);
guint tl_cli_timeout_ms (TlCli *cli);        /* --timeout, or the default */
guint tl_cli_stream_timeout_ms (TlCli *cli); /* --timeout, 0 when not given: watching has no end of its own */
gint64 tl_cli_now_ms (TlCli *cli);
/* Made at the first call; lives as long as the object. */
TlRpcLoop *tl_cli_loop (TlCli *cli);
/* Not needed any more; the next tl_cli_loop() makes another. */
void tl_cli_drop_loop (TlCli *cli);

/* Standard output, flushed. The arguments' foreign parts were escaped by the caller. */
void tl_cli_print (TlCli *cli, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* What is going on, on standard error; nothing with --json. */
void tl_cli_note (TlCli *cli, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* One value, one line, always: verbs that print many and verbs that print one are read alike. Takes the value. */
void tl_cli_print_json (TlCli *cli, json_t *value);
void tl_cli_print_table (TlCli *cli, TlTable *table);
/* "in 9 min (10:12:03)"; g_free(). */
char *tl_cli_time (TlCli *cli, gint64 wall_ms);

/* For outcomes that were printed and still are failures (a capability that failed), or an error that ends otherwise
 * than its code says (a configuration file). */
void tl_cli_set_exit_code (TlCli *cli, int exit_code);
int tl_cli_exit_code (TlCli *cli);
/* Prints "twinlatch: what; what to do", or {"error": ...} with --json, on standard error; returns the exit code. */
int tl_cli_report (TlCli *cli, const GError *error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlCli, tl_cli_free)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/cli/tl-cli.h"

G_BEGIN_DECLS

/* A row of the gateway's journal as one line for people: `journal show` and `events`. detail "{}": none. Thread: main.
 */
void tl_event_line_print (TlCli *cli, guint64 seq, gint64 unix_ms, const char *kind, const char *actor,
                          const char *subject, const char *detail);

G_END_DECLS

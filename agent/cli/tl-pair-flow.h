/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/cli/tl-cli.h"
#include "agent/node/tl-node-state.h"
#include "pairing/tl-pairing-messages.h"

G_BEGIN_DECLS

/*
 * Pairing this computer as a person at a terminal (or a script with --from) does it: get the code, for a link show what
 * it says and ask (PROTOCOL 3.1, P: opening a link never connects by itself), show the six digits, wait for the
 * operator. Ctrl-C cancels cleanly. Thread: main, blocking (main context).
 */
typedef struct
{
  const char *gateway; /* --gateway HOST[:PORT]; PIN form */
  const char *from;    /* --from FILE or "-"; NULL: ask */
  const char *name;    /* --name; NULL: host name */
  TlClientKind kind;   /* --kind */
  gboolean replace;    /* --replace */
  gboolean yes;        /* --yes */
  gboolean system;     /* --system: for what people are told to do next */
} TlPairFlowOptions;

/* Blocks until paired or failed. With --json prints one object a line: {"event":"comparison",...},
 * {"event":"waiting",...}. */
TlNodeState *tl_pair_flow_run (TlCli *cli, const TlPairFlowOptions *options, GError **error);
/* What was paired: lines for people, or {"event":"paired",...}. */
void tl_pair_flow_print_paired (TlCli *cli, TlNodeState *state, const TlPairFlowOptions *options);

G_END_DECLS

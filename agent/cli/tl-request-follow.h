/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/cli/tl-cli.h"

#include <protobuf-c/protobuf-c.h>

G_BEGIN_DECLS

/*
 * A capability request until it is over: `exec` and `requests show --follow`. States and progress go to standard error
 * when that is a terminal, the output to standard output; how it ended is the exit code. SIGINT stops waiting, the
 * request goes on. Thread: main, blocking (main context).
 */
typedef enum
{
  TL_FOLLOW_RAW = 1 << 0,    /* a file's bytes or a string as they are */
  TL_FOLLOW_DETACH = 1 << 1, /* only until the gateway has it: prints its id */
} TlFollowFlags;

/* method: one of AdminService that streams ExecuteCapabilityResponse. */
gboolean tl_request_follow (TlCli *cli, const char *method, const ProtobufCMessage *request, TlFollowFlags flags,
                            GError **error);

G_END_DECLS

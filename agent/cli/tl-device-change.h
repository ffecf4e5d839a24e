/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-args.h"

G_BEGIN_DECLS

/*
 * What the verbs that change a device's admission have in common (`devices revoke`, `suspend`, ...): several DEVICEs,
 * one after the other; a question first where something ends for good; --dry-run; the answer for people and as JSON.
 * Thread: main, blocking.
 */
typedef struct
{
  const char *method;                        /* "SuspendDevice" */
  const ProtobufCMessageDescriptor *request; /* with `device`; `reason`, `dry_run` and `role` where it has them */
  const char *question;                      /* N_(), a %s for the devices; NULL: never asks */
  const char *done;                          /* N_(), %s name and %u milliseconds */
  const char *would;                         /* N_(), %s name; NULL: no --dry-run */
  const char *already;                       /* N_(), %s name */
  const char *after;                         /* N_(), what to know next; NULL: the counts speak */
} TlDeviceVerb;

/* The first n arguments are devices. role: for SetDeviceRole, else 0. One that fails does not stop the others: each
 * failure is reported, the first decides the exit code. */
gboolean tl_device_change_run (TlCli *cli, TlArgs *args, const TlDeviceVerb *verb, guint n, int role, GError **error);

/* --reason, --dry-run and --yes, as every one of them describes them. */
#define TL_DEVICE_OPTION_REASON                                                                                        \
  {                                                                                                                    \
    "reason", TL_OPTION_TEXT, "TEXT", N_ ("kept with the device, at most 240 bytes")                                   \
  }
#define TL_DEVICE_OPTION_DRY_RUN                                                                                       \
  {                                                                                                                    \
    "dry-run", TL_OPTION_FLAG, NULL, N_ ("say what would be cut, change nothing")                                      \
  }
#define TL_DEVICE_OPTION_YES                                                                                           \
  {                                                                                                                    \
    "yes", TL_OPTION_FLAG, NULL, N_ ("do not ask; needed without a terminal")                                          \
  }

G_END_DECLS

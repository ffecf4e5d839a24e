/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-capability.h"

G_BEGIN_DECLS

/*
 * Runs one program to its end for process.run: no shell, an environment of its own, a process group of its own, which
 * ends as a whole when the program ends, when its time is over or when nobody wants it any more (SIGTERM, then
 * SIGKILL). The program itself ends with this process, too. Blocking; thread: a worker's, which must outlive the
 * program.
 */
#define TL_PROCESS_TERM_MS 2000 /* between SIGTERM and SIGKILL */

typedef struct
{
  const char *const *argv; /* argv[0]: an absolute path */
  const char *directory;
  const char *input; /* its standard input */
  gint64 timeout_ms; /* 0: none of its own */
  gsize max_output;  /* bytes kept of standard output, and of standard error */
} TlProcessOptions;

typedef struct
{
  GByteArray *output, *errors;
  gboolean output_truncated, errors_truncated;
  int exit_status; /* -1: ended by a signal */
  int signal;      /* 0: it exited */
} TlProcessResult;

/* FALSE: CANCELLED, TIMED_OUT (both after it ended), or it could not be started (NOT_FOUND, PERMISSION_DENIED, IO). */
gboolean tl_process_run (const TlProcessOptions *options, TlCapabilityCall *call, TlProcessResult *result,
                         GError **error);
void tl_process_result_clear (TlProcessResult *result);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (TlProcessResult, tl_process_result_clear)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <gio/gio.h>
#include <jansson.h>

G_BEGIN_DECLS

/* A child that is killed when this process ends, however it ends. Standard error goes to <directory>/<name>.log. */
typedef struct _BenchProcess BenchProcess;

/* HOME and XDG_* point into directory, so that nothing of the person's is read or written. *ready gets the JSON line
 * that the program prints when it is. */
BenchProcess *bench_process_start (const char *directory, const char *name, const char *const *argv, json_t **ready,
                                   GError **error);
/* SIGTERM, waits; complains on standard error when it did not end with 0 or by that signal. */
void bench_process_stop (BenchProcess *process);

typedef struct
{
  double rss_kib;
  double anonymous_kib; /* RssAnon: what only this process has. smaps_rollup would need ptrace rights (PR_SET_DUMPABLE
                           0) */
} BenchMemory;

gboolean bench_process_memory (BenchProcess *process, BenchMemory *memory, GError **error);
/* User and system time so far, of all threads, to the nanosecond. */
gboolean bench_process_cpu (BenchProcess *process, double *seconds, GError **error);

/* The processor that a process with all its threads, or (NULL) this thread, has to run on; ANY: whatever it may have.
 */
#define BENCH_PROCESSOR_ANY (-1)
gboolean bench_process_pin (BenchProcess *process, int processor, GError **error);
/* One that may be pinned to. */
int bench_last_processor (void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BenchProcess, bench_process_stop)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Runs asynchronous operations, so many at a time, on the default main context and takes the time of each.
 */
typedef struct _BenchOperation BenchOperation;

/* Starts one; it ends with bench_operation_finish(). index: 0 .. count - 1. */
typedef void (*BenchStartFunc) (BenchOperation *operation, guint index, gpointer user_data);

typedef struct
{
  GArray *samples; /* double, microseconds an operation */
  double seconds;  /* all of it, added up over runs */
} BenchTimes;

BenchTimes *bench_times_new (void);
void bench_times_free (BenchTimes *times);
/* Operations a second. */
double bench_times_rate (const BenchTimes *times);

/* times may be NULL (warm-up). The first error ends it after what is under way. */
gboolean bench_load_run (guint count, guint in_flight, BenchStartFunc start, gpointer user_data, BenchTimes *times,
                         GError **error);
/* The clock stops here rather than at the end; only the first counts. */
void bench_operation_stop_clock (BenchOperation *operation);
/* Once; error (copied) NULL: it went well. */
void bench_operation_finish (BenchOperation *operation, const GError *error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BenchTimes, bench_times_free)

G_END_DECLS

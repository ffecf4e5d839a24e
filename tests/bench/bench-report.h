/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <math.h>

G_BEGIN_DECLS

/* Prints results as they come: an object a line, or a table for people. */
typedef struct _BenchReport BenchReport;

typedef struct
{
  const char *bench;
  double value;
  const char *unit;
  double reference;
  double budget;       /* NAN: there is none, and the row is ok */
  gboolean at_least;   /* the budget is the least that value may be, not the most */
  const char *against; /* what the reference is; table only */
} BenchRow;

BenchReport *bench_report_new (gboolean json);
void bench_report_free (BenchReport *report);
void bench_report_add (BenchReport *report, const BenchRow *row);
/* FALSE when a row was over its budget. */
gboolean bench_report_is_ok (const BenchReport *report);

/* samples: double, sorted by this; fraction 0.5 is the median. */
double bench_percentile (GArray *samples, double fraction);
/* Seconds of CLOCK_MONOTONIC. */
double bench_now (void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (BenchReport, bench_report_free)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#include "bench-report.h"

#include <jansson.h>
#include <stdio.h>
#include <time.h>

struct _BenchReport
{
  gboolean json;
  gboolean ok;
  guint rows;
};

BenchReport *
bench_report_new (gboolean json)
{
  BenchReport *report = g_new0 (BenchReport, 1);

  report->json = json;
  report->ok = TRUE;
  return report;
}

void
bench_report_free (BenchReport *report)
{
  g_free (report);
}

static void
print_json (const BenchRow *row, double ratio, gboolean ok)
{
  json_t *object = json_pack ("{s:s, s:f, s:s, s:f, s:f}", "bench", row->bench, "value", row->value, "unit", row->unit,
                              "reference", row->reference, "ratio", ratio);
  char *line;

  json_object_set_new (object, "budget", isnan (row->budget) ? json_null () : json_real (row->budget));
  json_object_set_new (object, "ok", json_boolean (ok));
  line = json_dumps (object, JSON_COMPACT | JSON_REAL_PRECISION (6));
  printf ("%s\n", line);
  free (line);
  json_decref (object);
}

static void
print_table (BenchReport *report, const BenchRow *row, double ratio, gboolean ok)
{
  char budget[32] = "-";

  if (report->rows == 0)
    printf ("%-30s %10s %-5s %10s %7s %8s %-4s %s\n", "bench", "value", "unit", "reference", "ratio", "budget", "ok",
            "reference is");
  if (!isnan (row->budget))
    g_snprintf (budget, sizeof budget, "%.5g", row->budget);
  printf ("%-30s %10.5g %-5s %10.5g %7.3g %8s %-4s %s\n", row->bench, row->value, row->unit, row->reference, ratio,
          budget, ok ? "yes" : "no", row->against);
}

void
bench_report_add (BenchReport *report, const BenchRow *row)
{
  double ratio = row->value / row->reference;
  gboolean ok = isnan (row->budget) || (row->at_least ? row->value >= row->budget : row->value <= row->budget);

  if (report->json)
    print_json (row, ratio, ok);
  else
    print_table (report, row, ratio, ok);
  fflush (stdout);
  report->ok = report->ok && ok;
  report->rows++;
}

gboolean
bench_report_is_ok (const BenchReport *report)
{
  return report->ok;
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *)a, y = *(const double *)b;

  return (x > y) - (x < y);
}

double
bench_percentile (GArray *samples, double fraction)
{
  guint index;

  g_assert (samples->len > 0);
  g_array_sort (samples, compare_doubles);
  index = (guint)(fraction * (samples->len - 1) + 0.5);
  return g_array_index (samples, double, index);
}

double
bench_now (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

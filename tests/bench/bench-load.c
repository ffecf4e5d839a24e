/* SPDX-License-Identifier: Apache-2.0 */
#include "bench-load.h"

#include "bench-report.h"

typedef struct
{
  guint count, started, running;
  BenchStartFunc start;
  gpointer user_data;
  BenchTimes *times;
  GError *error;
} Load;

struct _BenchOperation
{
  Load *load;
  double started;
  double stopped; /* 0: not yet */
};

BenchTimes *
bench_times_new (void)
{
  BenchTimes *times = g_new0 (BenchTimes, 1);

  times->samples = g_array_new (FALSE, FALSE, sizeof (double));
  return times;
}

void
bench_times_free (BenchTimes *times)
{
  g_array_unref (times->samples);
  g_free (times);
}

double
bench_times_rate (const BenchTimes *times)
{
  return times->samples->len / times->seconds;
}

void
bench_operation_stop_clock (BenchOperation *operation)
{
  if (operation->stopped == 0)
    operation->stopped = bench_now ();
}

void
bench_operation_finish (BenchOperation *operation, const GError *error)
{
  Load *load = operation->load;

  bench_operation_stop_clock (operation);
  if (error != NULL && load->error == NULL)
    load->error = g_error_copy (error);
  if (error == NULL && load->times != NULL)
    {
      double microseconds = (operation->stopped - operation->started) * 1e6;

      g_array_append_val (load->times->samples, microseconds);
    }
  g_free (operation);
  load->running--;
}

static void
start_next (Load *load)
{
  BenchOperation *operation = g_new0 (BenchOperation, 1);

  operation->load = load;
  operation->started = bench_now ();
  load->running++;
  load->start (operation, load->started++, load->user_data);
}

gboolean
bench_load_run (guint count, guint in_flight, BenchStartFunc start, gpointer user_data, BenchTimes *times,
                GError **error)
{
  Load load = { .count = count, .start = start, .user_data = user_data, .times = times };
  double began = bench_now ();

  for (;;)
    {
      while (load.error == NULL && load.running < in_flight && load.started < count)
        start_next (&load);
      if (load.running == 0)
        break;
      g_main_context_iteration (NULL, TRUE);
    }
  if (load.error != NULL)
    {
      g_propagate_error (error, load.error);
      return FALSE;
    }
  if (times != NULL)
    times->seconds += bench_now () - began;
  return TRUE;
}

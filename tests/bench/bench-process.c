/* SPDX-License-Identifier: Apache-2.0 */
#include "bench-process.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-json.h"

struct _BenchProcess
{
  char *name;
  char *log;
  GSubprocess *child;
  GDataInputStream *output;
};

static void
end_with_parent (gpointer user_data)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

static GSubprocess *
spawn (BenchProcess *process, const char *directory, const char *const *argv, GError **error)
{
  static const char *const variables[] = {
    "HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME",
  };
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE);

  for (guint i = 0; i < G_N_ELEMENTS (variables); i++)
    g_subprocess_launcher_setenv (launcher, variables[i], directory, TRUE);
  g_subprocess_launcher_setenv (launcher, "LC_ALL", "C.UTF-8", TRUE);
  g_subprocess_launcher_unsetenv (launcher, "NOTIFY_SOCKET");
  g_subprocess_launcher_set_stderr_file_path (launcher, process->log);
  g_subprocess_launcher_set_child_setup (launcher, end_with_parent, NULL, NULL);
  return g_subprocess_launcher_spawnv (launcher, argv, error);
}

static json_t *
read_ready (BenchProcess *process, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autofree char *line = g_data_input_stream_read_line (process->output, NULL, NULL, &local);

  if (line == NULL)
    {
      g_autofree char *log = NULL;

      g_file_get_contents (process->log, &log, NULL, NULL);
      if (log != NULL)
        g_strchomp (log);
      g_set_error (error, TL_ERROR, TL_ERROR_UNAVAILABLE, "%s ended before it was ready: %s", process->name,
                   local != NULL                   ? local->message
                   : log != NULL && log[0] != '\0' ? log
                                                   : "it said nothing");
      return NULL;
    }
  return tl_json_parse (line, -1, 0, error);
}

BenchProcess *
bench_process_start (const char *directory, const char *name, const char *const *argv, json_t **ready, GError **error)
{
  g_autoptr (BenchProcess) process = g_new0 (BenchProcess, 1);
  json_t *line;

  process->name = g_strdup (name);
  process->log = g_strdup_printf ("%s/%s.log", directory, name);
  process->child = spawn (process, directory, argv, error);
  if (process->child == NULL)
    return NULL;
  process->output = g_data_input_stream_new (g_subprocess_get_stdout_pipe (process->child));
  line = read_ready (process, error);
  if (line == NULL)
    return NULL;
  *ready = line;
  return g_steal_pointer (&process);
}

void
bench_process_stop (BenchProcess *process)
{
  if (process == NULL)
    return;
  if (process->child != NULL)
    {
      g_subprocess_send_signal (process->child, SIGTERM);
      g_subprocess_wait (process->child, NULL, NULL);
      if (g_subprocess_get_if_exited (process->child) && g_subprocess_get_exit_status (process->child) != 0)
        g_printerr ("bench: %s ended with %d\n", process->name, g_subprocess_get_exit_status (process->child));
      if (g_subprocess_get_if_signaled (process->child) && g_subprocess_get_term_sig (process->child) != SIGTERM)
        g_printerr ("bench: %s was ended by signal %d\n", process->name, g_subprocess_get_term_sig (process->child));
    }
  g_clear_object (&process->output);
  g_clear_object (&process->child);
  g_free (process->name);
  g_free (process->log);
  g_free (process);
}

/* ---- what the kernel knows of it */

static char *
read_proc (BenchProcess *process, const char *file, GError **error)
{
  g_autofree char *path = g_strdup_printf ("/proc/%s/%s", g_subprocess_get_identifier (process->child), file);
  char *text = NULL;

  return g_file_get_contents (path, &text, NULL, error) ? text : NULL;
}

static gboolean
find_kib (const char *text, const char *key, double *kib, GError **error)
{
  const char *line = strstr (text, key);

  if (line == NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_UNSUPPORTED, "the kernel does not tell %s", key);
      return FALSE;
    }
  *kib = g_ascii_strtod (line + strlen (key), NULL);
  return TRUE;
}

gboolean
bench_process_memory (BenchProcess *process, BenchMemory *memory, GError **error)
{
  g_autofree char *text = read_proc (process, "status", error);

  return text != NULL && find_kib (text, "VmRSS:", &memory->rss_kib, error)
         && find_kib (text, "RssAnon:", &memory->anonymous_kib, error);
}

gboolean
bench_process_cpu (BenchProcess *process, double *seconds, GError **error)
{
  const pid_t pid = (pid_t)g_ascii_strtoll (g_subprocess_get_identifier (process->child), NULL, 10);
  struct timespec spent;
  clockid_t clock;

  if (clock_getcpuclockid (pid, &clock) != 0 || clock_gettime (clock, &spent) != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_UNAVAILABLE, "%s has no processor time: it ended", process->name);
      return FALSE;
    }
  *seconds = (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
  return TRUE;
}

/* ---- where it runs */

static void
fill_set (cpu_set_t *set, int processor)
{
  CPU_ZERO (set);
  if (processor == BENCH_PROCESSOR_ANY)
    for (int i = 0; i < CPU_SETSIZE; i++) /* the kernel takes those that there are */
      CPU_SET (i, set);
  else
    CPU_SET (processor, set);
}

gboolean
bench_process_pin (BenchProcess *process, int processor, GError **error)
{
  g_autofree char *path = NULL;
  g_autoptr (GDir) tasks = NULL;
  const char *name;
  cpu_set_t set;

  fill_set (&set, processor);
  if (process == NULL)
    {
      sched_setaffinity (0, sizeof set, &set);
      return TRUE;
    }
  path = g_strdup_printf ("/proc/%s/task", g_subprocess_get_identifier (process->child));
  tasks = g_dir_open (path, 0, error);
  if (tasks == NULL)
    return FALSE;
  while ((name = g_dir_read_name (tasks)) != NULL) /* a thread that ended meanwhile needs none */
    sched_setaffinity ((pid_t)g_ascii_strtoll (name, NULL, 10), sizeof set, &set);
  return TRUE;
}

int
bench_last_processor (void)
{
  cpu_set_t set;

  CPU_ZERO (&set);
  sched_getaffinity (0, sizeof set, &set);
  for (int i = CPU_SETSIZE - 1; i > 0; i--)
    if (CPU_ISSET (i, &set))
      return i;
  return 0;
}

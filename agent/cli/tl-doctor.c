/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-doctor.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>

const char *
tl_doctor_verdict_to_string (TlDoctorVerdict verdict)
{
  switch (verdict)
    {
    case TL_DOCTOR_OK:
      return "ok";
    case TL_DOCTOR_WARNING:
      return "warning";
    case TL_DOCTOR_FAILED:
      return "failed";
    case TL_DOCTOR_SKIPPED:
      return "skipped";
    }
  g_assert_not_reached ();
}

static void
row_free (gpointer data)
{
  TlDoctorRow *row = data;

  g_free (row->name);
  g_free (row->found);
  g_free (row->fix);
  g_free (row);
}

TlDoctor *
tl_doctor_new (TlCli *cli, gint64 now_ms)
{
  TlDoctor *doctor = g_new0 (TlDoctor, 1);

  doctor->cli = cli;
  doctor->now_ms = now_ms;
  doctor->rows = g_ptr_array_new_with_free_func (row_free);
  return doctor;
}

void
tl_doctor_free (TlDoctor *doctor)
{
  if (doctor == NULL)
    return;
  g_ptr_array_unref (doctor->rows);
  g_free (doctor->gateway.state_dir);
  g_free (doctor->gateway.config);
  tl_admin_answer_free (doctor->gateway.status);
  json_decref (doctor->gateway.members);
  g_clear_error (&doctor->gateway.problem);
  tl_node_state_free (doctor->node.state);
  tl_device_identity_free (doctor->node.identity);
  g_clear_error (&doctor->node.problem);
  g_free (doctor);
}

void
tl_doctor_add (TlDoctor *doctor, const char *name, TlDoctorVerdict verdict, const char *fix, const char *found, ...)
{
  TlDoctorRow *row = g_new0 (TlDoctorRow, 1);
  va_list list;

  row->name = g_strdup (name);
  row->verdict = verdict;
  row->fix = g_strdup (fix);
  va_start (list, found);
  row->found = g_strdup_vprintf (found, list);
  va_end (list);
  g_ptr_array_add (doctor->rows, row);
}

guint
tl_doctor_count (TlDoctor *doctor, TlDoctorVerdict verdict)
{
  guint n = 0;

  for (guint i = 0; i < doctor->rows->len; i++)
    n += ((TlDoctorRow *)doctor->rows->pdata[i])->verdict == verdict;
  return n;
}

const char *
tl_doctor_certificate_problem (gint64 not_before_ms, gint64 not_after_ms, gint64 now_ms)
{
  if (now_ms < not_before_ms)
    return _ ("is not valid yet: the clock of this computer is behind, or was ahead when it was made");
  if (now_ms >= not_after_ms)
    return _ ("has ended");
  return NULL;
}

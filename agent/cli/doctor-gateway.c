/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway on this computer: does it answer, its clock, process, operators' access. */
#include <glib/gi18n.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cli/tl-doctor.h"
#include "base/tl-error.h"
#include "tl-config-build.h"

#define CLOCK_TOLERANCE_MS (5 * 1000)
#define DATABASE           "twinlatch.db"

static const char *
text_member (TlDoctor *doctor, const char *name)
{
  return json_string_value (json_object_get (doctor->gateway.members, name));
}

void
tl_doctor_gateway_daemon (TlDoctor *doctor)
{
  const TlStatusAnswer *status = doctor->gateway.status;

  if (status == NULL)
    {
      gboolean denied = tl_error_is (doctor->gateway.problem, TL_ERROR_PERMISSION_DENIED);

      tl_doctor_add (doctor, "gateway.daemon", denied ? TL_DOCTOR_SKIPPED : TL_DOCTOR_FAILED,
                     denied                 ? _ ("run it as root, or join the group and log in again")
                     : doctor->gateway.user ? _ ("start it: twinlatchd --user; what keeps it from starting is on its "
                                                 "last line")
                                            : _ ("systemctl start twinlatchd; why it ended: journalctl -u twinlatchd"),
                     "%s", doctor->gateway.problem->message);
      return;
    }
  tl_doctor_add (doctor, "gateway.daemon", TL_DOCTOR_OK, NULL, _ ("gateway %s answers as pid %u"), status->gateway_id,
                 status->pid);
  tl_doctor_add (doctor, "gateway.version",
                 g_str_equal (status->version, TL_VERSION) ? TL_DOCTOR_OK : TL_DOCTOR_WARNING,
                 g_str_equal (status->version, TL_VERSION) ? NULL : _ ("restart twinlatchd after an upgrade"),
                 _ ("twinlatchd %s, twinlatch %s"), status->version, TL_VERSION);
  if (json_is_true (json_object_get (doctor->gateway.members, "restored")))
    tl_doctor_add (doctor, "gateway.restored", TL_DOCTOR_FAILED,
                   _ ("look at twinlatch devices list, cut off what should be, then: twinlatch devices confirm"),
                   _ ("the state was restored from a copy: no device is admitted before you confirmed the list"));
}

/* There is no better clock here: what can be said is whether this one fits what was written before. */
void
tl_doctor_gateway_clock (TlDoctor *doctor)
{
  g_autofree char *database = g_build_filename (doctor->gateway.state_dir, DATABASE, NULL);
  const char *fix = _ ("set the clock (timedatectl set-ntp true); certificates are judged by it");
  struct stat info;
  gint64 written_ms = 0;

  if (doctor->gateway.status != NULL)
    {
      gint64 difference = doctor->gateway.status->server_time_unix_ms - doctor->now_ms;

      if (llabs (difference) > CLOCK_TOLERANCE_MS)
        {
          tl_doctor_add (doctor, "gateway.clock", TL_DOCTOR_FAILED, _ ("restart twinlatchd"),
                         _ ("the gateway's clock and ours differ by %lld ms on the same computer"),
                         (long long)difference);
          return;
        }
    }
  if (stat (database, &info) == 0)
    written_ms = (gint64)info.st_mtime * 1000;
  if (written_ms > doctor->now_ms + CLOCK_TOLERANCE_MS)
    tl_doctor_add (doctor, "gateway.clock", TL_DOCTOR_FAILED, fix,
                   _ ("the clock was turned back: the store was last written %lld s in the future"),
                   (long long)(written_ms - doctor->now_ms) / 1000);
  else
    tl_doctor_add (doctor, "gateway.clock", TL_DOCTOR_OK, NULL, _ ("fits the gateway's and what was written before"));
}

void
tl_doctor_gateway_process (TlDoctor *doctor)
{
  g_autofree char *path = NULL;
  g_autofree char *text = NULL;
  const char *line;

  if (doctor->gateway.status == NULL)
    return;
  path = g_strdup_printf ("/proc/%u/limits", doctor->gateway.status->pid);
  line = g_file_get_contents (path, &text, NULL, NULL) ? strstr (text, "Max core file size") : NULL;
  if (line == NULL)
    tl_doctor_add (doctor, "gateway.core", TL_DOCTOR_SKIPPED, NULL, _ ("%s cannot be read"), path);
  else if (g_ascii_strtoull (line + strlen ("Max core file size"), NULL, 10) != 0
           || strstr (line, "Max core file size        unlimited") == line)
    tl_doctor_add (doctor, "gateway.core", TL_DOCTOR_FAILED, _ ("LimitCORE=0 in the unit, and restart it"),
                   _ ("a crash would leave a core file with keys in it"));
  else
    tl_doctor_add (doctor, "gateway.core", TL_DOCTOR_OK, NULL, _ ("no core files of the daemon"));
}

static gboolean
is_listed (const struct group *group, const char *user)
{
  for (char **member = group->gr_mem; *member != NULL; member++)
    if (g_str_equal (*member, user))
      return TRUE;
  return FALSE;
}

static gboolean
has_group (gid_t wanted)
{
  gid_t groups[1024];
  int n = getgroups (G_N_ELEMENTS (groups), groups);

  for (int i = 0; i < n; i++)
    if (groups[i] == wanted)
      return TRUE;
  return getegid () == wanted;
}

void
tl_doctor_gateway_group (TlDoctor *doctor)
{
  const char *fix_join = _ ("an administrator: usermod -aG " TL_ADMIN_GROUP " YOU; then log in again");
  struct group *group;

  if (doctor->gateway.user)
    return; /* the socket is the user's own */
  group = getgrnam (TL_ADMIN_GROUP);
  if (group == NULL)
    tl_doctor_add (doctor, "gateway.group", TL_DOCTOR_FAILED, _ ("systemd-sysusers, then restart twinlatchd"),
                   _ ("there is no group %s: only root can be an operator"), TL_ADMIN_GROUP);
  else if (geteuid () == 0)
    tl_doctor_add (doctor, "gateway.group", TL_DOCTOR_OK, NULL, _ ("root is an operator; the group %s is there"),
                   TL_ADMIN_GROUP);
  else if (has_group (group->gr_gid))
    tl_doctor_add (doctor, "gateway.group", TL_DOCTOR_OK, NULL, _ ("%s is in the group %s"), g_get_user_name (),
                   TL_ADMIN_GROUP);
  else if (is_listed (group, g_get_user_name ()))
    tl_doctor_add (doctor, "gateway.group", TL_DOCTOR_WARNING, _ ("log in again"),
                   _ ("%s was added to the group %s, but this session is older"), g_get_user_name (), TL_ADMIN_GROUP);
  else
    tl_doctor_add (doctor, "gateway.group", TL_DOCTOR_WARNING, fix_join, _ ("%s is not in the group %s: no operator"),
                   g_get_user_name (), TL_ADMIN_GROUP);
}

/* "running" and "" are news of an older or a busy daemon, not of the store. */
static void
add_daemons_check (TlDoctor *doctor)
{
  const char *check = text_member (doctor, "store_check");
  const char *problem = text_member (doctor, "store_problem");

  if (check == NULL)
    return;
  if (g_str_equal (check, "damaged") || g_str_equal (check, "failed"))
    tl_doctor_add (doctor, "gateway.store.integrity", TL_DOCTOR_FAILED,
                   _ ("restore the store from a backup; twinlatchd(8) says how"), _ ("%s: %s"), check,
                   problem != NULL ? problem : "");
  else
    tl_doctor_add (doctor, "gateway.store.integrity", TL_DOCTOR_OK, NULL, _ ("the daemon's own check: %s"), check);
}

static void
check_at_rest (TlDoctor *doctor)
{
  g_autofree char *path = g_build_filename (doctor->gateway.state_dir, DATABASE, NULL);
  TlDoctorDatabase database = { 0 };
  g_autoptr (GError) error = NULL;

  if (!tl_doctor_read_database (path, &database, &error))
    {
      tl_doctor_add (doctor, "gateway.store", TL_DOCTOR_SKIPPED, NULL, "%s", error->message);
      return;
    }
  if (g_str_equal (database.check, "ok"))
    tl_doctor_add (doctor, "gateway.store", TL_DOCTOR_OK, NULL, _ ("%s passes SQLite's check"), path);
  else
    tl_doctor_add (doctor, "gateway.store", TL_DOCTOR_FAILED,
                   _ ("restore the store from a backup, keep this one for whoever repairs it"), _ ("%s is damaged: %s"),
                   path, database.check);
  if (database.ca_not_after_ms > 0)
    tl_doctor_judge_ca (doctor, database.ca_generation, database.ca_not_after_ms);
  g_free (database.check);
}

void
tl_doctor_gateway_store (TlDoctor *doctor)
{
  const TlStatusAnswer *status = doctor->gateway.status;

  if (status == NULL)
    {
      check_at_rest (doctor);
      return;
    }
  if (status->store_writable)
    tl_doctor_add (doctor, "gateway.store", TL_DOCTOR_OK, NULL, _ ("writable, %llu kB"),
                   (unsigned long long)status->store_bytes / 1000);
  else
    tl_doctor_add (doctor, "gateway.store", TL_DOCTOR_FAILED,
                   _ ("look for a full or read-only disk; the gateway serves again by itself"),
                   _ ("the store cannot be written: nothing is accepted"));
  add_daemons_check (doctor);
}

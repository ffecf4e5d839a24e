/* SPDX-License-Identifier: Apache-2.0 */
/* Modes, owners and free space: what doctor's checks of gateway and node share. */
#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/cli/tl-doctor.h"

#define MAX_DEPTH     6
#define LOW_BYTES     (G_GUINT64_CONSTANT (256) * 1024 * 1024) /* a warning below */
#define NO_ROOM_BYTES (G_GUINT64_CONSTANT (16) * 1024 * 1024)  /* the next burst of writes may fail */

static gboolean
check_info (TlDoctor *doctor, const char *name, const char *path, const struct stat *info, mode_t allowed)
{
  mode_t wrong = info->st_mode & (S_IRWXG | S_IRWXO) & ~allowed;
  g_autofree char *fix = NULL;

  if (S_ISLNK (info->st_mode)) /* a link has no mode of its own */
    return TRUE;
  if (wrong == 0)
    return TRUE;
  fix = g_strdup_printf (_ ("chmod %04o '%s', after thinking about who may have read or changed it"),
                         (guint)(info->st_mode & 07777 & ~wrong), path);
  tl_doctor_add (doctor, name, TL_DOCTOR_FAILED, fix, _ ("%s is open to other users (mode %04o)"), path,
                 (guint)info->st_mode & 07777);
  return FALSE;
}

gboolean
tl_doctor_check_mode (TlDoctor *doctor, const char *name, const char *path, mode_t allowed, gboolean optional)
{
  struct stat info;

  if (stat (path, &info) == 0)
    return check_info (doctor, name, path, &info, allowed);
  if (errno == EACCES)
    tl_doctor_add (doctor, name, TL_DOCTOR_SKIPPED, _ ("run it as root or as the owner: sudo twinlatch doctor"),
                   _ ("%s is not to be seen as this user"), path);
  else if (errno != ENOENT || !optional)
    tl_doctor_add (doctor, name, TL_DOCTOR_FAILED, NULL, _ ("cannot look at %s: %s"), path, g_strerror (errno));
  return FALSE;
}

static gboolean
check_tree (TlDoctor *doctor, const char *name, const char *path, uid_t owner, guint depth, guint *seen)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (path, 0, &error);
  gboolean good = TRUE;
  const char *entry;

  if (dir == NULL)
    {
      tl_doctor_add (doctor, name, TL_DOCTOR_SKIPPED, _ ("run it as root or as the owner: sudo twinlatch doctor"), "%s",
                     error->message);
      return FALSE;
    }
  while ((entry = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *child = g_build_filename (path, entry, NULL);
      struct stat info;

      if (lstat (child, &info) != 0)
        continue; /* it went in between */
      (*seen)++;
      good &= check_info (doctor, name, child, &info, 0);
      if (info.st_uid != owner)
        {
          tl_doctor_add (
              doctor, name, TL_DOCTOR_FAILED, _ ("chown it to the owner of the folder"),
              _ ("%s belongs to user %u, the folder to user %u: a program running as the latter cannot use it"), child,
              (guint)info.st_uid, (guint)owner);
          good = FALSE;
        }
      if (S_ISDIR (info.st_mode) && depth < MAX_DEPTH)
        good &= check_tree (doctor, name, child, owner, depth + 1, seen);
    }
  return good;
}

gboolean
tl_doctor_check_tree (TlDoctor *doctor, const char *name, const char *path, guint *seen)
{
  struct stat info;

  if (!tl_doctor_check_mode (doctor, name, path, 0, FALSE) || stat (path, &info) != 0)
    return FALSE;
  return check_tree (doctor, name, path, info.st_uid, 0, seen);
}

void
tl_doctor_check_space (TlDoctor *doctor, const char *name, const char *path)
{
  struct statvfs info;
  guint64 bytes;
  TlDoctorVerdict verdict;

  if (statvfs (path, &info) != 0)
    {
      tl_doctor_add (doctor, name, TL_DOCTOR_SKIPPED, NULL, _ ("cannot look at %s: %s"), path, g_strerror (errno));
      return;
    }
  bytes = (guint64)info.f_bavail * info.f_frsize;
  verdict = bytes < NO_ROOM_BYTES ? TL_DOCTOR_FAILED : bytes < LOW_BYTES ? TL_DOCTOR_WARNING : TL_DOCTOR_OK;
  if ((info.f_flag & ST_RDONLY) != 0)
    tl_doctor_add (doctor, name, TL_DOCTOR_FAILED, _ ("mount it writable; dmesg says whether the disk has errors"),
                   _ ("%s is on a read-only file system"), path);
  else
    tl_doctor_add (doctor, name, verdict, verdict != TL_DOCTOR_OK ? _ ("make room on that file system") : NULL,
                   _ ("%llu MB free where %s is"), (unsigned long long)bytes / 1000000, path);
}

void
tl_doctor_gateway_space (TlDoctor *doctor)
{
  tl_doctor_check_space (doctor, "gateway.space", doctor->gateway.state_dir);
}

void
tl_doctor_node_space (TlDoctor *doctor)
{
  tl_doctor_check_space (doctor, "node.space", tl_node_state_directory (doctor->node.state));
}

/* Everything in it is the gateway's own: secrets, database, locks, whatever comes. */
void
tl_doctor_gateway_permissions (TlDoctor *doctor)
{
  guint seen = 0;
  gboolean good = tl_doctor_check_tree (doctor, "gateway.permissions", doctor->gateway.state_dir, &seen);

  if (g_file_test (doctor->gateway.config, G_FILE_TEST_EXISTS)) /* others may read it, not write it */
    good &= tl_doctor_check_mode (doctor, "gateway.permissions", doctor->gateway.config,
                                  S_IRGRP | S_IROTH | S_IXGRP | S_IXOTH, TRUE);
  if (good)
    tl_doctor_add (doctor, "gateway.permissions", TL_DOCTOR_OK, NULL, _ ("%s and %u files below: the owner's alone"),
                   doctor->gateway.state_dir, seen);
}

void
tl_doctor_node_permissions (TlDoctor *doctor)
{
  const char *directory = tl_node_state_directory (doctor->node.state);
  guint seen = 0;

  if (tl_doctor_check_tree (doctor, "node.permissions", directory, &seen))
    tl_doctor_add (doctor, "node.permissions", TL_DOCTOR_OK, NULL, _ ("%s and %u files below: the owner's alone"),
                   directory, seen);
}

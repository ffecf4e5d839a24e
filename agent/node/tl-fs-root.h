/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <dirent.h>
#include <glib.h>
#include <sys/stat.h>

G_BEGIN_DECLS

/*
 * TlFsRoot: a directory below which paths of strangers are opened and nothing else is reachable: openat2(2) with
 * RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS from a descriptor held since start, so that neither "..", absolute paths,
 * symbolic links, /proc links nor a root that is exchanged later lead outside. Files are looked at (O_PATH) before they
 * are opened: FIFOs, devices and sockets are never touched. Blocking; thread: any (immutable).
 */
#define TL_FS_PATH_MAX 4095

typedef struct _TlFsRoot TlFsRoot;

/* path: an existing directory; UNSUPPORTED when the kernel has no openat2. */
TlFsRoot *tl_fs_root_new (const char *name, const char *path, GError **error);
void tl_fs_root_free (TlFsRoot *root);
const char *tl_fs_root_name (const TlFsRoot *root);
const char *tl_fs_root_path (const TlFsRoot *root);

/* TRUE when this kernel (and the sandbox around us) has openat2. */
gboolean tl_fs_root_is_supported (void);
/* The directory that was opened is still the one at its path. */
gboolean tl_fs_root_is_in_place (const TlFsRoot *root);

/* path: relative; "" and "." are the root itself. Errors: INVALID_ARGUMENT (malformed), NOT_FOUND, PERMISSION_DENIED
 * (leads outside, or the system says no), FAILED_PRECONDITION (not a regular file / not a directory), IO. */

/* The last component is not followed: a symbolic link describes itself. */
gboolean tl_fs_root_stat (const TlFsRoot *root, const char *path, struct stat *info, GError **error);
/* Regular files only; O_RDONLY | O_NONBLOCK descriptor for the caller to close, or -1. */
int tl_fs_root_open_file (const TlFsRoot *root, const char *path, struct stat *info, GError **error);
/* closedir() */
DIR *tl_fs_root_open_directory (const TlFsRoot *root, const char *path, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlFsRoot, tl_fs_root_free)

G_END_DECLS

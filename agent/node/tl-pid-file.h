/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlPidFile: the pid of a background process, checked: the process holds a lock on the file as long as it lives, and
 * the file says when it was started (/proc, in clock ticks since boot). A file left behind, and a pid that another
 * program has by now, are therefore nothing, and signals go through a pidfd that was checked after it was opened: what
 * is signalled is what wrote the file. Thread: any.
 */
typedef struct _TlPidFile TlPidFile;

/* For the calling process. IN_USE names the pid of a holder. The file is removed with release(); not by a crash. */
TlPidFile *tl_pid_file_acquire (const char *path, GError **error);
void tl_pid_file_release (TlPidFile *file);

/* pidfd (close()) of the process that holds the file, and its pid; -1 with NOT_FOUND when nobody does. */
int tl_pid_file_open_holder (const char *path, gint64 *pid, GError **error);
/* The process is gone already: success. */
gboolean tl_pid_file_signal (int pidfd, int number, GError **error);
/* FALSE when it is still there after timeout_ms. */
gboolean tl_pid_file_wait_end (int pidfd, int timeout_ms);
/* Start of a process in clock ticks since boot, 0 when there is none such. */
guint64 tl_pid_file_start_ticks (gint64 pid);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlPidFile, tl_pid_file_release)

G_END_DECLS

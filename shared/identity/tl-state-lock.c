/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/tl-state-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/tl-clock.h"
#include "base/tl-error.h"
#include "base/tl-file.h"

#define HOLDER_MAX    128 /* bytes read of what the holder wrote */
#define POLL_FIRST_US 1000
#define POLL_LAST_US  20000

struct _TlStateLock
{
  dev_t device;
  ino_t inode;
  int fd;
  TlStateLock *next; /* in held */
};

/*
 * The locks of this process. State of the process by nature: open file description locks of two threads would exclude
 * each other too, but only by polling; here a thread waits on the condition. Keyed by the lock file's inode, so that
 * two spellings of a directory are one lock.
 */
static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t held_changed = PTHREAD_COND_INITIALIZER;
static TlStateLock *held;

static gint64
monotonic_us (void)
{
  return tl_clock_monotonic_us (tl_clock_system ());
}

static gboolean
is_held (const TlStateLock *lock)
{
  for (TlStateLock *other = held; other != NULL; other = other->next)
    if (other->device == lock->device && other->inode == lock->inode)
      return TRUE;
  return FALSE;
}

static void
wait_for_change (gint64 us)
{
  struct timespec until;

  clock_gettime (CLOCK_MONOTONIC, &until);
  gint64 nanoseconds = until.tv_nsec + us % G_USEC_PER_SEC * 1000;
  until.tv_sec += us / G_USEC_PER_SEC + nanoseconds / 1000000000;
  until.tv_nsec = nanoseconds % 1000000000;
  pthread_cond_clockwait (&held_changed, &held_lock, CLOCK_MONOTONIC, &until);
}

static gboolean
acquire_in_process (TlStateLock *lock, gint64 deadline_us)
{
  gboolean acquired = TRUE;

  pthread_mutex_lock (&held_lock);
  while (acquired && is_held (lock))
    {
      gint64 left_us = deadline_us - monotonic_us ();
      acquired = left_us > 0;
      if (acquired)
        wait_for_change (left_us);
    }
  if (acquired)
    {
      lock->next = held;
      held = lock;
    }
  pthread_mutex_unlock (&held_lock);
  return acquired;
}

static void
release_in_process (TlStateLock *lock)
{
  pthread_mutex_lock (&held_lock);
  for (TlStateLock **at = &held; *at != NULL; at = &(*at)->next)
    if (*at == lock)
      {
        *at = lock->next;
        break;
      }
  pthread_cond_broadcast (&held_changed);
  pthread_mutex_unlock (&held_lock);
}

static gboolean
set_os_lock (int fd, short type)
{
  struct flock region = { .l_type = type, .l_whence = SEEK_SET };

  return fcntl (fd, F_OFD_SETLK, &region) == 0;
}

/* The kernel's waiting call (F_OFD_SETLKW) knows no timeout short of a signal, which a library must not use; so this
 * one asks again until the deadline. FALSE with errno EAGAIN when somebody else holds it. */
static gboolean
acquire_os_lock (int fd, gint64 deadline_us)
{
  gint64 pause_us = POLL_FIRST_US;

  while (!set_os_lock (fd, F_WRLCK))
    {
      if (errno != EAGAIN && errno != EACCES && errno != EINTR)
        return FALSE;
      gint64 left_us = deadline_us - monotonic_us ();
      if (left_us <= 0)
        {
          errno = EAGAIN;
          return FALSE;
        }
      g_usleep ((gulong)MIN (left_us, pause_us));
      pause_us = MIN (pause_us * 2, POLL_LAST_US);
    }
  return TRUE;
}

/* Who we are, for the error message of whoever comes next. Not being able to say so does not hurt the lock. */
static void
write_holder (int fd)
{
  g_autofree char *now = tl_time_to_string (tl_clock_wall_ms (tl_clock_system ()));
  g_autofree char *text = g_strdup_printf ("pid %d since %s\n", (int)getpid (), now);

  if (ftruncate (fd, 0) != 0 || pwrite (fd, text, strlen (text), 0) < 0)
    g_debug ("cannot write the holder into a state lock: %s", g_strerror (errno));
}

static char *
read_holder (int fd)
{
  char text[HOLDER_MAX];
  ssize_t length = pread (fd, text, sizeof text - 1, 0);

  if (length <= 0) /* between its lock and its first line */
    return g_strdup ("another process");
  text[length] = '\0';
  text[strcspn (text, "\n")] = '\0';
  return g_strescape (text, NULL);
}

static int
open_lock_file (const char *path, struct stat *status, GError **error)
{
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

  if (fd < 0 || fstat (fd, status) != 0)
    {
      tl_error_set_errno (error, errno, "cannot open the state lock %s", path);
      if (fd >= 0)
        close (fd);
      return -1;
    }
  if (!S_ISREG (status->st_mode))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "state lock %s is not a regular file: remove it", path);
      close (fd);
      return -1;
    }
  return fd;
}

static void
set_in_use (GError **error, const char *directory, int fd)
{
  g_autofree char *holder = read_holder (fd);

  g_set_error (error, TL_ERROR, TL_ERROR_IN_USE, "identity state in %s is in use by %s: wait for it or stop it",
               directory, holder);
}

TlStateLock *
tl_state_lock_acquire (const char *directory, gint64 timeout_ms, GError **error)
{
  gint64 deadline_us = monotonic_us () + CLAMP (timeout_ms, 0, G_MAXINT32) * 1000;
  g_autofree char *path = g_build_filename (directory, TL_STATE_LOCK_NAME, NULL);
  struct stat status;
  int fd = open_lock_file (path, &status, error);
  if (fd < 0)
    return NULL;

  TlStateLock *lock = g_new0 (TlStateLock, 1);
  lock->device = status.st_dev;
  lock->inode = status.st_ino;
  lock->fd = fd;
  gboolean in_process = acquire_in_process (lock, deadline_us);
  if (in_process && acquire_os_lock (fd, deadline_us))
    {
      write_holder (fd);
      return lock;
    }
  if (in_process && errno != EAGAIN)
    tl_error_set_errno (error, errno, "cannot lock %s", path);
  else
    set_in_use (error, directory, fd);
  if (in_process)
    release_in_process (lock);
  close (fd);
  g_free (lock);
  return NULL;
}

void
tl_state_lock_release (TlStateLock *lock)
{
  if (lock == NULL)
    return;
  /* Emptied, so that nobody reads a holder that is none. Unlocked by name and not by close() alone: a child forked
   * meanwhile shares the open file description and would keep the lock. The file stays; removing it would let two
   * processes lock two files of one name. */
  if (ftruncate (lock->fd, 0) != 0)
    g_debug ("cannot empty a state lock: %s", g_strerror (errno));
  set_os_lock (lock->fd, F_UNLCK);
  close (lock->fd);
  release_in_process (lock);
  g_free (lock);
}

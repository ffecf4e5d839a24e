/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/*
 * LD_PRELOAD: tells what a program does to the files below one directory, so that a test can say what a disk would hold
 * had the power gone at that moment (tests/integration/powerloss.py); and makes that disk fail when told to.
 *
 *   TL_SHIM_DIR      the directory (absolute)
 *   TL_SHIM_LOG      where the records go; outside of it
 *   TL_SHIM_BOOT_ID  a file that stands for /proc/sys/kernel/random/boot_id
 *   TL_SHIM_FAULT    a file of 4 bytes: the errno with which everything that changes the directory fails; 0 none
 *
 * A record is made under the lock under which its operation is done, so their order is the operations'. Killed between
 * the two, an operation was done but not told: as if it had not reached the disk, and nobody was told it had.
 */
#define BOOT_ID     "/proc/sys/kernel/random/boot_id"
#define DESCRIPTORS 4096

typedef struct
{
  uint8_t kind; /* C create, W write, L length, S sync, D sync of a directory, R rename, U unlink, M mkdir */
  uint8_t unused[3];
  uint32_t path_length;
  uint64_t inode;
  uint64_t offset; /* or length */
  uint64_t data_length;
} Record;

typedef struct
{
  bool tracked, directory, appends;
  uint64_t inode;
  char path[512];
} Descriptor;

static Descriptor descriptors[DESCRIPTORS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char *directory, *boot_id;
static int log_fd = -1;
static const _Atomic int32_t *fault;

static int (*real_open) (const char *, int, ...);
static ssize_t (*real_write) (int, const void *, size_t);
static ssize_t (*real_pwrite) (int, const void *, size_t, off_t);
static int (*real_ftruncate) (int, off_t);
static int (*real_fsync) (int);
static int (*real_fdatasync) (int);
static int (*real_rename) (const char *, const char *);
static int (*real_unlink) (const char *);
static int (*real_mkdir) (const char *, mode_t);
static int (*real_close) (int);

static void *
find (const char *name)
{
  void *symbol = dlsym (RTLD_NEXT, name);

  if (symbol == NULL)
    abort ();
  return symbol;
}

/* The constructors of other libraries may come before ours. */
__attribute__ ((constructor)) static void
start (void)
{
  const char *log = getenv ("TL_SHIM_LOG"), *fault_path = getenv ("TL_SHIM_FAULT");

  if (real_open != NULL)
    return;
  real_open = find ("open");
  real_write = find ("write");
  real_pwrite = find ("pwrite");
  real_ftruncate = find ("ftruncate");
  real_fsync = find ("fsync");
  real_fdatasync = find ("fdatasync");
  real_rename = find ("rename");
  real_unlink = find ("unlink");
  real_mkdir = find ("mkdir");
  real_close = find ("close");
  directory = getenv ("TL_SHIM_DIR");
  boot_id = getenv ("TL_SHIM_BOOT_ID");
  if (log != NULL)
    {
      int fd = real_open (log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

      log_fd = fcntl (fd, F_DUPFD_CLOEXEC, 900); /* out of the way of what closes all it knows */
      real_close (fd);
    }
  if (fault_path != NULL)
    {
      int fd = real_open (fault_path, O_RDONLY | O_CLOEXEC);

      fault = mmap (NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
      real_close (fd);
    }
}

static bool
is_below (const char *path)
{
  size_t length = directory != NULL ? strlen (directory) : 0;

  return length > 0 && strncmp (path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static bool
fails (void)
{
  int number = fault != NULL ? atomic_load (fault) : 0;

  if (number != 0)
    errno = number;
  return number != 0;
}

static Descriptor *
tracked (int fd)
{
  return fd >= 0 && fd < DESCRIPTORS && descriptors[fd].tracked ? &descriptors[fd] : NULL;
}

/* Under the lock. One write, so that a record is there as a whole or not at all. */
static void
tell (char kind, const char *path, uint64_t inode, uint64_t offset, const void *data, size_t length)
{
  Record record = { .kind = (uint8_t)kind,
                    .path_length = (uint32_t)strlen (path),
                    .inode = inode,
                    .offset = offset,
                    .data_length = length };
  size_t size = sizeof record + record.path_length + length;
  char *buffer;
  int saved_errno = errno;

  if (log_fd < 0)
    return;
  buffer = malloc (size);
  memcpy (buffer, &record, sizeof record);
  memcpy (buffer + sizeof record, path, record.path_length);
  if (length > 0)
    memcpy (buffer + sizeof record + record.path_length, data, length);
  if (real_write (log_fd, buffer, size) != (ssize_t)size)
    abort ();
  free (buffer);
  errno = saved_errno;
}

static int
open_tracked (const char *path, int flags, mode_t mode)
{
  struct stat info;
  bool existed = stat (path, &info) == 0;
  int fd;

  if (!existed && (flags & O_CREAT) != 0 && fails ())
    return -1;
  fd = real_open (path, flags, mode);
  if (fd < 0 || fd >= DESCRIPTORS || fstat (fd, &info) != 0)
    return fd;
  descriptors[fd].tracked = true;
  descriptors[fd].directory = S_ISDIR (info.st_mode);
  descriptors[fd].appends = (flags & O_APPEND) != 0;
  descriptors[fd].inode = info.st_ino;
  snprintf (descriptors[fd].path, sizeof descriptors[fd].path, "%s", path);
  if (!existed)
    tell ('C', path, info.st_ino, 0, NULL, 0);
  else if ((flags & O_TRUNC) != 0)
    tell ('L', path, info.st_ino, 0, NULL, 0);
  return fd;
}

static int
open_any (const char *path, int flags, mode_t mode)
{
  int fd;

  start ();
  if (boot_id != NULL && strcmp (path, BOOT_ID) == 0)
    return real_open (boot_id, flags, mode);
  if (!is_below (path))
    return real_open (path, flags, mode);
  pthread_mutex_lock (&mutex);
  fd = open_tracked (path, flags, mode);
  pthread_mutex_unlock (&mutex);
  return fd;
}

static mode_t
mode_of (int flags, va_list arguments)
{
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg (arguments, mode_t) : 0;
}

#define OPEN(name)                                                                                                     \
  int name (const char *path, int flags, ...);                                                                         \
  int name (const char *path, int flags, ...)                                                                          \
  {                                                                                                                    \
    va_list arguments;                                                                                                 \
    mode_t mode;                                                                                                       \
    va_start (arguments, flags);                                                                                       \
    mode = mode_of (flags, arguments);                                                                                 \
    va_end (arguments);                                                                                                \
    return open_any (path, flags, mode);                                                                               \
  }
OPEN (open)
OPEN (open64)

int __open_2 (const char *path, int flags);
int
__open_2 (const char *path, int flags)
{
  return open_any (path, flags, 0);
}

int __open64_2 (const char *path, int flags);
int
__open64_2 (const char *path, int flags)
{
  return open_any (path, flags, 0);
}

int
close (int fd)
{
  Descriptor *descriptor;
  int rc;

  start ();
  pthread_mutex_lock (&mutex);
  descriptor = tracked (fd);
  if (descriptor != NULL)
    descriptor->tracked = false;
  rc = real_close (fd);
  pthread_mutex_unlock (&mutex);
  return rc;
}

static ssize_t
write_tracked (Descriptor *descriptor, int fd, const void *data, size_t length, off_t offset, bool positional)
{
  struct stat info;
  ssize_t n;

  if (fails ())
    return -1;
  if (!positional)
    {
      offset = lseek (fd, 0, SEEK_CUR);
      if (descriptor->appends && fstat (fd, &info) == 0)
        offset = info.st_size;
    }
  n = positional ? real_pwrite (fd, data, length, offset) : real_write (fd, data, length);
  if (n > 0)
    tell ('W', descriptor->path, descriptor->inode, (uint64_t)offset, data, (size_t)n);
  return n;
}

static ssize_t
write_any (int fd, const void *data, size_t length, off_t offset, bool positional)
{
  Descriptor *descriptor;
  ssize_t n;

  start ();
  if (tracked (fd) == NULL)
    return positional ? real_pwrite (fd, data, length, offset) : real_write (fd, data, length);
  pthread_mutex_lock (&mutex);
  descriptor = tracked (fd);
  n = descriptor != NULL ? write_tracked (descriptor, fd, data, length, offset, positional) : -1;
  pthread_mutex_unlock (&mutex);
  return n;
}

ssize_t
write (int fd, const void *data, size_t length)
{
  return write_any (fd, data, length, 0, false);
}

ssize_t
pwrite (int fd, const void *data, size_t length, off_t offset)
{
  return write_any (fd, data, length, offset, true);
}

ssize_t
pwrite64 (int fd, const void *data, size_t length, off64_t offset)
{
  return write_any (fd, data, length, (off_t)offset, true);
}

int
ftruncate (int fd, off_t length)
{
  Descriptor *descriptor;
  int rc;

  start ();
  pthread_mutex_lock (&mutex);
  descriptor = tracked (fd);
  rc = descriptor != NULL && fails () ? -1 : real_ftruncate (fd, length);
  if (rc == 0 && descriptor != NULL)
    tell ('L', descriptor->path, descriptor->inode, (uint64_t)length, NULL, 0);
  pthread_mutex_unlock (&mutex);
  return rc;
}

int
ftruncate64 (int fd, off64_t length)
{
  return ftruncate (fd, (off_t)length);
}

static int
sync_any (int fd, int (*real) (int))
{
  Descriptor *descriptor;
  int rc;

  start ();
  pthread_mutex_lock (&mutex);
  descriptor = tracked (fd);
  rc = descriptor != NULL && fails () ? -1 : real (fd);
  if (rc == 0 && descriptor != NULL)
    tell (descriptor->directory ? 'D' : 'S', descriptor->path, descriptor->inode, 0, NULL, 0);
  pthread_mutex_unlock (&mutex);
  return rc;
}

int
fsync (int fd)
{
  return sync_any (fd, real_fsync);
}

int
fdatasync (int fd)
{
  return sync_any (fd, real_fdatasync);
}

int
rename (const char *from, const char *to)
{
  int rc;

  start ();
  if (!is_below (to))
    return real_rename (from, to);
  pthread_mutex_lock (&mutex);
  rc = fails () ? -1 : real_rename (from, to);
  if (rc == 0)
    tell ('R', from, 0, 0, to, strlen (to));
  pthread_mutex_unlock (&mutex);
  return rc;
}

int
unlink (const char *path)
{
  int rc;

  start ();
  if (!is_below (path))
    return real_unlink (path);
  pthread_mutex_lock (&mutex);
  rc = fails () ? -1 : real_unlink (path);
  if (rc == 0)
    tell ('U', path, 0, 0, NULL, 0);
  pthread_mutex_unlock (&mutex);
  return rc;
}

int
mkdir (const char *path, mode_t mode)
{
  int rc;

  start ();
  if (!is_below (path))
    return real_mkdir (path, mode);
  pthread_mutex_lock (&mutex);
  rc = fails () ? -1 : real_mkdir (path, mode);
  if (rc == 0)
    tell ('M', path, 0, mode, NULL, 0);
  pthread_mutex_unlock (&mutex);
  return rc;
}

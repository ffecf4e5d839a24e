/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tl-error.h"
#include "base/tl-file.h"
#include "crypto/tl-hash.h"
#include "crypto/tl-keys.h"
#include "identity/tl-secret-store-private.h"

/*
 * One file a secret, "<name>.secret": a line that says the format and its version, then the value, or in an encrypted
 * store nonce || ciphertext || tag (tl_aead_seal) with format line || name as associated data, so that files cannot be
 * exchanged. A plain file's line ends in hex SHA-256 of T ("secret-file"; name, value): rot is noticed before a key is
 * used that was never made. Version 1 of it had no sum; it is still read.
 */
#define FILE_SUFFIX      ".secret"
#define FORMAT_PLAIN_1   "twinlatch-secret 1 plain\n"
#define FORMAT_PLAIN     "twinlatch-secret 2 plain "
#define FORMAT_ENCRYPTED "twinlatch-secret 1 aes-256-gcm\n"
#define KEY_LENGTH       32
#define SEAL_OVERHEAD    (12 + 16)              /* nonce and tag */
#define SUM_LENGTH       (2 * TL_SHA256_LENGTH) /* hex digits, and then a new line */
#define FILE_MAX         (TL_SECRET_STORE_MAX_VALUE + sizeof FORMAT_ENCRYPTED + SEAL_OVERHEAD + SUM_LENGTH)

typedef struct
{
  TlSecretStore base;
  char *directory;
  TlSecret *key; /* NULL: plain files */
} FileStore;

/* Owned by us, nothing for group and others. */
static gboolean
check_private (const struct stat *status, const char *path, GError **error)
{
  if (status->st_uid != geteuid ())
    {
      g_set_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
                   "%s belongs to user %u, not to us (%u): chown it or remove it", path, (guint)status->st_uid,
                   (guint)geteuid ());
      return FALSE;
    }
  if ((status->st_mode & (S_IRWXG | S_IRWXO)) != 0)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED,
                   "%s is open to other users (mode %04o): replace what it holds, then chmod go-rwx", path,
                   (guint)status->st_mode & 07777);
      return FALSE;
    }
  return TRUE;
}

static gboolean
check_directory (const char *directory, GError **error)
{
  struct stat status;

  if (stat (directory, &status) != 0)
    {
      tl_error_set_errno (error, errno, "cannot look at the secret store %s", directory);
      return FALSE;
    }
  if (!S_ISDIR (status.st_mode))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_IO, "secret store %s is not a directory", directory);
      return FALSE;
    }
  return check_private (&status, directory, error);
}

static char *
secret_path (FileStore *store, const char *name)
{
  return g_strconcat (store->directory, "/", name, FILE_SUFFIX, NULL);
}

/* Not tl_file_read(): permissions and contents must be of the same open file, and the bytes belong in locked memory. */
static TlSecret *
read_open_file (int fd, const char *path, GError **error)
{
  struct stat status;

  if (fstat (fd, &status) != 0)
    {
      tl_error_set_errno (error, errno, "cannot look at %s", path);
      return NULL;
    }
  if (!S_ISREG (status.st_mode))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "%s is not a regular file: remove it", path);
      return NULL;
    }
  if (!check_private (&status, path, error))
    return NULL;
  if (status.st_size > (off_t)FILE_MAX)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT,
                   "%s has %" G_GINT64_FORMAT " bytes, more than any secret: restore it from a "
                   "backup",
                   path, (gint64)status.st_size);
      return NULL;
    }
  gsize length = (gsize)status.st_size;
  g_autoptr (TlSecret) contents = tl_secret_new (length);
  for (gsize done = 0; done < length;)
    {
      ssize_t n = read (fd, tl_secret_data_mut (contents) + done, length - done);
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          tl_error_set_errno (error, errno, "cannot read %s", path);
          return NULL;
        }
      if (n == 0)
        {
          g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "%s became shorter while it was read", path);
          return NULL;
        }
      done += (gsize)n;
    }
  return g_steal_pointer (&contents);
}

static TlSecret *
read_file (FileStore *store, const char *name, const char *path, GError **error)
{
  if (!check_directory (store->directory, error))
    return NULL;
  /* O_NONBLOCK: a FIFO put there must not hang us. */
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0)
    {
      int saved_errno = errno;
      if (saved_errno == ENOENT)
        g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "no secret named \"%s\" in %s", name, store->directory);
      else
        tl_error_set_errno (error, saved_errno, "cannot open %s", path);
      return NULL;
    }
  TlSecret *contents = read_open_file (fd, path, error);
  close (fd);
  return contents;
}

static gboolean
has_format (const TlSecret *contents, const char *format)
{
  return tl_secret_length (contents) >= strlen (format)
         && memcmp (tl_secret_data (contents), format, strlen (format)) == 0;
}

TlSecretFileKind
tl_secret_file_kind (const TlSecret *contents)
{
  if (has_format (contents, FORMAT_PLAIN) || has_format (contents, FORMAT_PLAIN_1))
    return TL_SECRET_FILE_PLAIN;
  return has_format (contents, FORMAT_ENCRYPTED) ? TL_SECRET_FILE_ENCRYPTED : TL_SECRET_FILE_STRANGE;
}

static char *
associated_data (const char *name)
{
  return g_strconcat (FORMAT_ENCRYPTED, name, NULL);
}

static TlSecret *
open_sealed (FileStore *store, const TlSecret *contents, const char *name, const char *path, GError **error)
{
  const gsize at = strlen (FORMAT_ENCRYPTED);
  g_autoptr (GBytes) sealed = g_bytes_new_static (tl_secret_data (contents) + at, tl_secret_length (contents) - at);
  g_autofree char *aad = associated_data (name);
  g_autoptr (GError) problem = NULL;
  TlSecret *value = tl_aead_open (store->key, aad, strlen (aad), sealed, &problem);

  if (value == NULL)
    g_set_error (
        error, TL_ERROR, TL_ERROR_CORRUPT,
        "%s does not decrypt (%s): it was changed or another key was used; check the credential, restore the file",
        path, problem->message);
  return value;
}

static char *
plain_sum (const char *name, const void *value, gsize length)
{
  g_autoptr (TlTranscript) transcript = tl_transcript_new ("secret-file");
  guint8 digest[TL_SHA256_LENGTH];

  tl_transcript_add_string (transcript, name);
  tl_transcript_add (transcript, value, length);
  tl_transcript_hash (transcript, digest);
  return tl_hex_encode (digest, sizeof digest);
}

static TlSecret *
open_plain (const TlSecret *contents, const char *name, const char *path, GError **error)
{
  gboolean summed = has_format (contents, FORMAT_PLAIN);
  const gsize head = strlen (summed ? FORMAT_PLAIN : FORMAT_PLAIN_1);
  const gsize at = summed ? head + SUM_LENGTH + 1 : head;
  const gsize length = tl_secret_length (contents);
  const char *text = (const char *)tl_secret_data (contents);

  if (length > at && length - at > TL_SECRET_STORE_MAX_VALUE)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "%s holds more than any secret: restore it from a backup", path);
      return NULL;
    }
  if (summed)
    {
      g_autofree char *sum = length >= at ? plain_sum (name, text + at, length - at) : NULL;

      if (sum == NULL || memcmp (text + head, sum, SUM_LENGTH) != 0 || text[at - 1] != '\n')
        {
          g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT,
                       "%s is damaged: it does not carry its checksum; restore it from a backup", path);
          return NULL;
        }
    }
  return tl_secret_slice (contents, at, length - at);
}

static TlSecret *
file_lookup (TlSecretStore *base, const char *name, GError **error)
{
  FileStore *store = (FileStore *)base;
  g_autofree char *path = secret_path (store, name);
  g_autoptr (TlSecret) contents = read_file (store, name, path, error);
  const char *wrong_kind = NULL;
  TlSecretFileKind kind;

  if (contents == NULL)
    return NULL;
  kind = tl_secret_file_kind (contents);
  if (kind == (store->key != NULL ? TL_SECRET_FILE_PLAIN : TL_SECRET_FILE_ENCRYPTED))
    wrong_kind = store->key != NULL
                     ? "is not encrypted although a key is configured: start without the key, or remove it and "
                       "make the secret anew"
                     : "is encrypted and no key is configured: provide the credential it was written with";
  else if (kind == TL_SECRET_FILE_STRANGE)
    wrong_kind = "does not start as a secret of Twinlatch does: restore it from a backup";
  if (wrong_kind != NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_CORRUPT, "%s %s", path, wrong_kind);
      return NULL;
    }
  if (store->key != NULL)
    return open_sealed (store, contents, name, path, error);
  return open_plain (contents, name, path, error);
}

/* The file's bytes; in a secret because those of a plain store are. */
static TlSecret *
encode (FileStore *store, const char *name, TlSecret *value)
{
  g_autofree char *format = NULL;
  g_autoptr (GBytes) sealed = NULL;
  const void *body = tl_secret_data (value);
  gsize length = tl_secret_length (value);

  if (store->key != NULL)
    {
      g_autofree char *aad = associated_data (name);
      sealed = tl_aead_seal (store->key, tl_random_system (), aad, strlen (aad), body, length);
      body = g_bytes_get_data (sealed, &length);
      format = g_strdup (FORMAT_ENCRYPTED);
    }
  else
    {
      g_autofree char *sum = plain_sum (name, body, length);
      format = g_strconcat (FORMAT_PLAIN, sum, "\n", NULL);
    }
  TlSecret *contents = tl_secret_new (strlen (format) + length);
  memcpy (tl_secret_data_mut (contents), format, strlen (format));
  if (length > 0)
    memcpy (tl_secret_data_mut (contents) + strlen (format), body, length);
  return contents;
}

static gboolean
file_save (TlSecretStore *base, const char *name, TlSecret *value, GError **error)
{
  FileStore *store = (FileStore *)base;
  g_autofree char *path = secret_path (store, name);

  if (!check_directory (store->directory, error))
    return FALSE;
  g_autoptr (TlSecret) contents = encode (store, name, value);
  return tl_file_write_atomic (path, tl_secret_data (contents), tl_secret_length (contents), 0600, error);
}

static gboolean
file_remove (TlSecretStore *base, const char *name, GError **error)
{
  FileStore *store = (FileStore *)base;
  g_autofree char *path = secret_path (store, name);

  return check_directory (store->directory, error) && tl_file_remove (path, error);
}

static void
file_finalize (TlSecretStore *base)
{
  FileStore *store = (FileStore *)base;

  g_free (store->directory);
  g_clear_pointer (&store->key, tl_secret_unref);
  g_free (store);
}

TlSecretStore *
tl_secret_store_new_file (const char *directory, TlSecret *key, GError **error)
{
  static const TlSecretStoreBackend backend = { file_lookup, file_save, file_remove, file_finalize };

  if (key != NULL && tl_secret_length (key) != KEY_LENGTH)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "key of the secret store has %" G_GSIZE_FORMAT " bytes, it must have %d", tl_secret_length (key),
                   KEY_LENGTH);
      return NULL;
    }
  if (!tl_dir_ensure (directory, 0700, error) || !check_directory (directory, error))
    return NULL;
  FileStore *store = g_new0 (FileStore, 1);
  tl_secret_store_init (&store->base, &backend, key != NULL);
  store->directory = g_strdup (directory);
  store->key = key != NULL ? tl_secret_ref (key) : NULL;
  return &store->base;
}

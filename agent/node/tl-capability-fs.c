/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-capability-builtin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/tl-fs-root.h"
#include "base/tl-error.h"
#include "base/tl-file.h"

#define LIST_MAX_ENTRIES 1000
#define LIST_MAX_NAMES   100000 /* names read of one directory; more are not sorted in */
#define ANSWER_RESERVE   512    /* members of an answer beside its bulk, and the path is added */
#define READ_MAX_OFFSET  ((gint64)1 << 52)

struct _TlFsRoots
{
  atomic_int refs;
  GPtrArray *roots;  /* TlFsRoot */
  char *unavailable; /* why fs.* cannot be used; NULL when it can */
};

TlFsRoots *
tl_fs_roots_new (const TlNodeConfig *config, GError **error)
{
  g_autoptr (TlFsRoots) roots = g_new0 (TlFsRoots, 1);

  atomic_init (&roots->refs, 1);
  roots->roots = g_ptr_array_new_with_free_func ((GDestroyNotify)tl_fs_root_free);
  for (guint i = 0; i < config->roots->len; i++)
    {
      const TlNodeRoot *configured = config->roots->pdata[i];
      g_autoptr (GError) problem = NULL;
      TlFsRoot *root = tl_fs_root_new (configured->name, configured->path, &problem);

      if (root != NULL)
        g_ptr_array_add (roots->roots, root);
      else if (tl_error_is (problem, TL_ERROR_UNSUPPORTED))
        {
          g_free (roots->unavailable);
          roots->unavailable = g_strdup (problem->message);
        }
      else
        {
          g_propagate_error (error, g_steal_pointer (&problem));
          return NULL;
        }
    }
  if (roots->roots->len == 0 && roots->unavailable == NULL)
    roots->unavailable = g_strdup ("no roots are configured");
  return g_steal_pointer (&roots);
}

TlFsRoots *
tl_fs_roots_ref (TlFsRoots *roots)
{
  atomic_fetch_add (&roots->refs, 1);
  return roots;
}

void
tl_fs_roots_unref (TlFsRoots *roots)
{
  if (roots == NULL || atomic_fetch_sub (&roots->refs, 1) > 1)
    return;
  g_ptr_array_unref (roots->roots);
  g_free (roots->unavailable);
  g_free (roots);
}

json_t *
tl_fs_roots_describe (TlFsRoots *roots)
{
  json_t *list = json_array ();

  for (guint i = 0; i < roots->roots->len; i++)
    json_array_append_new (list, json_pack ("{s:s, s:b}", "name", tl_fs_root_name (roots->roots->pdata[i]), "ok",
                                            tl_fs_root_is_in_place (roots->roots->pdata[i])));
  return list;
}

/* Members root and path, which every fs.* has. Borrowed. */
static gboolean
parse_target (TlFsRoots *roots, const json_t *input, const TlFsRoot **root, const char **path, GError **error)
{
  const char *name;

  if (!tl_json_get_string (input, "root", TRUE, &name, error)
      || !tl_json_get_string (input, "path", FALSE, path, error))
    return FALSE;
  if (*path == NULL)
    *path = "";
  for (guint i = 0; i < roots->roots->len; i++)
    if (g_str_equal (tl_fs_root_name (roots->roots->pdata[i]), name))
      {
        *root = roots->roots->pdata[i];
        return TRUE;
      }
  g_set_error (error, TL_ERROR, TL_ERROR_NOT_FOUND, "this node has no root \"%s\"", name);
  return FALSE;
}

static const char *
type_name (mode_t mode)
{
  switch (mode & S_IFMT)
    {
    case S_IFREG:
      return "file";
    case S_IFDIR:
      return "directory";
    case S_IFLNK:
      return "symlink";
    case S_IFIFO:
      return "fifo";
    case S_IFSOCK:
      return "socket";
    case S_IFCHR:
    case S_IFBLK:
      return "device";
    default:
      return "other";
    }
}

static void
add_stat (json_t *object, const struct stat *info)
{
  gint64 mtime_ms = (gint64)info->st_mtim.tv_sec * 1000 + info->st_mtim.tv_nsec / 1000000;

  json_object_set_new (object, "type", json_string (type_name (info->st_mode)));
  json_object_set_new (object, "size", json_integer (info->st_size));
  json_object_set_new (object, "mtime_unix_ms", json_integer (mtime_ms));
  json_object_set_new (object, "mode", json_sprintf ("%04o", info->st_mode & 07777u));
}

/* Names are bytes, JSON is UTF-8: what does not fit is written \xNN, and the entry says so. */
static json_t *
escape_name (const char *name, gboolean *escaped)
{
  g_autoptr (GString) text = g_string_new (NULL);
  const char *rest = name;
  const char *end;

  *escaped = !g_utf8_validate (name, -1, NULL);
  while (!g_utf8_validate (rest, -1, &end))
    {
      g_string_append_len (text, rest, end - rest);
      g_string_append_printf (text, "\\x%02x", (guint8)*end);
      rest = end + 1;
    }
  g_string_append (text, rest);
  return json_string (text->str);
}

static json_t *
fs_stat (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error)
{
  const TlFsRoot *root;
  const char *path;
  struct stat info;
  json_t *output;

  (void)call;
  if (!parse_target (data, input, &root, &path, error) || !tl_fs_root_stat (root, path, &info, error))
    return NULL;
  output = json_pack ("{s:s, s:s}", "root", tl_fs_root_name (root), "path", path);
  add_stat (output, &info);
  return output;
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

/* Sorted; *more when the directory holds more than LIST_MAX_NAMES. */
static GPtrArray *
read_names (DIR *dir, TlCapabilityCall *call, gboolean *more, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  struct dirent *entry;

  *more = FALSE;
  for (errno = 0; (entry = readdir (dir)) != NULL; errno = 0)
    {
      if (g_str_equal (entry->d_name, ".") || g_str_equal (entry->d_name, ".."))
        continue;
      if (tl_capability_call_is_cancelled (call))
        {
          g_set_error (error, TL_ERROR, TL_ERROR_CANCELLED, "listing was cancelled");
          return NULL;
        }
      if (names->len >= LIST_MAX_NAMES)
        {
          *more = TRUE;
          break;
        }
      g_ptr_array_add (names, g_strdup (entry->d_name));
    }
  if (entry == NULL && errno != 0)
    {
      tl_error_set_errno (error, errno, "cannot list the directory");
      return NULL;
    }
  g_ptr_array_sort (names, compare_names);
  return g_steal_pointer (&names);
}

static json_t *
describe_entry (DIR *dir, const char *name)
{
  json_t *entry = json_object ();
  gboolean escaped;
  struct stat info;

  json_object_set_new (entry, "name", escape_name (name, &escaped));
  if (escaped)
    json_object_set_new (entry, "name_escaped", json_true ());
  if (fstatat (dirfd (dir), name, &info, AT_SYMLINK_NOFOLLOW) == 0)
    add_stat (entry, &info);
  else
    json_object_set_new (entry, "type", json_string ("unknown")); /* went in between, or not ours to see */
  return entry;
}

static json_t *
list_directory (DIR *dir, guint limit, gsize budget, TlCapabilityCall *call, GError **error)
{
  gboolean more;
  g_autoptr (GPtrArray) names = read_names (dir, call, &more, error);
  json_t *entries;
  guint shown = 0;

  if (names == NULL)
    return NULL;
  entries = json_array ();
  for (; shown < names->len && shown < limit && !tl_capability_call_is_cancelled (call); shown++)
    {
      json_t *entry = describe_entry (dir, names->pdata[shown]);
      gsize size = json_dumpb (entry, NULL, 0, JSON_COMPACT) + 1;

      if (size > budget)
        {
          json_decref (entry);
          break;
        }
      budget -= size;
      json_array_append_new (entries, entry);
    }
  return json_pack ("{s:o, s:b, s:i}", "entries", entries, "truncated", more || shown < names->len, "total",
                    (int)names->len);
}

static gsize
bulk_budget (TlCapabilityCall *call, const char *path)
{
  gsize max = tl_capability_call_max_output (call);
  gsize reserve = ANSWER_RESERVE + 6 * strlen (path); /* a byte may become \u00xx */

  return max > reserve ? max - reserve : 0;
}

static json_t *
fs_list (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error)
{
  const TlFsRoot *root;
  const char *path;
  gint64 limit;
  json_t *output;
  DIR *dir;

  if (!parse_target (data, input, &root, &path, error)
      || !tl_json_get_int (input, "limit", FALSE, 1, LIST_MAX_ENTRIES, LIST_MAX_ENTRIES, &limit, error))
    return NULL;
  dir = tl_fs_root_open_directory (root, path, error);
  if (dir == NULL)
    return NULL;
  output = list_directory (dir, (guint)limit, bulk_budget (call, path), call, error);
  closedir (dir);
  if (output == NULL)
    return NULL;
  json_object_set_new (output, "root", json_string (tl_fs_root_name (root)));
  json_object_set_new (output, "path", json_string (path));
  return output;
}

/* At most `length` bytes from `offset`; fewer at the end of the file. */
static GByteArray *
read_range (int fd, gint64 offset, gsize length, TlCapabilityCall *call, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_sized_new ((guint)length);
  gsize have = 0;

  g_byte_array_set_size (bytes, (guint)length);
  while (have < length)
    {
      ssize_t n = pread (fd, bytes->data + have, length - have, offset + (gint64)have);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          tl_error_set_errno (error, errno, "cannot read the file");
          return NULL;
        }
      if (n == 0)
        break;
      have += (gsize)n;
      if (tl_capability_call_is_cancelled (call))
        {
          g_set_error (error, TL_ERROR, TL_ERROR_CANCELLED, "reading was cancelled");
          return NULL;
        }
    }
  g_byte_array_set_size (bytes, (guint)have);
  return g_steal_pointer (&bytes);
}

/* As text when it is text and fits so (JSON may need six bytes for one), else base64. */
static void
add_data (json_t *output, const GByteArray *bytes, gsize budget)
{
  g_autofree char *encoded = NULL;
  json_t *text = NULL;

  if (bytes->len == 0)
    text = json_string ("");
  else if (memchr (bytes->data, '\0', bytes->len) == NULL)
    text = json_stringn ((const char *)bytes->data, bytes->len); /* NULL unless UTF-8 */
  if (text != NULL && json_dumpb (text, NULL, 0, JSON_ENCODE_ANY) <= budget)
    {
      json_object_set_new (output, "encoding", json_string ("utf-8"));
      json_object_set_new (output, "data", text);
      return;
    }
  json_decref (text);
  encoded = g_base64_encode (bytes->data, bytes->len);
  json_object_set_new (output, "encoding", json_string ("base64"));
  json_object_set_new (output, "data", json_string (encoded));
}

static json_t *
fs_read (TlCapabilityCall *call, const json_t *input, gpointer data, GError **error)
{
  g_autoptr (GByteArray) bytes = NULL;
  const TlFsRoot *root;
  const char *path;
  struct stat info;
  gint64 offset, length;
  gsize budget, most;
  gboolean end;
  json_t *output;
  int fd;

  if (!parse_target (data, input, &root, &path, error)
      || !tl_json_get_int (input, "offset", FALSE, 0, READ_MAX_OFFSET, 0, &offset, error)
      || !tl_json_get_int (input, "length", FALSE, 0, READ_MAX_OFFSET, -1, &length, error))
    return NULL;
  budget = bulk_budget (call, path);
  most = budget / 4 * 3;
  if (length > (gint64)most || most == 0)
    {
      g_set_error (
          error, TL_ERROR, TL_ERROR_RESOURCE_EXHAUSTED,
          "the request allows %zu bytes of output, in which %zu bytes of a file fit: read less at a time or allow more",
          tl_capability_call_max_output (call), most);
      return NULL;
    }
  fd = tl_fs_root_open_file (root, path, &info, error);
  if (fd < 0)
    return NULL;
  if (length < 0)
    length = (gint64)most;
  bytes = read_range (fd, offset, (gsize)length, call, error);
  close (fd);
  if (bytes == NULL)
    return NULL;
  /* Files of /proc say that they are empty. */
  end = bytes->len < length || (info.st_size > 0 && offset + (gint64)bytes->len >= info.st_size);
  output = json_pack ("{s:s, s:s, s:I, s:i, s:I, s:b}", "root", tl_fs_root_name (root), "path", path, "offset",
                      (json_int_t)offset, "length", (int)bytes->len, "size", (json_int_t)info.st_size, "eof", end);
  add_data (output, bytes, budget);
  return output;
}

#define TARGET_SCHEMA "\"root\":{\"type\":\"string\"},\"path\":{\"type\":\"string\",\"maxLength\":4095}"

static const TlCapability fs_capabilities[] = {
  {
      .name = "fs.list",
      .description = "Lists a directory below one of the node's roots, sorted by name.",
      .input_schema = "{\"type\":\"object\",\"required\":[\"root\"],\"properties\":{" TARGET_SCHEMA
                      ",\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}}}",
      .idempotent = TRUE,
      .func = fs_list,
  },
  {
      .name = "fs.stat",
      .description = "Type, size, time and mode of a file below one of the node's roots.",
      .input_schema = "{\"type\":\"object\",\"required\":[\"root\"],\"properties\":{" TARGET_SCHEMA "}}",
      .idempotent = TRUE,
      .func = fs_stat,
  },
  {
      .name = "fs.read",
      .description = "Reads a range of bytes of a regular file below one of the node's roots.",
      .input_schema
      = "{\"type\":\"object\",\"required\":[\"root\",\"path\"],\"properties\":{" TARGET_SCHEMA
        ",\"offset\":{\"type\":\"integer\",\"minimum\":0},\"length\":{\"type\":\"integer\",\"minimum\":0}}}",
      .idempotent = TRUE,
      .func = fs_read,
  },
};

void
tl_capability_add_fs (TlCapabilitySet *set, TlFsRoots *roots)
{
  for (guint i = 0; i < G_N_ELEMENTS (fs_capabilities); i++)
    tl_capability_set_add (set, &fs_capabilities[i], tl_fs_roots_ref (roots), (GDestroyNotify)tl_fs_roots_unref,
                           roots->unavailable);
}

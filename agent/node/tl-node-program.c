/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-program.h"

#include <string.h>

#include "base/tl-error.h"

#define PROGRAM_GROUP "program "

void
tl_node_program_free (TlNodeProgram *program)
{
  if (program == NULL)
    return;
  g_free (program->name);
  g_strfreev (program->command);
  g_free (program->directory);
  g_free (program->description);
  g_free (program);
}

static gboolean
name_is_valid (const char *name)
{
  gsize length = strlen (name);

  if (length == 0 || length > TL_NODE_PROGRAM_MAX_NAME || name[0] == '-')
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isalnum (name[i]) && name[i] != '-' && name[i] != '_')
      return FALSE;
  return TRUE;
}

static char **
parse_command (const char *text, GError **error)
{
  g_autoptr (GError) problem = NULL;
  g_auto (GStrv) command = NULL;

  if (text == NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "it has no command=");
  else if (!g_shell_parse_argv (text, NULL, &command, &problem))
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "command: %s", problem->message);
  else if (!g_path_is_absolute (command[0]))
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "command needs the absolute path of a program, not \"%s\"",
                 command[0]);
  else
    return g_steal_pointer (&command);
  return NULL;
}

static gboolean
check_texts (const char *directory, const char *description, GError **error)
{
  if (!g_path_is_absolute (directory))
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "directory needs an absolute path, not \"%s\"", directory);
  else if (description != NULL && strlen (description) > TL_NODE_PROGRAM_MAX_DESCRIPTION)
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "the description is longer than %d bytes",
                 TL_NODE_PROGRAM_MAX_DESCRIPTION);
  else
    return TRUE;
  return FALSE;
}

static TlNodeProgram *
load_program (TlConfig *config, const char *group, GError **error)
{
  g_autoptr (TlNodeProgram) program = g_new0 (TlNodeProgram, 1);
  const char *directory = tl_config_get_string (config, group, "directory");
  const char *description = tl_config_get_string (config, group, "description");

  program->name = g_strstrip (g_strdup (group + strlen (PROGRAM_GROUP)));
  if (!name_is_valid (program->name))
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "the name is not acceptable: 1 to %d letters, digits, '-' or '_'", TL_NODE_PROGRAM_MAX_NAME);
      return NULL;
    }
  program->command = parse_command (tl_config_get_string (config, group, "command"), error);
  if (program->command == NULL || !check_texts (directory, description, error))
    return NULL;
  program->directory = g_strdup (directory);
  program->description = g_strdup (description);
  program->timeout_ms = tl_config_get_integer (config, group, "timeout");
  program->appends_arguments = g_str_equal (tl_config_get_string (config, group, "arguments"), "append");
  return g_steal_pointer (&program);
}

gboolean
tl_node_programs_load (TlConfig *config, const char *file, GPtrArray *programs, GError **error)
{
  g_auto (GStrv) groups = tl_config_list_groups (config, PROGRAM_GROUP "*");

  for (guint i = 0; groups[i] != NULL; i++)
    {
      const char *where = tl_config_where (config, groups[i], "command");
      TlNodeProgram *program = load_program (config, groups[i], error);

      if (program == NULL)
        {
          g_prefix_error (error, "%s: [%s]: ", where != NULL ? where : file, groups[i]);
          return FALSE;
        }
      g_ptr_array_add (programs, program);
    }
  if (programs->len <= TL_NODE_MAX_PROGRAMS)
    return TRUE;
  g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s: more than %d programs", file, TL_NODE_MAX_PROGRAMS);
  return FALSE;
}

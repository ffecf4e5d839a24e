/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "pairing/tl-pairing-link.h"

/* Characters that a terminal or label obeys instead of showing (controls, bidi overrides, zero-width marks, line
 * breaks) let a stranger's name imitate another one or rewrite the line that an approver reads. */
static gboolean
is_readable (gunichar c)
{
  switch (g_unichar_type (c))
    {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
    case G_UNICODE_SURROGATE:
    case G_UNICODE_UNASSIGNED:
      return FALSE;
    default:
      return TRUE;
    }
}

/* What is wrong with it, or NULL. */
static const char *
find_fault (const char *name)
{
  gsize length = strnlen (name, TL_PAIRING_NAME_MAX + 1);
  g_autofree char *normal = NULL;

  if (length == 0)
    return "is empty";
  if (length > TL_PAIRING_NAME_MAX)
    return "is longer than 64 bytes";
  if (!g_utf8_validate (name, (gssize)length, NULL))
    return "is not valid UTF-8";
  for (const char *p = name; *p != '\0'; p = g_utf8_next_char (p))
    {
      if (!is_readable (g_utf8_get_char (p)))
        return "has a control, format or unassigned character";
    }
  if (g_unichar_isspace (g_utf8_get_char (name))
      || g_unichar_isspace (g_utf8_get_char (g_utf8_prev_char (name + length))))
    return "begins or ends with a blank";
  normal = g_utf8_normalize (name, (gssize)length, G_NORMALIZE_DEFAULT_COMPOSE);
  if (g_strcmp0 (normal, name) != 0)
    return "is not in Unicode normal form C";
  return NULL;
}

G_STATIC_ASSERT (TL_PAIRING_NAME_MAX == 64); /* the message above */

gboolean
tl_pairing_name_check (const char *what, const char *name, GError **error)
{
  const char *fault = name != NULL ? find_fault (name) : "is missing";

  if (fault != NULL)
    g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "%s %s", what, fault);
  return fault == NULL;
}

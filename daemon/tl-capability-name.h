/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>
#include <string.h>

G_BEGIN_DECLS

#define TL_CAPABILITY_NAME_MAX 64

/* PROTOCOL 4.2: [a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*, at most 64 bytes. */
static inline gboolean
tl_capability_name_is_valid (const char *name)
{
  gboolean at_start = TRUE;

  if (strlen (name) > TL_CAPABILITY_NAME_MAX)
    return FALSE;
  for (const char *c = name; *c != '\0'; c++)
    {
      if (at_start ? !g_ascii_islower (*c) : !(g_ascii_islower (*c) || g_ascii_isdigit (*c) || *c == '_' || *c == '.'))
        return FALSE;
      at_start = *c == '.';
    }
  return !at_start;
}

G_END_DECLS

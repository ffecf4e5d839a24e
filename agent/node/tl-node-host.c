/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node/tl-node-host.h"

#include <string.h>
#include <sys/utsname.h>

#include "pairing/tl-pairing-link.h"

#define FALLBACK_NAME "computer"

char *
tl_node_platform (void)
{
  struct utsname system;

  if (uname (&system) < 0)
    return g_strdup ("linux");
  return g_strdup_printf ("linux %.48s", system.machine);
}

char *
tl_node_clean_name (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  g_autofree char *normal = g_utf8_normalize (valid, -1, G_NORMALIZE_NFC);
  g_autoptr (GString) name = g_string_new (NULL);

  for (const char *c = normal; *c != '\0'; c = g_utf8_next_char (c))
    {
      gunichar character = g_utf8_get_char (c);

      if (!g_unichar_isprint (character) || character == 0xfffd || g_unichar_type (character) == G_UNICODE_FORMAT)
        character = '-';
      if (name->len + (gsize)g_unichar_to_utf8 (character, NULL) > TL_PAIRING_NAME_MAX)
        break;
      g_string_append_unichar (name, character);
    }
  g_strstrip (name->str);
  if (!tl_pairing_name_check ("name", name->str, NULL))
    return g_strdup (FALLBACK_NAME);
  return g_strdup (name->str);
}

char *
tl_node_default_name (void)
{
  return tl_node_clean_name (g_get_host_name ());
}

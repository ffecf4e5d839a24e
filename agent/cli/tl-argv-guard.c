/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-argv-guard.h"

#include <glib/gi18n.h>
#include <string.h>

#include "base/tl-error.h"
#include "pairing/tl-pairing-code.h"
#include "pairing/tl-pairing-link.h"

#define SLOT_DIGITS 3 /* TL_PAIRING_SLOT_MAX */

static gboolean
refuse (const char *what, GError **error)
{
  g_set_error (
      error, TL_ERROR, TL_ERROR_USAGE,
      _ ("%s must not be an argument: every user of this computer can read arguments; cancel that code and give a "
         "new one with --from FILE, with --from - on standard input, or when you are asked for it"),
      what);
  return FALSE;
}

gboolean
tl_argv_check_links (int argc, const char *const *argv, GError **error)
{
  for (int i = 1; i < argc; i++)
    {
      const char *value = g_str_has_prefix (argv[i], "--") ? strchr (argv[i], '=') : NULL;

      if (tl_pairing_link_is_link (argv[i]) || (value != NULL && tl_pairing_link_is_link (value + 1)))
        return refuse (_ ("a pairing link"), error);
    }
  return TRUE;
}

gboolean
tl_argv_check_pin (const char *text, GError **error)
{
  guint digits = 0;

  for (const char *p = text; *p != '\0'; p++)
    {
      if (g_ascii_isdigit (*p))
        digits++;
      else if (*p != '-' && !g_ascii_isspace (*p))
        return TRUE;
    }
  if (digits < TL_PAIRING_PIN_DIGITS || digits > TL_PAIRING_PIN_DIGITS + SLOT_DIGITS)
    return TRUE;
  return refuse (_ ("a PIN"), error);
}

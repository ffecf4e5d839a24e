/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-verb.h"

#include <glib/gi18n.h>
#include <string.h>

static const TlVerb *const verbs[] = {
  &tl_verb_node_pair,
  &tl_verb_node_run,
  &tl_verb_node_status,
  &tl_verb_node_forget,
  &tl_verb_node_install,
  &tl_verb_node_uninstall,
  &tl_verb_node_start,
  &tl_verb_node_stop,
  &tl_verb_node_restart,
  &tl_verb_pairing_mint,
  &tl_verb_pairing_codes,
  &tl_verb_pairing_cancel,
  &tl_verb_pairing_list,
  &tl_verb_pairing_watch,
  &tl_verb_pairing_approve,
  &tl_verb_pairing_reject,
  &tl_verb_devices_list,
  &tl_verb_devices_show,
  &tl_verb_devices_rename,
  &tl_verb_devices_suspend,
  &tl_verb_devices_resume,
  &tl_verb_devices_revoke,
  &tl_verb_devices_clear,
  &tl_verb_devices_remove,
  &tl_verb_devices_role,
  &tl_verb_devices_rotate,
  &tl_verb_devices_confirm,
  &tl_verb_nodes_list,
  &tl_verb_nodes_show,
  &tl_verb_nodes_watch,
  &tl_verb_nodes_capability,
  &tl_verb_exec,
  &tl_verb_requests_list,
  &tl_verb_requests_show,
  &tl_verb_requests_cancel,
  &tl_verb_ca_show,
  &tl_verb_ca_export,
  &tl_verb_journal_show,
  &tl_verb_journal_verify,
  &tl_verb_journal_head,
  &tl_verb_events,
  &tl_verb_status,
  &tl_verb_doctor,
  &tl_verb_version,
  &tl_verb_help,
  NULL,
};

static const TlOption global_options[] = {
  { "json", TL_OPTION_FLAG, NULL, N_ ("print JSON; errors as JSON on standard error") },
  { "gateway", TL_OPTION_TEXT, "NAME",
    N_ ("operate a gateway over the network: one that this computer is paired with") },
  { "socket", TL_OPTION_TEXT, "PATH", N_ ("admin socket of twinlatchd (default: the user's, else the system's)") },
  { "timeout", TL_OPTION_DURATION, "D", N_ ("how long to wait for an answer: 30s (default), 2m"), 1, 86400000 },
  { "state-dir", TL_OPTION_TEXT, "DIR", N_ ("where this computer keeps its pairings (node verbs)") },
  { "no-color", TL_OPTION_FLAG, NULL, N_ ("no colours or bold, as with NO_COLOR") },
  { "help", TL_OPTION_FLAG, NULL, N_ ("show help") },
  { "version", TL_OPTION_FLAG, NULL, N_ ("show the version") },
  { NULL },
};

const TlVerb *const *
tl_verbs (void)
{
  return verbs;
}

const TlOption *
tl_global_options (void)
{
  return global_options;
}

const TlVerb *
tl_verb_find (const char *path)
{
  for (guint i = 0; verbs[i] != NULL; i++)
    {
      if (g_str_equal (verbs[i]->path, path))
        return verbs[i];
    }
  return NULL;
}

/* The second word of the verb when it belongs to the group. */
static const char *
word_in_group (const TlVerb *verb, const char *group)
{
  gsize length = strlen (group);

  if (strncmp (verb->path, group, length) != 0 || verb->path[length] != ' ')
    return NULL;
  return verb->path + length + 1;
}

gboolean
tl_verb_is_group (const char *word)
{
  for (guint i = 0; verbs[i] != NULL; i++)
    {
      if (word_in_group (verbs[i], word) != NULL)
        return TRUE;
    }
  return FALSE;
}

char *
tl_verb_group_words (const char *group)
{
  GString *words = g_string_new (NULL);

  for (guint i = 0; verbs[i] != NULL; i++)
    {
      const char *word = word_in_group (verbs[i], group);

      if (word != NULL)
        g_string_append_printf (words, "%s%s", words->len > 0 ? ", " : "", word);
    }
  return g_string_free (words, FALSE);
}

/* Optimal string alignment: insertions, deletions, replacements and swaps of neighbours, the ways words are mistyped.
 */
static guint
edit_distance (const char *a, const char *b)
{
  gsize la = strlen (a), lb = strlen (b), width = lb + 1;
  g_autofree guint *d = g_new (guint, (la + 1) * width);

  for (gsize i = 0; i <= la; i++)
    d[i * width] = (guint)i;
  for (gsize j = 0; j <= lb; j++)
    d[j] = (guint)j;
  for (gsize i = 1; i <= la; i++)
    {
      for (gsize j = 1; j <= lb; j++)
        {
          guint best = d[(i - 1) * width + j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);

          best = MIN (best, d[(i - 1) * width + j] + 1);
          best = MIN (best, d[i * width + j - 1] + 1);
          if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
            best = MIN (best, d[(i - 2) * width + j - 2] + 1);
          d[i * width + j] = best;
        }
    }
  return d[la * width + lb];
}

const char *
tl_verb_suggest (const char *words)
{
  gsize length = strlen (words);
  guint best = (guint)MAX (length / 3, 1) + 1; /* further away is another word, not a mistyped one */
  const char *found = NULL;

  if (length > 64)
    return NULL;
  for (guint i = 0; verbs[i] != NULL; i++)
    {
      const char *last = strrchr (verbs[i]->path, ' ');
      guint distance = edit_distance (words, verbs[i]->path);

      if (last != NULL && strchr (words, ' ') == NULL) /* the group was forgotten: "approve" */
        distance = MIN (distance, edit_distance (words, last + 1) + 1);
      if (distance < best)
        {
          best = distance;
          found = verbs[i]->path;
        }
    }
  return found;
}

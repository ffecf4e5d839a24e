/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-json-sum.h"

#include <stdlib.h>
#include <string.h>

#include "base/tl-error.h"

/* NULL: cannot be written. */
static char *
compute (const json_t *object)
{
  tl_json_auto rest = json_copy ((json_t *)object); /* shallow: the members are only read */
  char *text;
  char *sum;

  if (!json_is_object (rest))
    return NULL;
  json_object_del (rest, TL_JSON_SUM);
  text = json_dumps (rest, JSON_COMPACT | JSON_SORT_KEYS);
  if (text == NULL)
    return NULL;
  sum = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
  free (text);
  return sum;
}

gboolean
tl_json_add_sum (json_t *object)
{
  g_autofree char *sum = compute (object);

  return sum != NULL && json_object_set_new (object, TL_JSON_SUM, json_string (sum)) == 0;
}

gboolean
tl_json_check_sum (const json_t *object, GError **error)
{
  const json_t *member = json_object_get (object, TL_JSON_SUM);
  g_autofree char *sum = NULL;

  if (member == NULL)
    return TRUE;
  sum = compute (object);
  if (sum != NULL && json_is_string (member) && strcmp (json_string_value (member), sum) == 0)
    return TRUE;
  g_set_error_literal (error, TL_ERROR, TL_ERROR_CORRUPT, "it does not carry its checksum");
  return FALSE;
}

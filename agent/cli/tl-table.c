/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-table.h"

#include <stdarg.h>

#include "agent/cli/tl-text.h"

#define GAP 2 /* blanks between columns */

struct _TlTable
{
  guint columns;
  gboolean headed;  /* the first row is the heading */
  GPtrArray *cells; /* escaped, row by row */
};

static TlTable *
table_new (void)
{
  TlTable *table = g_new0 (TlTable, 1);

  table->cells = g_ptr_array_new_with_free_func (g_free);
  return table;
}

TlTable *
tl_table_new (const char *first, ...)
{
  TlTable *table = table_new ();
  va_list titles;

  table->headed = TRUE;
  va_start (titles, first);
  for (const char *title = first; title != NULL; title = va_arg (titles, const char *))
    {
      g_ptr_array_add (table->cells, g_strdup (title));
      table->columns++;
    }
  va_end (titles);
  return table;
}

TlTable *
tl_table_new_pairs (void)
{
  TlTable *table = table_new ();

  table->columns = 2;
  return table;
}

void
tl_table_free (TlTable *table)
{
  if (table == NULL)
    return;
  g_ptr_array_unref (table->cells);
  g_free (table);
}

static void
add_cell (TlTable *table, const char *text)
{
  g_ptr_array_add (table->cells, text != NULL && text[0] != '\0' ? tl_text_escape (text) : g_strdup ("-"));
}

void
tl_table_add (TlTable *table, ...)
{
  va_list cells;

  va_start (cells, table);
  for (guint i = 0; i < table->columns; i++)
    add_cell (table, va_arg (cells, const char *));
  va_end (cells);
}

void
tl_table_add_pair (TlTable *table, const char *name, const char *value)
{
  g_assert (table->columns == 2);
  add_cell (table, name);
  add_cell (table, value);
}

void
tl_table_take_pair (TlTable *table, const char *name, char *value)
{
  tl_table_add_pair (table, name, value);
  g_free (value);
}

guint
tl_table_rows (TlTable *table)
{
  return table->cells->len / table->columns - (table->headed ? 1 : 0);
}

char *
tl_table_render (TlTable *table, gboolean bold)
{
  GString *text = g_string_new (NULL);
  g_autofree guint *widths = g_new0 (guint, table->columns);

  for (guint i = 0; i < table->cells->len; i++)
    widths[i % table->columns] = MAX (widths[i % table->columns], tl_text_width (g_ptr_array_index (table->cells, i)));

  for (guint i = 0; i < table->cells->len; i++)
    {
      const char *cell = g_ptr_array_index (table->cells, i);
      guint column = i % table->columns;
      gboolean heading = bold && table->headed && i < table->columns;

      g_string_append_printf (text, "%s%s%s", heading ? "\033[1m" : "", cell, heading ? "\033[0m" : "");
      if (column + 1 == table->columns)
        g_string_append_c (text, '\n');
      else
        g_string_append_printf (text, "%*s", (int)(widths[column] + GAP - tl_text_width (cell)), "");
    }
  return g_string_free (text, FALSE);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/tl-table.h"

static void
test_layout (void)
{
  g_autoptr (TlTable) table = tl_table_new ("ID", "NAME", "STATE", NULL);
  g_autofree char *text = NULL;

  tl_table_add (table, "1", "\xe6\xbc\xa2\xe5\xad\x97", "active"); /* wide: two characters, four columns */
  tl_table_add (table, "22", "caf\xc3\xa9", NULL);
  tl_table_add (table, "3", "e\xcc\x81", "");
  g_assert_cmpuint (tl_table_rows (table), ==, 3);
  text = tl_table_render (table, FALSE);
  g_assert_cmpstr (text, ==,
                   "ID  NAME  STATE\n"
                   "1   \xe6\xbc\xa2\xe5\xad\x97  active\n"
                   "22  caf\xc3\xa9  -\n"
                   "3   e\xcc\x81     -\n");
}

static void
test_foreign_text (void)
{
  g_autoptr (TlTable) table = tl_table_new ("NAME", "X", NULL);
  g_autofree char *text = NULL;

  tl_table_add (table, "a\nforged row", "\033]0;title\007");
  text = tl_table_render (table, FALSE);
  g_assert_cmpstr (text, ==,
                   "NAME              X\n"
                   "a\\u{a}forged row  \\u{1b}]0;title\\u{7}\n");
}

static void
test_bold (void)
{
  g_autoptr (TlTable) table = tl_table_new ("A", "B", NULL);
  g_autofree char *text = NULL;

  tl_table_add (table, "longer", "x");
  text = tl_table_render (table, TRUE);
  g_assert_cmpstr (text, ==, "\033[1mA\033[0m       \033[1mB\033[0m\nlonger  x\n");
}

static void
test_pairs (void)
{
  g_autoptr (TlTable) table = tl_table_new_pairs ();
  g_autofree char *text = NULL;

  tl_table_add_pair (table, "Name", "x");
  tl_table_take_pair (table, "Long name", g_strdup ("y"));
  g_assert_cmpuint (tl_table_rows (table), ==, 2);
  text = tl_table_render (table, TRUE);
  g_assert_cmpstr (text, ==, "Name       x\nLong name  y\n");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cli/table/layout", test_layout);
  g_test_add_func ("/cli/table/foreign-text", test_foreign_text);
  g_test_add_func ("/cli/table/bold", test_bold);
  g_test_add_func ("/cli/table/pairs", test_pairs);
  return g_test_run ();
}

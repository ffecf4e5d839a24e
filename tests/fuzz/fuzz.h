/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * What the fuzz targets share. A target takes any bytes, keeps nothing between two inputs but constants it made once,
 * and draws no randomness but that of tl_random_new_test(): an input that crashes does so again.
 */
int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

/* Whatever a parser says of an input: either an output and no error, or no output and an error with a message. */
#define fuzz_assert_answer(output, error)                                                                              \
  g_assert_true (((output) != NULL) == ((error) == NULL) && ((error) == NULL || (error)->message[0] != '\0'))
/* The same for functions that return gboolean. */
#define fuzz_assert_verdict(ok, error)                                                                                 \
  g_assert_true ((ok) == ((error) == NULL) && ((error) == NULL || (error)->message[0] != '\0'))

G_END_DECLS

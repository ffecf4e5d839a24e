/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-secret.h"

G_BEGIN_DECLS

/*
 * Questions to the person at the terminal, and codes from files. Questions use /dev/tty, so that standard input and
 * output stay free for data. Thread: main, blocking; Ctrl-C ends the program as usual.
 */

/* Is there a person to ask: a controlling terminal, and standard input or standard error on one (a job started by a
 * service or a test has a terminal at most by accident). */
gboolean tl_prompt_available (void);
/* A line without its end, as a secret. TL_ERROR_USAGE without a terminal, CANCELLED at its end (Ctrl-D). */
TlSecret *tl_prompt_line (const char *question, GError **error);
/* "question [y/N] "; TRUE for y or yes in the user's language or English. FALSE with *error set when nobody can be
 * asked. */
gboolean tl_prompt_confirm (const char *question, GError **error);
/* For things that need a yes: yes (--yes) skips the question; without a terminal TL_ERROR_USAGE says to give --yes;
 * a no is CANCELLED. */
gboolean tl_prompt_require (gboolean yes, const char *question, GError **error);

/* First line that is not blank of a file ("-" standard input), trimmed; at most TL_PROMPT_MAX_CODE bytes. */
#define TL_PROMPT_MAX_CODE 4096
TlSecret *tl_prompt_read_code (const char *file, GError **error);

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/cli/tl-verb.h"

G_BEGIN_DECLS

/* Help made from the verb table. Thread: any. Every function returns a new string (g_free). */

/* words: "" for all, a group, or a verb's path; NULL for anything else. */
char *tl_help_for (const char *words);
/* "pairing mint\t--pin --link ...\n" for each verb. */
char *tl_help_list_verbs (void);

G_END_DECLS

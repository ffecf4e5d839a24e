/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-json.h"

G_BEGIN_DECLS

/*
 * What history keeps of input and output of a capability: one line of at most TL_JSON_SUMMARY_MAX bytes of UTF-8 that
 * looks like the JSON, without what looks like a secret. Shown as *** are:
 *   - whatever stands under a member whose name contains token, password, passwd, passphrase, secret, credential,
 *     authorization, cookie, apikey, privatekey or bearer, or has the word key, keys, pass, pwd, pin, otp, auth or
 * stdin (case, '-', '_' and camelCase do not matter);
 *   - the value of a string "NAME=VALUE" or "NAME: VALUE", and the string after one "--NAME", with such a name;
 *   - strings that begin with "Bearer ", "Basic " or "-----BEGIN ".
 * Strings of more than TL_JSON_SUMMARY_STRING bytes are cut and say how long they were; what does not fit is "...". It
 * is a courtesy to whoever reads over an operator's shoulder, no proof that nothing secret is left. The work is bounded
 * by the summary's size, not by the value's. Pure; thread: any.
 */
#define TL_JSON_SUMMARY_MAX    240
#define TL_JSON_SUMMARY_STRING 48

/* g_free() */
char *tl_json_summary (const json_t *value);
/* The same of a text that holds JSON; one that does not is "". */
char *tl_json_summary_of_text (const char *text);
/* Whether values under such a name are left out. */
gboolean tl_json_name_is_secret (const char *name, gsize length);

G_END_DECLS

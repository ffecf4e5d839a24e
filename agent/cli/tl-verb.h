/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/cli/tl-args.h"
#include "agent/cli/tl-cli.h"

G_BEGIN_DECLS

/*
 * TlVerb: a row of the verb table. Parsing, `help`, the man page's and the completions' unit test all follow the table:
 * a verb that is not in it does not exist. Immutable; thread: any.
 */
typedef struct _TlVerb TlVerb;

struct _TlVerb
{
  const char *path;      /* words, "pairing mint" */
  const char *arguments; /* synopsis of the arguments, "DEVICE [REASON]"; "" for none */
  guint min_arguments;
  guint max_arguments;     /* G_MAXUINT: any number */
  const char *summary;     /* one line, N_() */
  const char *details;     /* N_(), paragraphs for help; NULL for none */
  const TlOption *options; /* ends with a NULL name; NULL for none */
  gboolean refuses_codes;  /* a person might type a PIN as an argument here: refused with the reason */
  /* TRUE with an exit code set by tl_cli_set_exit_code() is for outcomes that were printed already. */
  gboolean (*run) (TlCli *cli, TlArgs *args, GError **error);
};

/* All verbs in the order of help; ends with NULL. Static. */
const TlVerb *const *tl_verbs (void);
/* Options that every verb takes; ends with a NULL name. Static. */
const TlOption *tl_global_options (void);
/* By words joined with one blank; NULL when there is none. */
const TlVerb *tl_verb_find (const char *path);
/* "pairing" is the first word of some verb with two. */
gboolean tl_verb_is_group (const char *word);
/* "mint, codes, cancel": what a group offers; g_free(). */
char *tl_verb_group_words (const char *group);
/* The verb meant by mistyped words ("paring mint", "approve"), as its path; NULL when nothing is near. */
const char *tl_verb_suggest (const char *words);

extern const TlVerb tl_verb_node_pair;
extern const TlVerb tl_verb_node_run;
extern const TlVerb tl_verb_node_status;
extern const TlVerb tl_verb_node_forget;
extern const TlVerb tl_verb_node_install;
extern const TlVerb tl_verb_node_uninstall;
extern const TlVerb tl_verb_node_start;
extern const TlVerb tl_verb_node_stop;
extern const TlVerb tl_verb_node_restart;
extern const TlVerb tl_verb_pairing_mint;
extern const TlVerb tl_verb_pairing_codes;
extern const TlVerb tl_verb_pairing_cancel;
extern const TlVerb tl_verb_pairing_list;
extern const TlVerb tl_verb_pairing_watch;
extern const TlVerb tl_verb_pairing_approve;
extern const TlVerb tl_verb_pairing_reject;
extern const TlVerb tl_verb_devices_list;
extern const TlVerb tl_verb_devices_show;
extern const TlVerb tl_verb_devices_rename;
extern const TlVerb tl_verb_devices_suspend;
extern const TlVerb tl_verb_devices_resume;
extern const TlVerb tl_verb_devices_revoke;
extern const TlVerb tl_verb_devices_clear;
extern const TlVerb tl_verb_devices_remove;
extern const TlVerb tl_verb_devices_role;
extern const TlVerb tl_verb_devices_rotate;
extern const TlVerb tl_verb_devices_confirm;
extern const TlVerb tl_verb_nodes_list;
extern const TlVerb tl_verb_nodes_show;
extern const TlVerb tl_verb_nodes_watch;
extern const TlVerb tl_verb_nodes_capability;
extern const TlVerb tl_verb_exec;
extern const TlVerb tl_verb_requests_list;
extern const TlVerb tl_verb_requests_show;
extern const TlVerb tl_verb_requests_cancel;
extern const TlVerb tl_verb_ca_show;
extern const TlVerb tl_verb_ca_export;
extern const TlVerb tl_verb_journal_show;
extern const TlVerb tl_verb_journal_verify;
extern const TlVerb tl_verb_journal_head;
extern const TlVerb tl_verb_events;
extern const TlVerb tl_verb_status;
extern const TlVerb tl_verb_doctor;
extern const TlVerb tl_verb_version;
extern const TlVerb tl_verb_help;

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#include <glib/gi18n.h>
#include <string.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-json-out.h"
#include "agent/cli/tl-qr.h"
#include "agent/cli/tl-text.h"
#include "agent/cli/tl-verb.h"
#include "base/tl-error.h"
#include "base/tl-file.h"
#include "base/tl-secret.h"

#define MIN_TTL_MS   30000 /* PROTOCOL 3.1 */
#define MAX_TTL_MS   86400000
#define MAX_ATTEMPTS 10

/* FALSE: contradictory options. */
static gboolean
fill_request (TlArgs *args, Twinlatch__V1__MintNodePairingCodeRequest *request, GError **error)
{
  gboolean link = tl_args_flag (args, "link") || tl_args_flag (args, "qr");
  const char *role = tl_args_text (args, "role");
  int value = TWINLATCH__V1__ROLE__ROLE_NODE;

  if (tl_args_flag (args, "pin") && link)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_USAGE,
                           _ ("a code is a PIN or a link (--qr draws a link); give one of them"));
      return FALSE;
    }
  if (tl_args_flag (args, "auto-approve") && !link)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_USAGE,
                           _ ("--auto-approve goes with --link: a PIN is short enough that a person has to approve"));
      return FALSE;
    }
  if (role != NULL)
    tl_enum_from_text (&twinlatch__v1__role__descriptor, role, &value); /* the parser knows the choices */

  request->method = link ? TWINLATCH__V1__CODE_METHOD__CODE_METHOD_LINK : TWINLATCH__V1__CODE_METHOD__CODE_METHOD_PIN;
  request->ttl_ms = tl_args_number (args, "ttl", 0);
  request->role = (Twinlatch__V1__Role)value;
  if (tl_args_text (args, "label") != NULL)
    request->label = (char *)tl_args_text (args, "label");
  request->auto_approve = tl_args_flag (args, "auto-approve");
  request->attempts = (guint32)tl_args_number (args, "attempts", 0);
  return TRUE;
}

static gboolean
print_qr (TlCli *cli, const char *link, GError **error)
{
  g_autoptr (TlQr) qr = tl_qr_new (link, error);
  g_auto (GStrv) rows = NULL;

  if (qr == NULL)
    return FALSE;
  rows = tl_qr_render (qr, tl_cli_is_coloured (cli) ? TL_QR_ANSI : TL_QR_PLAIN);
  for (guint i = 0; rows[i] != NULL; i++)
    tl_cli_print (cli, "%s\n", rows[i]);
  return TRUE;
}

static void
print_json (TlCli *cli, const TlMintAnswer *answer, const char *out)
{
  json_t *object = json_pack ("{s:o}", "code", tl_json_from_message (&answer->code->base));

  if (out == NULL)
    json_object_set_new (object, "secret", tl_json_text (answer->secret));
  else
    json_object_set_new (object, "out", tl_json_text (out));
  tl_cli_print_json (cli, object);
}

/* Where a device with a PIN has to connect to; what the gateway advertises, if it says. */
static char *
find_address (TlCli *cli)
{
  Twinlatch__V1__GetStatusRequest request = TWINLATCH__V1__GET_STATUS_REQUEST__INIT;
  g_autoptr (TlStatusAnswer) status
      = (TlStatusAnswer *)tl_admin_call (cli, "GetStatus", &request.base,
                                         &twinlatch__v1__get_status_response__descriptor, NULL);

  if (status == NULL || status->n_advertised == 0)
    return g_strdup (_ ("HOST"));
  return tl_text_escape (status->advertised[0]);
}

static void
print_for_people (TlCli *cli, const TlMintAnswer *answer, const char *out)
{
  const Twinlatch__V1__PairingCode *code = answer->code;
  gboolean is_pin = code->method == TWINLATCH__V1__CODE_METHOD__CODE_METHOD_PIN;
  g_autofree char *secret = tl_text_escape (answer->secret);
  g_autofree char *role = tl_enum_to_text (&twinlatch__v1__role__descriptor, code->role);
  g_autofree char *until = tl_cli_time (cli, code->expires_at_unix_ms);

  if (out != NULL)
    tl_cli_print (cli, is_pin ? _ ("The PIN is in %s\n") : _ ("The link is in %s\n"), out);
  else
    tl_cli_print (cli, is_pin ? _ ("PIN   %s\n") : _ ("Link  %s\n"), secret);
  tl_cli_print (cli, _ ("Code  %s, role %s, %u attempts, ends %s\n"), code->code_id, role, code->attempts_left, until);
  if (is_pin)
    {
      g_autofree char *address = find_address (cli);

      tl_cli_print (cli, _ ("On the device: twinlatch node pair --gateway %s\n"), address);
    }
  else
    tl_cli_print (cli, _ ("On the device: twinlatch node pair, and paste the link; or scan it with --qr\n"));
  if (!code->auto_approve)
    tl_cli_print (
        cli, _ ("Then approve it with the six digits it shows: twinlatch pairing watch, twinlatch pairing approve\n"));
  tl_wipe (secret, strlen (secret));
}

static gboolean
show (TlCli *cli, TlArgs *args, const TlMintAnswer *answer, GError **error)
{
  const char *out = tl_args_text (args, "out");

  if (out != NULL)
    {
      g_autofree char *line = g_strconcat (answer->secret, "\n", NULL);
      gboolean written = tl_file_write_atomic (out, line, strlen (line), 0600, error);

      tl_wipe (line, strlen (line));
      if (!written)
        return FALSE;
    }
  if (tl_cli_is_json (cli))
    {
      print_json (cli, answer, out);
      return TRUE;
    }
  if (tl_args_flag (args, "qr") && !print_qr (cli, answer->secret, error))
    return FALSE;
  print_for_people (cli, answer, out);
  return TRUE;
}

static gboolean
run (TlCli *cli, TlArgs *args, GError **error)
{
  Twinlatch__V1__MintNodePairingCodeRequest request = TWINLATCH__V1__MINT_NODE_PAIRING_CODE_REQUEST__INIT;
  g_autoptr (TlMintAnswer) answer = NULL;
  gboolean shown;

  tl_secret_harden_process ();
  if (!fill_request (args, &request, error))
    return FALSE;
  answer = (TlMintAnswer *)tl_admin_call (cli, "MintNodePairingCode", &request.base,
                                          &twinlatch__v1__mint_node_pairing_code_response__descriptor, error);
  if (answer == NULL)
    return FALSE;
  if (answer->code == NULL)
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_PROTOCOL, _ ("the gateway's answer holds no code"));
      return FALSE;
    }
  shown = show (cli, args, answer, error);
  tl_wipe (answer->secret, strlen (answer->secret));
  return shown;
}

static const TlOption options[] = {
  { "pin", TL_OPTION_FLAG, NULL, N_ ("a PIN to be typed (default)") },
  { "link", TL_OPTION_FLAG, NULL, N_ ("a link to be sent or scanned") },
  { "qr", TL_OPTION_FLAG, NULL, N_ ("a link, drawn as a QR code too") },
  { "ttl", TL_OPTION_DURATION, "D", N_ ("how long the code lives: 30s to 24h (default 10m)"), MIN_TTL_MS, MAX_TTL_MS },
  { "role", TL_OPTION_CHOICE, "node|operator", N_ ("what the device may do (default node)") },
  { "label", TL_OPTION_TEXT, "LABEL", N_ ("name that the device gets") },
  { "auto-approve", TL_OPTION_FLAG, NULL, N_ ("no approval needed (links with role node)") },
  { "attempts", TL_OPTION_INTEGER, "N", N_ ("wrong tries until the code is spent: 1 to 10 (default 3)"), 1,
    MAX_ATTEMPTS },
  { "out", TL_OPTION_TEXT, "FILE", N_ ("write the code into a file (0600) instead of printing it") },
  { NULL },
};

const TlVerb tl_verb_pairing_mint = {
  .path = "pairing mint",
  .arguments = "",
  .summary = N_ ("make a code with which a device can pair"),
  .details = N_ ("The code is shown once; the gateway keeps only what is needed to check it. --qr draws the link with "
                 "half blocks:\n"
                 "black on white on a terminal, plain blocks (a block is a dark module) otherwise."),
  .options = options,
  .run = run,
};

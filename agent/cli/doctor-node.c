/* SPDX-License-Identifier: Apache-2.0 */
/* A pairing of this computer: its keys, its certificate, its process. */
#include <glib/gi18n.h>

#include "agent/cli/tl-doctor.h"
#include "agent/cli/tl-node-process.h"
#include "agent/cli/tl-node-service.h"
#include "base/tl-error.h"
#include "identity/tl-certificate.h"
#include "tl-config-build.h"

#define FIX_PAIR _ ("restore the folder, or pair anew: twinlatch node pair --replace")

void
tl_doctor_node_keys (TlDoctor *doctor)
{
  if (doctor->node.identity == NULL)
    tl_doctor_add (doctor, "node.keys", TL_DOCTOR_FAILED, FIX_PAIR, "%s", doctor->node.problem->message);
  else
    tl_doctor_add (doctor, "node.keys", TL_DOCTOR_OK, NULL,
                   _ ("identity key %s is there and readable by its owner only"), doctor->node.marker->fingerprint);
}

void
tl_doctor_node_certificate (TlDoctor *doctor)
{
  X509 *certificate;
  gint64 from_ms, to_ms;
  const char *problem;
  g_autofree char *when = NULL;

  if (doctor->node.identity == NULL)
    return;
  certificate = tl_device_identity_certificate (doctor->node.identity);
  from_ms = tl_certificate_not_before_ms (certificate);
  to_ms = tl_certificate_not_after_ms (certificate);
  when = tl_cli_time (doctor->cli, to_ms);
  problem = tl_doctor_certificate_problem (from_ms, to_ms, doctor->now_ms);
  if (problem != NULL)
    tl_doctor_add (
        doctor, "node.certificate", TL_DOCTOR_FAILED,
        _ ("let the node run, so that it renews it; when the gateway no longer does that, pair anew: twinlatch "
           "node pair --replace"),
        _ ("the device certificate %s (%s)"), problem, when);
  else if (to_ms - doctor->now_ms < (to_ms - from_ms) / 4) /* renewed after two thirds */
    tl_doctor_add (doctor, "node.certificate", TL_DOCTOR_WARNING, _ ("let the node run, so that it renews it"),
                   _ ("the device certificate ends %s"), when);
  else
    tl_doctor_add (doctor, "node.certificate", TL_DOCTOR_OK, NULL, _ ("the device certificate is good, ends %s"), when);
}

static void
judge_process (TlDoctor *doctor, const TlNodeStatus *process)
{
  const char *fix = NULL;
  TlDoctorVerdict verdict = TL_DOCTOR_OK;

  if (g_str_equal (process->state, "refused"))
    {
      verdict = TL_DOCTOR_FAILED;
      fix = _ ("ask an operator of the gateway whether this device was revoked or suspended");
    }
  else if (!g_str_equal (process->state, "connected"))
    {
      verdict = TL_DOCTOR_WARNING;
      fix = _ ("the rows below say whether the gateway can be reached; the node tries again by itself");
    }
  tl_doctor_add (doctor, "node.process", verdict, fix, _ ("pid %d, %s%s%s"), (int)process->pid, process->state,
                 process->detail[0] != '\0' ? ": " : "", process->detail);
  if (!g_str_equal (process->version, TL_VERSION))
    tl_doctor_add (doctor, "node.version", TL_DOCTOR_WARNING, _ ("twinlatch node restart"),
                   _ ("the node runs version %s, this is %s"), process->version, TL_VERSION);
}

void
tl_doctor_node_process (TlDoctor *doctor)
{
  g_autoptr (TlNodeStatus) process = tl_node_process_find (tl_node_state_directory (doctor->node.state));

  if (process != NULL)
    judge_process (doctor, process);
  else
    tl_doctor_add (doctor, "node.process", TL_DOCTOR_WARNING,
                   _ ("twinlatch node start, or twinlatch node install --start when it is no service yet"),
                   _ ("no node process runs for this pairing"));
}

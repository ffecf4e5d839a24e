/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's private keys and certificates, as files and as it serves them. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/tl-doctor.h"
#include "base/tl-file.h"
#include "base/tl-secret.h"
#include "identity/tl-certificate.h"
#include "identity/tl-secret-store.h"

#define SECRETS      "secrets"
#define SUFFIX       ".secret"
#define CA_KEY       "ca-key-g"
#define SERVER_LEAF  "server-leaf.secret"
#define BEGIN        "-----BEGIN CERTIFICATE-----"
#define DAY_MS       (G_GINT64_CONSTANT (86400) * 1000)
#define LEAF_LATE_MS (2 * DAY_MS) /* of 7 days it is replaced after 4.7 */
#define CA_SOON_MS   (90 * DAY_MS)
#define FIX_RESTORE  _ ("restore the folder from a backup: without its keys the gateway is another one")

/* In locked memory: these are private keys. NULL with errno. */
static TlSecret *
read_secret (const char *path)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  g_autoptr (TlSecret) value = NULL;
  ssize_t n;

  if (fd < 0)
    return NULL;
  value = tl_secret_new (TL_SECRET_STORE_MAX_VALUE + 1);
  n = read (fd, tl_secret_data_mut (value), TL_SECRET_STORE_MAX_VALUE);
  close (fd);
  return n >= 0 ? g_steal_pointer (&value) : NULL; /* zero-filled, so it ends as a string */
}

typedef struct
{
  guint plain, sealed, ca_keys;
  char *strange; /* name of a file that is no secret of ours */
} Secrets;

static void
count_secret (const char *folder, const char *name, Secrets *secrets)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (TlSecret) value = g_str_has_suffix (name, SUFFIX) ? read_secret (path) : NULL;

  if (value == NULL)
    return;
  secrets->ca_keys += g_str_has_prefix (name, CA_KEY);
  switch (tl_secret_file_kind (value))
    {
    case TL_SECRET_FILE_PLAIN:
      secrets->plain++;
      break;
    case TL_SECRET_FILE_ENCRYPTED:
      secrets->sealed++;
      break;
    case TL_SECRET_FILE_STRANGE:
      if (secrets->strange == NULL)
        secrets->strange = g_strdup (path);
      break;
    }
}

static void
judge_encryption (TlDoctor *doctor, const Secrets *secrets)
{
  if (secrets->plain == 0)
    tl_doctor_add (doctor, "gateway.keys", TL_DOCTOR_OK, NULL, _ ("%u secrets, encrypted at rest"), secrets->sealed);
  else if (secrets->sealed > 0)
    tl_doctor_add (doctor, "gateway.keys", TL_DOCTOR_FAILED, FIX_RESTORE,
                   _ ("%u secrets are plain and %u encrypted: the folder is a mixture of two"), secrets->plain,
                   secrets->sealed);
  else
    tl_doctor_add (doctor, "gateway.keys", doctor->gateway.user ? TL_DOCTOR_OK : TL_DOCTOR_WARNING,
                   doctor->gateway.user ? NULL
                                        : _ ("a credential would encrypt them, from the first start on: twinlatchd(8), "
                                             "FILES; until then keep backups of the folder as safe as keys"),
                   _ ("%u secrets, the key of the CA among them, are plain files that only their owner can read"),
                   secrets->plain);
}

void
tl_doctor_gateway_keys (TlDoctor *doctor)
{
  g_autofree char *folder = g_build_filename (doctor->gateway.state_dir, SECRETS, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (folder, 0, &error);
  Secrets secrets = { 0 };
  const char *name;

  if (dir == NULL)
    {
      gboolean denied = g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_ACCES);

      tl_doctor_add (doctor, "gateway.keys", denied ? TL_DOCTOR_SKIPPED : TL_DOCTOR_FAILED,
                     denied ? _ ("run it as root: sudo twinlatch doctor") : FIX_RESTORE, "%s", error->message);
      return;
    }
  while ((name = g_dir_read_name (dir)) != NULL)
    count_secret (folder, name, &secrets);
  if (secrets.strange != NULL)
    tl_doctor_add (doctor, "gateway.keys", TL_DOCTOR_FAILED, FIX_RESTORE,
                   _ ("%s is damaged: it does not start as a secret does"), secrets.strange);
  else if (secrets.ca_keys == 0)
    tl_doctor_add (doctor, "gateway.keys", TL_DOCTOR_FAILED, FIX_RESTORE, _ ("no key of the CA is in %s"), folder);
  else
    judge_encryption (doctor, &secrets);
  g_free (secrets.strange);
}

/* ---- certificates ---------------------------------------------------------------------------------------------- */

static void
judge (TlDoctor *doctor, const char *name, const char *what, gint64 from_ms, gint64 to_ms, gint64 soon_ms,
       const char *fix)
{
  const char *problem = tl_doctor_certificate_problem (from_ms, to_ms, doctor->now_ms);
  g_autofree char *when = tl_cli_time (doctor->cli, to_ms);

  if (problem != NULL)
    tl_doctor_add (doctor, name, TL_DOCTOR_FAILED, fix, _ ("%s %s (%s)"), what, problem, when);
  else if (to_ms - doctor->now_ms < soon_ms)
    tl_doctor_add (doctor, name, TL_DOCTOR_WARNING, fix, _ ("%s ends %s"), what, when);
  else
    tl_doctor_add (doctor, name, TL_DOCTOR_OK, NULL, _ ("%s is good, ends %s"), what, when);
}

void
tl_doctor_judge_ca (TlDoctor *doctor, guint generation, gint64 to_ms)
{
  g_autofree char *what = g_strdup_printf (_ ("the CA, generation %u,"), generation);

  judge (doctor, "gateway.ca", what, G_MININT64, to_ms, CA_SOON_MS,
         _ ("a new CA has to be made in time: twinlatchd(8)"));
}

static void
judge_leaf (TlDoctor *doctor, gint64 from_ms, gint64 to_ms)
{
  judge (doctor, "gateway.leaf", _ ("the server certificate"), from_ms, to_ms, LEAF_LATE_MS,
         doctor->gateway.status != NULL
             ? _ ("it should have been replaced by now: journalctl -u twinlatchd says why not; a restart tries again")
             : _ ("start twinlatchd, which replaces it"));
}

static void
judge_stored (TlDoctor *doctor, const char *pem)
{
  const char *text = strstr (pem, BEGIN);
  g_autoptr (X509) leaf = text != NULL ? tl_certificate_from_pem (text, -1, NULL) : NULL;

  if (leaf == NULL)
    tl_doctor_add (doctor, "gateway.leaf", TL_DOCTOR_FAILED, FIX_RESTORE, _ ("secret 'server-leaf' is damaged"));
  else
    judge_leaf (doctor, tl_certificate_not_before_ms (leaf), tl_certificate_not_after_ms (leaf));
}

void
tl_doctor_gateway_certificates (TlDoctor *doctor)
{
  const TlStatusAnswer *status = doctor->gateway.status;
  g_autofree char *path = g_build_filename (doctor->gateway.state_dir, SECRETS, SERVER_LEAF, NULL);
  g_autoptr (TlSecret) value = NULL;

  if (status != NULL)
    {
      tl_doctor_judge_ca (doctor, status->ca_generation, status->ca_not_after_unix_ms);
      judge_leaf (doctor, G_MININT64, status->server_leaf_not_after_unix_ms);
      return;
    }
  value = read_secret (path);
  if (value != NULL && tl_secret_file_kind (value) == TL_SECRET_FILE_PLAIN)
    judge_stored (doctor, (const char *)tl_secret_data (value));
  else
    tl_doctor_add (doctor, "gateway.leaf", TL_DOCTOR_SKIPPED, _ ("start twinlatchd"),
                   value != NULL ? _ ("the server certificate is encrypted while the gateway is down (%s)")
                                 : _ ("cannot read %s"),
                   path);
}

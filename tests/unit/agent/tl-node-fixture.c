/* SPDX-License-Identifier: Apache-2.0 */
#include "tl-node-fixture.h"

#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_MS 10000

char *
tl_fixture_directory (void)
{
  g_autoptr (GError) error = NULL;
  char *directory = g_dir_make_tmp ("tl-node-XXXXXX", &error);

  g_assert_no_error (error);
  return directory;
}

static int
remove_one (const char *path, const struct stat *info, int type, struct FTW *walk)
{
  (void)info, (void)type, (void)walk;
  return remove (path);
}

void
tl_fixture_remove (const char *directory)
{
  nftw (directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void
tl_fixture_write (const char *directory, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (directory, name, NULL);
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
}

char *
tl_fixture_read (const char *directory, const char *name)
{
  g_autofree char *path = g_build_filename (directory, name, NULL);
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, NULL);
  return text;
}

TlCertificateAuthority *
tl_fixture_ca (const char *gateway_id)
{
  g_autoptr (GError) error = NULL;
  TlCertificateAuthority *ca
      = tl_certificate_authority_new (gateway_id, 1, g_get_real_time () / 1000, tl_random_system (), &error);

  g_assert_no_error (error);
  return ca;
}

TlDeviceIdentity *
tl_fixture_identity (TlCertificateAuthority *ca, gint64 lifetime_ms)
{
  gint64 now_ms = g_get_real_time () / 1000;
  g_autoptr (GError) error = NULL;
  TlDeviceIdentity *identity = tl_device_identity_new (now_ms, tl_random_system (), &error);
  g_autoptr (GBytes) csr = tl_device_identity_csr (identity, &error);
  g_autoptr (EVP_PKEY) key = tl_csr_verify (g_bytes_get_data (csr, NULL), g_bytes_get_size (csr), &error);
  GBytes *der = tl_certificate_authority_der (ca);
  g_autoptr (TlTrustBundle) bundle = tl_trust_bundle_new (&der, 1, &error);
  g_autoptr (X509) leaf = NULL;

  g_assert_no_error (error);
  leaf = tl_certificate_authority_issue_device (ca, key, tl_device_identity_device_id (identity), now_ms, lifetime_ms,
                                                tl_random_system (), &error);
  g_assert_no_error (error);
  tl_device_identity_set_certificate (identity, leaf, bundle, now_ms, &error);
  g_assert_no_error (error);
  return identity;
}

TlNodeState *
tl_fixture_state (const char *directory, TlDeviceIdentity *identity, const char *address)
{
  const char *addresses[] = { address, NULL };
  g_autoptr (GError) error = NULL;
  TlNodeState *state = tl_node_state_create (directory, identity, "Test gateway", "test device", addresses,
                                             g_get_real_time () / 1000, FALSE, &error);

  g_assert_no_error (error);
  return state;
}

static gboolean
on_impatient (gpointer data)
{
  g_error ("waited too long for: %s", (const char *)data);
  return G_SOURCE_REMOVE;
}

void
tl_fixture_wait (gboolean *flag, const char *what)
{
  guint timer = g_timeout_add (PATIENCE_MS, on_impatient, (gpointer)what);

  while (!*flag)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (timer);
}

void
tl_fixture_wait_count (guint *counter, guint value, const char *what)
{
  guint timer = g_timeout_add (PATIENCE_MS, on_impatient, (gpointer)what);

  while (*counter < value)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (timer);
}

void
tl_fixture_settle (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

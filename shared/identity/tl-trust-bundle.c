/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/tl-trust-bundle.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <string.h>

#include "base/tl-clock.h"
#include "base/tl-error.h"
#include "identity/tl-certificate-private.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC (X509_STORE_CTX, X509_STORE_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free)

typedef struct
{
  X509 *certificate;
  guint generation;
} Generation;

struct _TlTrustBundle
{
  gatomicrefcount references;
  char *gateway_id;
  guint n;
  Generation generations[TL_TRUST_BUNDLE_MAX];
  X509_STORE *store; /* exactly the generations; OpenSSL locks it itself */
};

/* Checks a CA certificate against what the bundle holds already and adds it. */
static gboolean
bundle_add (TlTrustBundle *bundle, GBytes *der, GError **error)
{
  g_autoptr (X509) certificate = tl_certificate_from_der (g_bytes_get_data (der, NULL), g_bytes_get_size (der), error);
  if (certificate == NULL)
    return FALSE;

  g_autofree char *gateway_id = NULL;
  guint generation = 0;
  EVP_PKEY *key = X509_get0_pubkey (certificate);
  const char *problem = NULL;
  if (!tl_certificate_get_ca (certificate, &gateway_id, &generation) || key == NULL || !tl_key_is_p256 (key)
      || X509_self_signed (certificate, 1) != 1)
    problem = "is not the self-signed P-256 CA of a gateway";
  else if (X509_get_key_usage (certificate) != (X509v3_KU_KEY_CERT_SIGN | X509v3_KU_CRL_SIGN))
    problem = "may not sign certificates and revocations, or more than those";
  else if (bundle->gateway_id != NULL && strcmp (bundle->gateway_id, gateway_id) != 0)
    problem = "belongs to another gateway than the first";
  for (guint i = 0; problem == NULL && i < bundle->n; i++)
    if (bundle->generations[i].generation == generation)
      problem = "has the generation of another one";
  ERR_clear_error ();
  if (problem != NULL)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "certificate %u of the trust bundle %s", bundle->n + 1,
                   problem);
      return FALSE;
    }
  if (X509_STORE_add_cert (bundle->store, certificate) != 1)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot build a trust bundle");
      return FALSE;
    }
  if (bundle->gateway_id == NULL)
    bundle->gateway_id = g_steal_pointer (&gateway_id);
  guint at = bundle->n++;
  for (; at > 0 && bundle->generations[at - 1].generation < generation; at--)
    bundle->generations[at] = bundle->generations[at - 1];
  bundle->generations[at] = (Generation){ g_steal_pointer (&certificate), generation };
  return TRUE;
}

TlTrustBundle *
tl_trust_bundle_new (GBytes *const *ders, guint n, GError **error)
{
  if (n < 1 || n > TL_TRUST_BUNDLE_MAX)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT, "trust bundle has %u certificates, 1 to %d are allowed",
                   n, TL_TRUST_BUNDLE_MAX);
      return NULL;
    }
  g_autoptr (TlTrustBundle) bundle = g_new0 (TlTrustBundle, 1);
  g_atomic_ref_count_init (&bundle->references);
  bundle->store = X509_STORE_new ();
  if (bundle->store == NULL)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot build a trust bundle");
      return NULL;
    }
  for (guint i = 0; i < n; i++)
    if (!bundle_add (bundle, ders[i], error))
      return NULL;
  return g_steal_pointer (&bundle);
}

TlTrustBundle *
tl_trust_bundle_new_from_pem (const char *pem, gssize length, GError **error)
{
  g_autoptr (GPtrArray) ders = g_ptr_array_new_with_free_func ((GDestroyNotify)g_bytes_unref);
  gsize left = length < 0 ? strlen (pem) : (gsize)length;
  GBytes *der = NULL;
  TlPemResult result;

  /* One more than allowed is enough to be refused below. */
  while ((result = tl_pem_next_certificate (&pem, &left, &der)) == TL_PEM_FOUND && ders->len <= TL_TRUST_BUNDLE_MAX)
    g_ptr_array_add (ders, g_steal_pointer (&der));
  g_clear_pointer (&der, g_bytes_unref);
  if (result == TL_PEM_MALFORMED)
    {
      g_set_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT,
                   "certificate %u of the trust bundle is not well-formed PEM", ders->len + 1);
      return NULL;
    }
  return tl_trust_bundle_new ((GBytes *const *)ders->pdata, ders->len, error);
}

TlTrustBundle *
tl_trust_bundle_ref (TlTrustBundle *bundle)
{
  g_atomic_ref_count_inc (&bundle->references);
  return bundle;
}

void
tl_trust_bundle_unref (TlTrustBundle *bundle)
{
  if (bundle == NULL || !g_atomic_ref_count_dec (&bundle->references))
    return;
  X509_STORE_free (bundle->store);
  for (guint i = 0; i < bundle->n; i++)
    X509_free (bundle->generations[i].certificate);
  g_free (bundle->gateway_id);
  g_free (bundle);
}

const char *
tl_trust_bundle_gateway_id (TlTrustBundle *bundle)
{
  return bundle->gateway_id;
}

guint
tl_trust_bundle_size (TlTrustBundle *bundle)
{
  return bundle->n;
}

X509 *
tl_trust_bundle_get (TlTrustBundle *bundle, guint index)
{
  g_return_val_if_fail (index < bundle->n, NULL);
  return bundle->generations[index].certificate;
}

guint
tl_trust_bundle_generation (TlTrustBundle *bundle, guint index)
{
  g_return_val_if_fail (index < bundle->n, 0);
  return bundle->generations[index].generation;
}

char *
tl_trust_bundle_to_pem (TlTrustBundle *bundle)
{
  GString *pem = g_string_new (NULL);

  for (guint i = 0; i < bundle->n; i++)
    {
      g_autofree char *one = tl_certificate_to_pem (bundle->generations[i].certificate);
      g_string_append (pem, one);
    }
  return g_string_free (pem, FALSE);
}

static void
set_validity_error (X509_STORE_CTX *context, int reason, GError **error)
{
  X509 *certificate = X509_STORE_CTX_get_current_cert (context);
  const char *whose = X509_STORE_CTX_get_error_depth (context) > 0 ? "gateway's CA certificate" : "certificate";
  gboolean early = reason == X509_V_ERR_CERT_NOT_YET_VALID;
  gint64 at_ms = early ? tl_certificate_not_before_ms (certificate) : tl_certificate_not_after_ms (certificate);
  g_autofree char *at = tl_time_to_string (at_ms);

  if (early)
    g_set_error (error, TL_ERROR, TL_ERROR_EXPIRED, "%s is not yet valid, but from %s: check the clocks", whose, at);
  else
    g_set_error (error, TL_ERROR, TL_ERROR_EXPIRED, "%s expired at %s: renew it", whose, at);
}

static void
set_chain_error (TlTrustBundle *bundle, X509_STORE_CTX *context, GError **error)
{
  int reason = X509_STORE_CTX_get_error (context);

  ERR_clear_error ();
  switch (reason)
    {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      set_validity_error (context, reason, error);
      break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
    case X509_V_ERR_CERT_UNTRUSTED:
      g_set_error (error, TL_ERROR, TL_ERROR_WRONG_CA, "certificate is not signed by a trusted CA of gateway %s (%s)",
                   bundle->gateway_id, X509_verify_cert_error_string (reason));
      break;
    case X509_V_ERR_OUT_OF_MEM:
    case X509_V_ERR_UNSPECIFIED:
      g_set_error (error, TL_ERROR, TL_ERROR_INTERNAL, "cannot verify a certificate: %s",
                   X509_verify_cert_error_string (reason));
      break;
    default:
      g_set_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED, "certificate is not as gateway %s makes them: %s",
                   bundle->gateway_id, X509_verify_cert_error_string (reason));
      break;
    }
}

/* OpenSSL counts whole seconds and calls a certificate expired *at* notAfter, as tl_admitted_set_lookup() does;
 * rounding down keeps both of one opinion to the millisecond. */
static time_t
floor_to_seconds (gint64 ms)
{
  return (time_t)(ms >= 0 ? ms / 1000 : -((-ms + 999) / 1000));
}

/* The X509 at the chain's end lives as long as the bundle; NULL with error set. */
static X509 *
verify_chain (TlTrustBundle *bundle, X509 *leaf, gint64 now_ms, GError **error)
{
  g_autoptr (X509_STORE_CTX) context = X509_STORE_CTX_new ();

  if (context == NULL || X509_STORE_CTX_init (context, bundle->store, leaf, NULL) != 1)
    {
      tl_error_set_openssl (error, TL_ERROR_INTERNAL, "cannot verify a certificate");
      return NULL;
    }
  X509_VERIFY_PARAM *rules = X509_STORE_CTX_get0_param (context);
  X509_VERIFY_PARAM_set_flags (rules, X509_V_FLAG_X509_STRICT);
  X509_VERIFY_PARAM_set_depth (rules, 0); /* no intermediates */
  X509_VERIFY_PARAM_set_time (rules, floor_to_seconds (now_ms));
  if (X509_verify_cert (context) != 1)
    {
      set_chain_error (bundle, context, error);
      return NULL;
    }
  STACK_OF (X509) *chain = X509_STORE_CTX_get0_chain (context);
  X509 *root = sk_X509_value (chain, sk_X509_num (chain) - 1);
  for (guint i = 0; i < bundle->n; i++)
    if (X509_cmp (bundle->generations[i].certificate, root) == 0)
      return bundle->generations[i].certificate;
  g_set_error_literal (error, TL_ERROR, TL_ERROR_WRONG_CA, "certificate's chain does not end in the trust bundle");
  return NULL;
}

/* Exactly this purpose: a leaf that may do more than its kind is no leaf of ours. */
static gboolean
has_only_purpose (X509 *leaf, int nid)
{
  g_autoptr (EXTENDED_KEY_USAGE) usage = X509_get_ext_d2i (leaf, NID_ext_key_usage, NULL, NULL);

  ERR_clear_error ();
  return usage != NULL && sk_ASN1_OBJECT_num (usage) == 1 && OBJ_obj2nid (sk_ASN1_OBJECT_value (usage, 0)) == nid;
}

static gboolean
deny (GError **error, const char *what)
{
  g_set_error (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED, "certificate %s", what);
  return FALSE;
}

static gboolean
check_profile (TlTrustBundle *bundle, X509 *leaf, TlLeafKind kind, GError **error)
{
  gboolean device = kind == TL_LEAF_DEVICE;

  if (X509_check_ca (leaf) != 0)
    return deny (error, "is a CA's, not a leaf");
  if (!tl_public_key_is_plain_p256 (X509_get_X509_PUBKEY (leaf)))
    return deny (error, "does not carry a P-256 key");
  if (X509_get_key_usage (leaf) != X509v3_KU_DIGITAL_SIGNATURE)
    return deny (error, "has another key usage than digitalSignature");
  if (!has_only_purpose (leaf, device ? NID_client_auth : NID_server_auth))
    return deny (error, device ? "is not a device's: its purpose is not client authentication alone"
                               : "is not a gateway's: its purpose is not server authentication alone");
  if (!device)
    return tl_certificate_has_gateway_name (leaf, bundle->gateway_id) || deny (error, "does not name this gateway");

  g_autofree char *gateway_id = NULL;
  g_autoptr (GError) problem = NULL;
  if (!tl_certificate_get_device (leaf, &gateway_id, NULL, &problem))
    {
      g_set_error_literal (error, TL_ERROR, TL_ERROR_PERMISSION_DENIED, problem->message);
      return FALSE;
    }
  return strcmp (gateway_id, bundle->gateway_id) == 0 || deny (error, "names a device of another gateway");
}

gboolean
tl_trust_bundle_verify (TlTrustBundle *bundle, X509 *leaf, TlLeafKind kind, gint64 now_ms, guint *generation,
                        GError **error)
{
  X509 *root = verify_chain (bundle, leaf, now_ms, error);

  if (root == NULL || !check_profile (bundle, leaf, kind, error))
    return FALSE;
  for (guint i = 0; generation != NULL && i < bundle->n; i++)
    if (bundle->generations[i].certificate == root)
      *generation = bundle->generations[i].generation;
  return TRUE;
}

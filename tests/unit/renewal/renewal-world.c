/* SPDX-License-Identifier: Apache-2.0 */
#include "renewal-world.h"

#include <string.h>
#include <unistd.h>

#include "base/tl-file.h"

#define GRACE_MS    (30 * DAY_MS)
#define LIFETIME_MS DAY_MS
#define ADDRESS     "127.0.0.1:7444"

/* ---- the channel ---- */

static gboolean
is_lost (World *world)
{
  gboolean lost = tl_random_below (world->random, 100) < world->loss_percent;

  world->n_lost += lost;
  return lost;
}

static GError *
lost_error (void)
{
  return g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE, "the connection was lost");
}

static void
transport_challenge (TlRenewalTransport *base, TlRenewalWay way, const char *const *addresses, const char *device_id,
                     TlChallengeFunc func, gpointer user_data)
{
  WorldTransport *transport = (WorldTransport *)base;
  World *world = transport->world;
  guint8 challenge[TL_RENEWAL_CHALLENGE_LENGTH];
  g_autoptr (GError) error = NULL;

  transport->way = way;
  world->attempt++;
  if (is_lost (world))
    error = lost_error ();
  else if (way == TL_RENEWAL_BY_CERTIFICATE && !world_is_admitted (world))
    error = g_error_new_literal (TL_ERROR, TL_ERROR_UNAUTHENTICATED, "the certificate is not admitted");
  else
    tl_renewal_desk_challenge (world->desk, device_id, way == TL_RENEWAL_BY_CERTIFICATE, challenge, &error);
  func (error == NULL ? challenge : NULL, error, user_data);
}

typedef struct
{
  World *world;
  guint attempt;
  TlRenewedFunc func;
  gpointer user_data;
} Waiting;

static void
on_desk (const TlRenewalRecord *record, const GError *error, gpointer user_data)
{
  g_autofree Waiting *waiting = user_data;
  World *world = waiting->world;
  TlRenewalAnswer answer = { .server_time_ms = tl_clock_wall_ms (world->clock) };
  g_autoptr (GError) lost = is_lost (world) ? lost_error () : NULL;
  gsize length = 0;

  if (world->attempt != waiting->attempt)
    return; /* the device is not there any more */
  if (error != NULL || lost != NULL)
    {
      waiting->func (NULL, lost != NULL ? lost : error, waiting->user_data);
      return;
    }
  answer.certificate = g_bytes_get_data (record->der, &length);
  answer.certificate_length = length;
  answer.ca_generation = record->certificate->ca_generation;
  answer.grace_end_ms = tl_renewal_desk_grace_end (world->desk, record->certificate->not_after);
  waiting->func (&answer, NULL, waiting->user_data);
}

static void
transport_renew (TlRenewalTransport *base, const TlRenewalMessage *message, TlRenewedFunc func, gpointer user_data)
{
  WorldTransport *transport = (WorldTransport *)base;
  World *world = transport->world;
  gsize length = 0;
  TlRenewalAsk ask = { .device_id = message->device_id,
                       .csr = g_bytes_get_data (message->csr, &length),
                       .challenge = message->challenge,
                       .challenge_length = TL_RENEWAL_CHALLENGE_LENGTH,
                       .signature = message->signature,
                       .signature_length = TL_ED25519_SIGNATURE_LENGTH,
                       .with_certificate = transport->way == TL_RENEWAL_BY_CERTIFICATE,
                       .actor = "source:192.0.2.1" };
  Waiting *waiting;

  if (is_lost (world))
    {
      g_autoptr (GError) error = lost_error ();
      func (NULL, error, user_data);
      return;
    }
  ask.csr_length = length;
  waiting = g_new0 (Waiting, 1);
  *waiting = (Waiting){ world, world->attempt, func, user_data };
  tl_renewal_desk_renew (world->desk, &ask, on_desk, waiting);
}

static void
transport_end (TlRenewalTransport *base)
{
  ((WorldTransport *)base)->world->attempt++;
}

static void
transport_free (TlRenewalTransport *base)
{
  transport_end (base);
  g_free (base);
}

static const TlRenewalTransportClass transport_class
    = { .challenge = transport_challenge, .renew = transport_renew, .end = transport_end, .free = transport_free };

/* ---- the device ---- */

static void
on_renewed (TlRenewal *renewal, gpointer user_data)
{
  World *world = user_data;

  world->n_renewed++;
  world->n_by_identity += world->transport->way == TL_RENEWAL_BY_IDENTITY;
  g_clear_error (&world->failure);
}

static void
on_failed (TlRenewal *renewal, TlRenewalWay way, const GError *error, gpointer user_data)
{
  World *world = user_data;

  g_clear_error (&world->failure);
  world->failure = g_error_copy (error);
}

static const TlRenewalHandlers handlers = { .renewed = on_renewed, .failed = on_failed };

static void
start_device (World *world)
{
  g_autoptr (GError) error = NULL;
  TlRenewalParts parts
      = { .clock = world->device_clock, .random = world->random, .handlers = &handlers, .user_data = world };

  world->state = tl_node_state_open (world->node_directory, NULL, &error);
  g_assert_no_error (error);
  world->identity = tl_node_state_load_identity (world->state, &error);
  g_assert_no_error (error);
  world->transport = g_new0 (WorldTransport, 1);
  world->transport->base.klass = &transport_class;
  world->transport->world = world;
  parts.state = world->state;
  parts.identity = world->identity;
  parts.transport = &world->transport->base;
  world->renewal = tl_renewal_new (&parts);
  tl_renewal_start (world->renewal);
}

static void
stop_device (World *world)
{
  g_clear_pointer (&world->renewal, tl_renewal_free);
  g_clear_pointer (&world->identity, tl_device_identity_free);
  g_clear_pointer (&world->state, tl_node_state_free);
}

void
world_restart_device (World *world)
{
  stop_device (world);
  start_device (world);
}

void
world_settle (World *world)
{
  /* Looking the device up, issuing: the second is submitted when the first is done. */
  for (guint i = 0; i < 2; i++)
    tl_store_flush (world->store.store);
}

/* ---- the gateway ---- */

static void
open_gateway (World *world)
{
  static const char *const no_names[] = { NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (TlAdmissions) admissions = NULL;
  TlRenewalDeskParts parts = { .store = world->store.store,
                               .clock = world->clock,
                               .random = world->random,
                               .lifetime_ms = LIFETIME_MS,
                               .grace_ms = world->grace_ms };

  world->gateway
      = tl_gateway_identity_open (world->store.store, world->secrets, no_names, world->clock, world->random, &error);
  g_assert_no_error (error);
  world->admitted = tl_admitted_set_new ();
  admissions = tl_store_list_admissions (world->store.store, tl_clock_wall_ms (world->clock), &error);
  g_assert_no_error (error);
  for (guint i = 0; i < admissions->certificates->len; i++)
    {
      const TlCertificateRecord *record = admissions->certificates->pdata[i];
      TlAdmission admission = { .not_after_ms = record->not_after, .ca_generation = record->ca_generation };

      g_strlcpy (admission.device_id, record->device_id, sizeof admission.device_id);
      tl_admitted_set_add (world->admitted, record->fingerprint, &admission);
    }
  parts.identity = world->gateway;
  parts.admitted = world->admitted;
  world->desk = tl_renewal_desk_new (&parts);
}

static void
close_gateway (World *world)
{
  world_settle (world);
  g_clear_pointer (&world->desk, tl_renewal_desk_free);
  g_clear_pointer (&world->admitted, tl_admitted_set_unref);
  g_clear_pointer (&world->gateway, tl_gateway_identity_free);
}

void
world_restart_gateway (World *world)
{
  close_gateway (world);
  open_gateway (world);
}

TlDeviceRecord *
world_device (World *world)
{
  return find_device (&world->store, tl_device_identity_device_id (world->identity));
}

gboolean
world_is_admitted (World *world)
{
  g_autofree char *fingerprint = tl_certificate_fingerprint (tl_device_identity_certificate (world->identity));
  TlAdmission admission;

  return tl_admitted_set_lookup (world->admitted, fingerprint, tl_clock_wall_ms (world->clock), &admission)
         && !admission.superseded;
}

static gpointer
copy_ended (gconstpointer result)
{
  return g_ptr_array_ref (((const TlCertificateUse *)result)->ended);
}

/* What a connection does at the gateway (tl-gateway.c) and at the node (tl-node-runtime.c). */
static void
use_certificate (World *world)
{
  g_autofree char *fingerprint = tl_certificate_fingerprint (tl_device_identity_certificate (world->identity));
  g_autoptr (GPtrArray) ended = NULL;
  Answer answer = ANSWER (copy_ended);

  tl_store_certificate_used (world->store.store, fingerprint, tl_clock_wall_ms (world->clock), answer_callback,
                             &answer);
  assert_ok (&world->store, &answer);
  ended = answer.result;
  for (guint i = 0; i < ended->len; i++)
    tl_admitted_set_supersede (world->admitted, ended->pdata[i], tl_clock_wall_ms (world->clock) + 60000);
  tl_renewal_link_up (world->renewal, tl_clock_wall_ms (world->clock));
  world_settle (world);
}

gboolean
world_connect (World *world, guint attempts)
{
  for (guint i = 0; i < attempts; i++)
    {
      gboolean renews = tl_renewal_precedes_link (world->renewal);

      world_settle (world);
      if (renews)
        continue;
      if (world_is_admitted (world))
        {
          use_certificate (world);
          if (tl_renewal_step (world->renewal) != TL_RENEWAL_LEAF_STORED)
            return TRUE;
          /* Renewed as soon as there was a connection: the node makes a new one. */
        }
      else
        tl_renewal_refused (world->renewal);
    }
  return FALSE;
}

/* ---- both ---- */

void
world_advance (World *world, gint64 ms)
{
  tl_clock_advance (world->clock, ms);
  tl_clock_advance (world->device_clock, ms);
}

static gint64
leaf_end (TlDeviceIdentity *identity, World *world, TlCertificateRecord **record, GBytes **der)
{
  TlCertificateAuthority *ca = tl_gateway_identity_ca (world->gateway);
  g_autoptr (GBytes) csr = tl_device_identity_csr (identity, NULL);
  g_autoptr (EVP_PKEY) key = tl_csr_verify (g_bytes_get_data (csr, NULL), g_bytes_get_size (csr), NULL);
  g_autofree char *key_fingerprint = tl_key_fingerprint (key);
  const char *device_id = tl_device_identity_device_id (identity);
  g_autoptr (X509) leaf
      = tl_certificate_authority_issue_device (ca, key, device_id, STORE_NOW, LIFETIME_MS, world->random, NULL);

  g_assert_true (tl_device_identity_set_certificate (identity, leaf, tl_gateway_identity_bundle (world->gateway),
                                                     STORE_NOW, NULL));
  *record = tl_certificate_record_new (leaf, device_id, key_fingerprint, 1);
  *der = tl_certificate_to_der (leaf);
  return (*record)->not_after;
}

static void
pair (World *world)
{
  static const char *const addresses[] = { ADDRESS, NULL };
  g_autoptr (TlDeviceIdentity) identity = tl_device_identity_new (STORE_NOW, world->random, NULL);
  const char *device_id = tl_device_identity_device_id (identity);
  g_autoptr (TlCertificateRecord) certificate = NULL;
  g_autoptr (GBytes) der = NULL;
  TlAdmission admission = { .not_after_ms = leaf_end (identity, world, &certificate, &der), .ca_generation = 1 };
  g_autoptr (TlCodeRecord) code = mint (&world->store, TL_PAIRING_LINK, TL_ROLE_NODE);
  g_autoptr (TlPairingRecord) request = make_request (&world->store, code, device_id, 1, "key");
  g_autofree char *attempt = fixture_id (&world->store);
  g_autoptr (GError) error = NULL;
  Answer taken = ANSWER (NULL), added = ANSWER (NULL), completed = ANSWER (NULL);

  memcpy (request->identity_public, tl_device_identity_public (identity), sizeof request->identity_public);
  g_free (request->tls_key_fingerprint);
  request->tls_key_fingerprint = g_strdup (certificate->tls_key_fingerprint);
  tl_store_take_attempt (world->store.store, code->code_id, attempt, "source:192.0.2.1", STORE_NOW, answer_callback,
                         &taken);
  assert_ok (&world->store, &taken);
  tl_store_add_pairing (world->store.store, request, attempt, STORE_NOW, answer_callback, &added);
  assert_ok (&world->store, &added);
  approve (&world->store, request);
  tl_store_complete_pairing (world->store.store, request->request_id, certificate, der, STORE_NOW, answer_callback,
                             &completed);
  assert_ok (&world->store, &completed);
  g_strlcpy (admission.device_id, device_id, sizeof admission.device_id);
  tl_admitted_set_add (world->admitted, certificate->fingerprint, &admission);
  tl_node_state_free (
      tl_node_state_create (world->node_directory, identity, "gateway", "device", addresses, STORE_NOW, FALSE, &error));
  g_assert_no_error (error);
}

/* Memory instead of a disk, where there is one: fsync costs nothing there, and nobody pulls a plug. */
static char *
make_directory (void)
{
  gboolean memory = access ("/dev/shm", W_OK) == 0;
  char *path = g_strdup_printf ("%s/tl-renewal-XXXXXX", memory ? "/dev/shm" : g_get_tmp_dir ());

  g_assert_nonnull (g_mkdtemp (path));
  return path;
}

World *
world_new (guint64 seed, gint64 device_clock_error_ms)
{
  World *world = g_new0 (World, 1);
  g_autoptr (GError) error = NULL;
  g_autoptr (TlSecret) key = NULL;

  world->random = tl_random_new_test (seed);
  world->clock = tl_clock_new_virtual (STORE_NOW);
  world->device_clock = tl_clock_new_virtual (STORE_NOW + device_clock_error_ms);
  world->secrets = tl_secret_store_new_memory ();
  world->grace_ms = GRACE_MS;
  world->store.directory = make_directory ();
  world->store.store = tl_store_open (world->store.directory, NULL, &error);
  g_assert_no_error (error);
  world->node_directory = make_directory ();
  open_gateway (world);
  key = tl_secret_new (32);
  world->store.admission
      = tl_store_open_admission (world->store.store, tl_gateway_identity_id (world->gateway), key, STORE_NOW, &error);
  g_assert_no_error (error);
  pair (world);
  start_device (world);
  return world;
}

void
world_free (World *world)
{
  g_autofree char *command = g_strdup_printf ("rm -rf '%s' '%s'", world->store.directory, world->node_directory);

  stop_device (world);
  close_gateway (world);
  tl_store_admission_free (world->store.admission);
  tl_store_close (world->store.store);
  tl_secret_store_unref (world->secrets);
  tl_clock_free (world->clock);
  tl_clock_free (world->device_clock);
  tl_random_free (world->random);
  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, NULL, NULL));
  g_free (world->store.directory);
  g_free (world->node_directory);
  g_clear_error (&world->failure);
  g_free (world);
}

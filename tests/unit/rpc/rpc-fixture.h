/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/tl-clock.h"
#include "base/tl-error.h"
#include "identity/tl-certificate-authority.h"
#include "rpc/tl-rpc.h"
#include "twinlatch/v1/health.pb-c.h"

G_BEGIN_DECLS

/*
 * A gateway's server on loopback with test methods, and the people who call it. Requests and answers are
 * HealthCheckRequest messages: one string.
 */
#define TEST_WAIT_MS 15000

typedef Grpc__Health__V1__HealthCheckRequest Text;
#define TEXT_INIT       GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT
#define TEXT_DESCRIPTOR (&grpc__health__v1__health_check_request__descriptor)

typedef struct
{
  TlRandom *random;
  char *gateway_id;
  TlClock *clock; /* virtual, starts now */
  TlCertificateAuthority *ca;
  TlTrustBundle *bundle;
} Gateway;

Gateway *gateway_new (void);
void gateway_free (Gateway *gateway);
/* A fresh server leaf. *leaf_der may be NULL. */
TlRpcIdentity *gateway_server_identity (Gateway *gateway, GBytes **leaf_der);
/* chain and key as text, for replacing. */
void gateway_server_pem (Gateway *gateway, char **chain, TlSecret **key, GBytes **leaf_der);

typedef struct
{
  char *device_id;
  char *fingerprint;
  char *certificate_pem;
  TlSecret *key_pem;
  TlRpcIdentity *identity;
  gint64 not_after_ms;
} Device;

/* Not recorded anywhere yet. issuer NULL: the gateway's CA. */
Device *device_new (Gateway *gateway, TlCertificateAuthority *issuer);
void device_free (Device *device);
void device_admit (Device *device, TlAdmittedSet *set, TlRole role, gint64 not_after_ms);

typedef struct
{
  Gateway *gateway;
  TlAdmittedSet *admitted;
  TlRpcLoop *loop;
  TlRpcServer *server;
  TlRpcIdentity *identity;
  guint16 port;
  char *address;

  /* what the handlers saw */
  guint messages;
  guint half_closes;
  guint cancels;
  guint finished;  /* set data freed */
  GPtrArray *held; /* TlRpcCall of /test/Hold and /test/Watch */
  TlRpcPeerKind last_kind;
  char *last_actor;
  char *last_source;
} Fixture;

/* Methods: /test/Echo (anyone), /test/Device, /test/Operator, /test/Local, /test/Known (echo, so guarded), /test/Hold
 * (anyone, answers when told), /test/Count (anyone, server stream: N messages), /test/Watch (device, stream that
 * stays), /test/Talk (device, bidi echo), /test/Small (anyone, 64 bytes). */
Fixture *fixture_new (const TlRpcServerOptions *options);
/* As above, but not started and not listening. */
Fixture *fixture_new_idle (const TlRpcServerOptions *options);
void fixture_listen (Fixture *fixture);
void fixture_free (Fixture *fixture);
void fixture_stop_server (Fixture *fixture);

TlRpcClient *fixture_client (Fixture *fixture, Device *device);
TlRpcClient *fixture_stranger (Fixture *fixture);
/* Iterates the default context until *condition is not 0; aborts the test after TEST_WAIT_MS. */
#define wait_until(condition)                                                                                          \
  G_STMT_START                                                                                                         \
  {                                                                                                                    \
    gint64 wait_end = g_get_monotonic_time () + TEST_WAIT_MS * 1000;                                                   \
    g_autoptr (GSource) wait_tick = test_tick ();                                                                      \
    while (!(condition))                                                                                               \
      {                                                                                                                \
        g_assert_cmpint (g_get_monotonic_time (), <, wait_end);                                                        \
        g_main_context_iteration (NULL, TRUE);                                                                         \
      }                                                                                                                \
    g_source_destroy (wait_tick);                                                                                      \
  }                                                                                                                    \
  G_STMT_END
/* Wakes the default context every 20 ms, so that a condition another thread makes true is looked at. */
GSource *test_tick (void);

/* One call; the answer's text, or NULL and error. g_free() */
char *call_text (TlRpcClient *client, const char *path, const char *text, GError **error);
void assert_call (TlRpcClient *client, const char *path);
void assert_call_fails (TlRpcClient *client, const char *path, TlErrorCode code);

/* A stream of the client and what came of it. */
typedef struct
{
  TlRpcStream *stream;
  guint messages;
  char *last;
  guint closed;
  GError *error;
} Listener;

Listener *listener_new (TlRpcClient *client, const char *path, const char *text, guint deadline_ms);
void listener_send (Listener *listener, const char *text);
void listener_free (Listener *listener);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Gateway, gateway_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Device, device_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Fixture, fixture_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Listener, listener_free)

G_END_DECLS

/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc-fixture.h"

#include <string.h>

#include "rpc/tl-rpc-denials.h"

/* What the server refuses reaches the main context, with who it was, and not more than a bounded number at a time. */

typedef struct
{
  GPtrArray *told; /* "connection|call stranger|known actor subject reason" */
  guint more;
} Record;

static void
on_denied (const TlRpcDenial *denial, gpointer user_data)
{
  Record *record = user_data;

  record->more += denial->more;
  g_ptr_array_add (record->told, g_strdup_printf ("%s %s %s %s %s", denial->connection ? "connection" : "call",
                                                  denial->stranger ? "stranger" : "known", denial->actor,
                                                  denial->subject, denial->reason));
}

static void
record_clear (Record *record)
{
  g_ptr_array_unref (record->told);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Record, record_clear)

#define RECORD ((Record){ .told = g_ptr_array_new_with_free_func (g_free) })

static void
test_calls (void)
{
  g_auto (Record) record = RECORD;
  const TlRpcServerOptions options = { .denied = on_denied, .denied_data = &record };
  g_autoptr (Fixture) fixture = fixture_new (&options);
  g_autoptr (TlRpcClient) stranger = fixture_stranger (fixture);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  g_autofree char *expected = g_strdup_printf ("call known device:%s /test/Local not_operator", device->device_id);

  assert_call_fails (stranger, "/test/Device", TL_ERROR_UNAUTHENTICATED);
  wait_until (record.told->len == 1);
  g_assert_cmpstr (record.told->pdata[0], ==, "call stranger source:127.0.0.1 /test/Device unauthenticated");
  device_admit (device, fixture->admitted, TL_ROLE_NODE, 0);
  assert_call_fails (client, "/test/Local", TL_ERROR_NOT_OPERATOR);
  wait_until (record.told->len == 2);
  g_assert_cmpstr (record.told->pdata[1], ==, expected);
  assert_call (client, "/test/Device");
  assert_call (stranger, "/test/Echo");
  g_assert_cmpuint (record.told->len, ==, 2);
}

static void
test_handshake (void)
{
  g_auto (Record) record = RECORD;
  const TlRpcServerOptions options = { .denied = on_denied, .denied_data = &record };
  g_autoptr (Fixture) fixture = fixture_new (&options);
  g_autoptr (Device) device = device_new (fixture->gateway, NULL);
  g_autoptr (TlRpcClient) client = fixture_client (fixture, device);
  g_autofree char *expected
      = g_strdup_printf ("connection stranger device:%s %s not_admitted", device->device_id, device->fingerprint);

  assert_call_fails (client, "/test/Echo", TL_ERROR_UNAVAILABLE);
  wait_until (record.told->len >= 1);
  g_assert_cmpstr (record.told->pdata[0], ==, expected);
}

static void
test_too_many_connections (void)
{
  g_auto (Record) record = RECORD;
  const TlRpcServerOptions options = { .denied = on_denied, .denied_data = &record, .max_strangers_per_source = 1 };
  g_autoptr (Fixture) fixture = fixture_new (&options);
  g_autoptr (TlRpcClient) one = fixture_stranger (fixture);
  g_autoptr (TlRpcClient) two = fixture_stranger (fixture);
  g_autoptr (GError) error = NULL;
  g_autofree char *answer = NULL;

  assert_call (one, "/test/Echo");
  answer = call_text (two, "/test/Echo", "x", &error); /* shut down before or after its answer */
  wait_until (record.told->len >= 1);
  g_assert_cmpstr (record.told->pdata[0], ==, "connection stranger source:127.0.0.1  resource_exhausted");
}

/* A rush: what does not fit is counted, and told with one that does. */
static void
test_bounded (void)
{
  g_auto (Record) record = RECORD;
  TlRpcLoop *loop = tl_rpc_loop_new (NULL);
  TlRpcDenials *denials = tl_rpc_denials_new (loop, on_denied, &record);
  const TlRpcDenial denial = { .actor = "source:x", .subject = "", .reason = "r" };

  for (guint i = 0; i < 1000; i++)
    tl_rpc_denials_note (denials, &denial);
  wait_until (record.told->len == TL_RPC_DENIALS_PENDING);
  g_assert_cmpuint (record.more, ==, 1000 - TL_RPC_DENIALS_PENDING);
  tl_rpc_denials_note (denials, &denial);
  wait_until (record.told->len == TL_RPC_DENIALS_PENDING + 1);

  /* Closed with some on their way: nobody is called. */
  tl_rpc_denials_note (denials, &denial);
  tl_rpc_denials_close (denials);
  tl_rpc_denials_note (denials, &denial);
  tl_rpc_denials_unref (denials);
  tl_rpc_loop_unref (loop);
  g_assert_cmpuint (record.told->len, ==, TL_RPC_DENIALS_PENDING + 1);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/rpc/denials/calls", test_calls);
  g_test_add_func ("/rpc/denials/handshake", test_handshake);
  g_test_add_func ("/rpc/denials/too-many-connections", test_too_many_connections);
  g_test_add_func ("/rpc/denials/bounded", test_bounded);
  return g_test_run ();
}

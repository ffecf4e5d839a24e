/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/node/tl-renewal.h"
#include "daemon/tl-renewal-desk.h"
#include "store-fixture.h"

G_BEGIN_DECLS

/*
 * A gateway's issuance and a device's renewal as they are, in virtual time, with nothing but a lossy channel in
 * between: the real store, CA, desk and admitted set on one side, the real slots on disk and decisions on the other.
 */
typedef struct
{
  TlRenewalTransport base;
  struct _World *world;
  TlRenewalWay way;
} WorldTransport;

typedef struct _World
{
  Fixture store;
  TlClock *clock;        /* the gateway's */
  TlClock *device_clock; /* runs with it, may be wrong */
  TlRandom *random;
  TlSecretStore *secrets;
  TlGatewayIdentity *gateway;
  TlAdmittedSet *admitted;
  TlRenewalDesk *desk;
  gint64 grace_ms;

  char *node_directory;
  TlNodeState *state;
  TlDeviceIdentity *identity;
  TlRenewal *renewal;
  WorldTransport *transport;

  guint attempt;      /* what comes for an earlier one, or for an earlier process, is dropped */
  guint loss_percent; /* of requests, and of answers */
  guint n_renewed, n_by_identity, n_lost;
  GError *failure; /* of the last attempt; NULL after a success */
} World;

/* The device's clock is wrong by so much. */
World *world_new (guint64 seed, gint64 device_clock_error_ms);
void world_free (World *world);
void world_advance (World *world, gint64 ms);
/* The device's process ends at once, and starts again from what is on disk. */
void world_restart_device (World *world);
void world_restart_gateway (World *world);
/* Lets everything under way come to its end. */
void world_settle (World *world);
/* The gateway admits the device's certificate, as in a handshake now. */
gboolean world_is_admitted (World *world);
/* Connects as the node's runtime does: renews first when it must, is refused, renews, ...; TRUE: connected. */
gboolean world_connect (World *world, guint attempts);
TlDeviceRecord *world_device (World *world);

G_END_DECLS

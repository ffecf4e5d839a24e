/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/stat.h>

#include "agent/cli/tl-admin.h"
#include "agent/cli/tl-cli.h"
#include "agent/node/tl-node-state.h"

G_BEGIN_DECLS

/*
 * TlDoctor: what `twinlatch doctor` looks at and what it found. A check is a function that adds one or more rows; it
 * reads and asks, it changes nothing, and what it cannot look at is a row "skipped" with the reason. Checks of the
 * gateway run first, as whoever called; for the node of the computer root then becomes its user. Thread: main,
 * blocking.
 */
typedef enum
{
  TL_DOCTOR_OK,
  TL_DOCTOR_WARNING, /* works, but somebody should know */
  TL_DOCTOR_FAILED,  /* does not work, or is not safe */
  TL_DOCTOR_SKIPPED, /* could not be looked at */
} TlDoctorVerdict;

const char *tl_doctor_verdict_to_string (TlDoctorVerdict verdict);

typedef struct
{
  char *name; /* stable: "gateway.clock" */
  TlDoctorVerdict verdict;
  char *found;
  char *fix; /* NULL: nothing to do */
} TlDoctorRow;

/* The gateway on this computer. Strings are never NULL but where it says so. */
typedef struct
{
  gboolean user; /* of a session, not of the system */
  char *state_dir;
  char *config;
  TlStatusAnswer *status; /* NULL: it does not answer */
  json_t *members;        /* the status by names, as --json has it: an older daemon simply lacks some; {} without it */
  GError *problem;        /* why not */
} TlDoctorGateway;

/* A pairing of this computer. */
typedef struct
{
  TlNodeState *state;
  const TlNodeMarker *marker;
  TlDeviceIdentity *identity; /* NULL: problem says why */
  GError *problem;
} TlDoctorNode;

typedef struct
{
  TlCli *cli;
  GPtrArray *rows; /* TlDoctorRow */
  gint64 now_ms;
  TlDoctorGateway gateway;
  TlDoctorNode node;
} TlDoctor;

TlDoctor *tl_doctor_new (TlCli *cli, gint64 now_ms);
void tl_doctor_free (TlDoctor *doctor);

/* fix NULL for none. */
void tl_doctor_add (TlDoctor *doctor, const char *name, TlDoctorVerdict verdict, const char *fix, const char *found,
                    ...) G_GNUC_PRINTF (5, 6);
guint tl_doctor_count (TlDoctor *doctor, TlDoctorVerdict verdict);

/* What a folder or file must be: nobody but its owner gets in, but for those of `allowed` (mode bits). Adds a row for
 * what is wrong; TRUE when nothing is. Missing: FALSE without a row when optional. */
gboolean tl_doctor_check_mode (TlDoctor *doctor, const char *name, const char *path, mode_t allowed, gboolean optional);
/* The same for everything below a folder, which is looked into without following links; counts what it saw. */
gboolean tl_doctor_check_tree (TlDoctor *doctor, const char *name, const char *path, guint *seen);
/* Verdict on a certificate's times at now_ms; NULL for good ones, else what is wrong. Static text. */
const char *tl_doctor_certificate_problem (gint64 not_before_ms, gint64 not_after_ms, gint64 now_ms);
/* Free space where path is. */
void tl_doctor_check_space (TlDoctor *doctor, const char *name, const char *path);
typedef enum
{
  TL_DOCTOR_TCP, /* gRPC */
  TL_DOCTOR_UDP, /* QUIC */
} TlDoctorTransport;

/* "pid 12 (nginx)" that listens on the port, "another process" when it is not to be seen; NULL: nobody. g_free() */
char *tl_doctor_port_owner (TlDoctorTransport transport, guint16 port);
typedef struct
{
  char *check; /* what SQLite's quick_check says: "ok", or the first problem */
  guint ca_generation;
  gint64 ca_not_after_ms; /* 0: it has none */
} TlDoctorDatabase;

/* Of a store that nobody has open; copies it first when a write-ahead log lies beside it. check: g_free(). */
gboolean tl_doctor_read_database (const char *path, TlDoctorDatabase *database, GError **error);
/* The row "gateway.ca". */
void tl_doctor_judge_ca (TlDoctor *doctor, guint generation, gint64 not_after_ms);

/* The checks; gateway: doctor->gateway is filled, node: doctor->node is. */
void tl_doctor_gateway_daemon (TlDoctor *doctor);
void tl_doctor_gateway_clock (TlDoctor *doctor);
void tl_doctor_gateway_permissions (TlDoctor *doctor);
void tl_doctor_gateway_keys (TlDoctor *doctor);
void tl_doctor_gateway_certificates (TlDoctor *doctor);
void tl_doctor_gateway_store (TlDoctor *doctor);
void tl_doctor_gateway_space (TlDoctor *doctor);
void tl_doctor_gateway_ports (TlDoctor *doctor);
void tl_doctor_gateway_reach (TlDoctor *doctor);
void tl_doctor_gateway_group (TlDoctor *doctor);
void tl_doctor_gateway_process (TlDoctor *doctor);
void tl_doctor_node_permissions (TlDoctor *doctor);
void tl_doctor_node_keys (TlDoctor *doctor);
void tl_doctor_node_certificate (TlDoctor *doctor);
void tl_doctor_node_space (TlDoctor *doctor);
void tl_doctor_node_process (TlDoctor *doctor);
void tl_doctor_node_reach (TlDoctor *doctor);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (TlDoctor, tl_doctor_free)

G_END_DECLS

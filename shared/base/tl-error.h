/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * TlError: the one error domain of Twinlatch's own layers.
 *
 * Every code has a stable reason string (trailing metadata `twinlatch-reason`, `--json` member
 * "reason"), a gRPC status and an exit code; the three live in one table in tl-error.c.
 * Messages are one line for people: lower case, what failed, with what, what to do.
 * Thread: any.
 */
#define TL_ERROR (tl_error_quark ())
GQuark tl_error_quark (void);

typedef enum
{
  TL_ERROR_INTERNAL,            /* a defect of ours, or a library call that cannot fail did */
  TL_ERROR_USAGE,               /* command line: wrong verb, option or argument */
  TL_ERROR_INVALID_ARGUMENT,    /* a value is malformed; the message names which */
  TL_ERROR_NOT_FOUND,           /* no such device, request, code, file */
  TL_ERROR_AMBIGUOUS,           /* a prefix that fits more than one thing */
  TL_ERROR_ALREADY_EXISTS,      /* there is one already */
  TL_ERROR_PERMISSION_DENIED,   /* the caller is known and may not */
  TL_ERROR_NOT_OPERATOR,        /* the caller's role is node, and this is for operators */
  TL_ERROR_LOCAL_ONLY,          /* PROTOCOL 4: an operator may, but not over the network */
  TL_ERROR_UNAUTHENTICATED,     /* the caller shows no (or no admitted) certificate */
  TL_ERROR_FAILED_PRECONDITION, /* the thing is not in a state that allows it */
  TL_ERROR_OUT_OF_RANGE,        /* a cursor beyond what was sent */
  TL_ERROR_RESOURCE_EXHAUSTED,  /* a limit: size, rate, count */
  TL_ERROR_UNAVAILABLE,         /* peer cannot be reached, or closed; trying again may help */
  TL_ERROR_TIMED_OUT,           /* a deadline passed */
  TL_ERROR_CANCELLED,           /* the caller gave up */
  TL_ERROR_UNSUPPORTED,         /* version, method or algorithm the other side does not know */
  TL_ERROR_PROTOCOL,            /* the peer broke PROTOCOL.md */
  TL_ERROR_CODE_INVALID,        /* PROTOCOL 3.4: unknown, expired, spent or wrong kind of code */
  TL_ERROR_WRONG_CODE,          /* the PIN/token did not fit (SPAKE2+ confirmation failed) */
  TL_ERROR_WRONG_CA,            /* the gateway's CA or certificate is not the expected one */
  TL_ERROR_REJECTED,            /* an approver said no */
  TL_ERROR_EXPIRED,             /* a request, code or certificate ran out of time */
  TL_ERROR_REVOKED,             /* the device is revoked or removed */
  TL_ERROR_SUSPENDED,           /* the device is suspended until an operator resumes it */
  TL_ERROR_NOT_PAIRED,          /* this computer has no identity for that gateway */
  TL_ERROR_LOCKED,              /* secret store or state is locked by somebody */
  TL_ERROR_IN_USE,              /* another process holds the state or the port */
  TL_ERROR_READ_ONLY,           /* the store cannot be written */
  TL_ERROR_NEWER_VERSION,       /* the state was written by a newer Twinlatch */
  TL_ERROR_CORRUPT,             /* stored bytes do not verify */
  TL_ERROR_IO,                  /* any other failure of file or socket */
  TL_ERROR_CAPABILITY_UNKNOWN,  /* the node does not announce that capability */
  TL_ERROR_CAPABILITY_DENIED,   /* policy or user refused to run it */
  TL_ERROR_CAPABILITY_FAILED,   /* it ran and failed; the message is the node's */
  TL_N_ERRORS,
} TlErrorCode;

/* Exit codes of `twinlatch` and `twinlatchd` (man page twinlatch(1), EXIT STATUS). Stable. */
enum
{
  TL_EXIT_OK = 0,
  TL_EXIT_FAILURE = 1,      /* anything without a code of its own */
  TL_EXIT_USAGE = 2,        /* command line or input malformed */
  TL_EXIT_UNREACHABLE = 3,  /* daemon or gateway not reachable, or timed out */
  TL_EXIT_NOT_FOUND = 4,    /* no such thing, or ambiguous */
  TL_EXIT_DENIED = 5,       /* permission, revoked, rejected, policy */
  TL_EXIT_CODE_INVALID = 6, /* pairing code not accepted */
  TL_EXIT_WRONG_CA = 7,     /* the gateway is not the one expected */
  TL_EXIT_CAPABILITY = 8,   /* the capability ran and failed */
  TL_EXIT_STATE = 9,        /* state in use, read-only, newer or damaged */
  TL_EXIT_CONFIG = 10,      /* configuration file */
  TL_EXIT_NOT_PAIRED = 11,  /* pair first */
};

/* The stable reason of a code, e.g. "code_invalid"; never NULL, static. */
const char *tl_error_code_to_reason (TlErrorCode code);
/* FALSE when the reason is unknown (a newer peer): *code is then untouched. */
gboolean tl_error_code_from_reason (const char *reason, TlErrorCode *code);

/* gRPC status number (0..16) for an error of any domain; other domains map to INTERNAL, G_IO_ERROR_CANCELLED to
 * CANCELLED. */
int tl_error_to_grpc_status (const GError *error);
/* Reason for an error of any domain; "internal" for foreign domains. Static. */
const char *tl_error_to_reason (const GError *error);
/* Exit code for an error of any domain; NULL gives TL_EXIT_OK. */
int tl_error_to_exit_code (const GError *error);
/* Sets *error from what a gRPC peer answered; reason may be NULL (a proxy, or gRPC itself): then the status decides. */
void tl_error_set_from_grpc (GError **error, int status, const char *reason, const char *message);

gboolean tl_error_is (const GError *error, TlErrorCode code);
gboolean tl_error_is_locked (const GError *error);
gboolean tl_error_is_not_found (const GError *error);
gboolean tl_error_is_unavailable (const GError *error); /* UNAVAILABLE or TIMED_OUT: worth trying again */
gboolean tl_error_is_final (const GError *error); /* REVOKED, REJECTED, NOT_PAIRED, UNAUTHENTICATED: do not retry */

G_END_DECLS

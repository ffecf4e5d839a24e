/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"

#include <gio/gio.h>

#define MAX_MESSAGE_BYTES 1024

/* Numbers of grpc/status.h, written out so that the base layer does not need gRPC. */
enum
{
  STATUS_OK = 0,
  STATUS_CANCELLED = 1,
  STATUS_INVALID_ARGUMENT = 3,
  STATUS_DEADLINE_EXCEEDED = 4,
  STATUS_NOT_FOUND = 5,
  STATUS_ALREADY_EXISTS = 6,
  STATUS_PERMISSION_DENIED = 7,
  STATUS_RESOURCE_EXHAUSTED = 8,
  STATUS_FAILED_PRECONDITION = 9,
  STATUS_ABORTED = 10,
  STATUS_OUT_OF_RANGE = 11,
  STATUS_UNIMPLEMENTED = 12,
  STATUS_INTERNAL = 13,
  STATUS_UNAVAILABLE = 14,
  STATUS_DATA_LOSS = 15,
  STATUS_UNAUTHENTICATED = 16,
};

typedef struct
{
  const char *reason;
  int status;
  int exit_code;
} ErrorRow;

static const ErrorRow error_table[TL_N_ERRORS] = {
  [TL_ERROR_INTERNAL] = { "internal", STATUS_INTERNAL, TL_EXIT_FAILURE },
  [TL_ERROR_USAGE] = { "usage", STATUS_INVALID_ARGUMENT, TL_EXIT_USAGE },
  [TL_ERROR_INVALID_ARGUMENT] = { "invalid_argument", STATUS_INVALID_ARGUMENT, TL_EXIT_USAGE },
  [TL_ERROR_NOT_FOUND] = { "not_found", STATUS_NOT_FOUND, TL_EXIT_NOT_FOUND },
  [TL_ERROR_AMBIGUOUS] = { "ambiguous", STATUS_INVALID_ARGUMENT, TL_EXIT_NOT_FOUND },
  [TL_ERROR_ALREADY_EXISTS] = { "already_exists", STATUS_ALREADY_EXISTS, TL_EXIT_FAILURE },
  [TL_ERROR_PERMISSION_DENIED] = { "permission_denied", STATUS_PERMISSION_DENIED, TL_EXIT_DENIED },
  [TL_ERROR_NOT_OPERATOR] = { "not_operator", STATUS_PERMISSION_DENIED, TL_EXIT_DENIED },
  [TL_ERROR_LOCAL_ONLY] = { "local_only", STATUS_PERMISSION_DENIED, TL_EXIT_DENIED },
  [TL_ERROR_UNAUTHENTICATED] = { "unauthenticated", STATUS_UNAUTHENTICATED, TL_EXIT_DENIED },
  [TL_ERROR_FAILED_PRECONDITION] = { "failed_precondition", STATUS_FAILED_PRECONDITION, TL_EXIT_FAILURE },
  [TL_ERROR_OUT_OF_RANGE] = { "out_of_range", STATUS_OUT_OF_RANGE, TL_EXIT_USAGE },
  [TL_ERROR_RESOURCE_EXHAUSTED] = { "resource_exhausted", STATUS_RESOURCE_EXHAUSTED, TL_EXIT_FAILURE },
  [TL_ERROR_UNAVAILABLE] = { "unavailable", STATUS_UNAVAILABLE, TL_EXIT_UNREACHABLE },
  [TL_ERROR_TIMED_OUT] = { "timed_out", STATUS_DEADLINE_EXCEEDED, TL_EXIT_UNREACHABLE },
  [TL_ERROR_CANCELLED] = { "cancelled", STATUS_CANCELLED, TL_EXIT_FAILURE },
  [TL_ERROR_UNSUPPORTED] = { "unsupported", STATUS_UNIMPLEMENTED, TL_EXIT_FAILURE },
  [TL_ERROR_PROTOCOL] = { "protocol", STATUS_INVALID_ARGUMENT, TL_EXIT_FAILURE },
  /* One answer for unknown, expired, spent and wrong kind (PROTOCOL 3.4): a stranger learns nothing from it. */
  [TL_ERROR_CODE_INVALID] = { "code_invalid", STATUS_NOT_FOUND, TL_EXIT_CODE_INVALID },
  [TL_ERROR_WRONG_CODE] = { "wrong_code", STATUS_PERMISSION_DENIED, TL_EXIT_CODE_INVALID },
  [TL_ERROR_WRONG_CA] = { "wrong_ca", STATUS_FAILED_PRECONDITION, TL_EXIT_WRONG_CA },
  [TL_ERROR_REJECTED] = { "rejected", STATUS_PERMISSION_DENIED, TL_EXIT_DENIED },
  [TL_ERROR_EXPIRED] = { "expired", STATUS_FAILED_PRECONDITION, TL_EXIT_FAILURE },
  [TL_ERROR_REVOKED] = { "revoked", STATUS_PERMISSION_DENIED, TL_EXIT_DENIED },
  [TL_ERROR_SUSPENDED] = { "suspended", STATUS_PERMISSION_DENIED, TL_EXIT_DENIED },
  [TL_ERROR_NOT_PAIRED] = { "not_paired", STATUS_FAILED_PRECONDITION, TL_EXIT_NOT_PAIRED },
  [TL_ERROR_LOCKED] = { "locked", STATUS_FAILED_PRECONDITION, TL_EXIT_STATE },
  [TL_ERROR_IN_USE] = { "in_use", STATUS_ABORTED, TL_EXIT_STATE },
  [TL_ERROR_READ_ONLY] = { "read_only", STATUS_FAILED_PRECONDITION, TL_EXIT_STATE },
  [TL_ERROR_NEWER_VERSION] = { "newer_version", STATUS_FAILED_PRECONDITION, TL_EXIT_STATE },
  [TL_ERROR_CORRUPT] = { "corrupt", STATUS_DATA_LOSS, TL_EXIT_STATE },
  [TL_ERROR_IO] = { "io", STATUS_INTERNAL, TL_EXIT_FAILURE },
  [TL_ERROR_CAPABILITY_UNKNOWN] = { "capability_unknown", STATUS_FAILED_PRECONDITION, TL_EXIT_NOT_FOUND },
  [TL_ERROR_CAPABILITY_DENIED] = { "capability_denied", STATUS_PERMISSION_DENIED, TL_EXIT_DENIED },
  [TL_ERROR_CAPABILITY_FAILED] = { "capability_failed", STATUS_ABORTED, TL_EXIT_CAPABILITY },
};

/* The formatter would put blanks into the name. */
/* clang-format off */
G_DEFINE_QUARK (tl-error-quark, tl_error)
/* clang-format on */

static const ErrorRow *
row_for_code (int code)
{
  if (code < 0 || code >= TL_N_ERRORS)
    code = TL_ERROR_INTERNAL;
  return &error_table[code];
}

static const ErrorRow *
row_for_error (const GError *error)
{
  if (error->domain == TL_ERROR)
    return row_for_code (error->code);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return row_for_code (TL_ERROR_CANCELLED);
  return row_for_code (TL_ERROR_INTERNAL);
}

const char *
tl_error_code_to_reason (TlErrorCode code)
{
  return row_for_code ((int)code)->reason;
}

gboolean
tl_error_code_from_reason (const char *reason, TlErrorCode *code)
{
  if (reason == NULL)
    return FALSE;

  for (guint i = 0; i < TL_N_ERRORS; i++)
    {
      if (g_str_equal (reason, error_table[i].reason))
        {
          *code = (TlErrorCode)i;
          return TRUE;
        }
    }
  return FALSE;
}

int
tl_error_to_grpc_status (const GError *error)
{
  return error != NULL ? row_for_error (error)->status : STATUS_OK;
}

const char *
tl_error_to_reason (const GError *error)
{
  return error != NULL ? row_for_error (error)->reason : error_table[TL_ERROR_INTERNAL].reason;
}

int
tl_error_to_exit_code (const GError *error)
{
  return error != NULL ? row_for_error (error)->exit_code : TL_EXIT_OK;
}

static TlErrorCode
code_from_status (int status)
{
  switch (status)
    {
    case STATUS_OK: /* an error that claims success */
      return TL_ERROR_PROTOCOL;
    case STATUS_CANCELLED:
      return TL_ERROR_CANCELLED;
    case STATUS_INVALID_ARGUMENT:
      return TL_ERROR_INVALID_ARGUMENT;
    case STATUS_DEADLINE_EXCEEDED:
      return TL_ERROR_TIMED_OUT;
    case STATUS_NOT_FOUND:
      return TL_ERROR_NOT_FOUND;
    case STATUS_ALREADY_EXISTS:
      return TL_ERROR_ALREADY_EXISTS;
    case STATUS_PERMISSION_DENIED:
      return TL_ERROR_PERMISSION_DENIED;
    case STATUS_RESOURCE_EXHAUSTED:
      return TL_ERROR_RESOURCE_EXHAUSTED;
    case STATUS_FAILED_PRECONDITION:
    case STATUS_ABORTED:
      return TL_ERROR_FAILED_PRECONDITION;
    case STATUS_OUT_OF_RANGE:
      return TL_ERROR_OUT_OF_RANGE;
    case STATUS_UNIMPLEMENTED:
      return TL_ERROR_UNSUPPORTED;
    case STATUS_UNAVAILABLE:
      return TL_ERROR_UNAVAILABLE;
    case STATUS_DATA_LOSS:
      return TL_ERROR_CORRUPT;
    case STATUS_UNAUTHENTICATED:
      return TL_ERROR_UNAUTHENTICATED;
    default: /* UNKNOWN, INTERNAL and numbers gRPC does not have */
      return TL_ERROR_INTERNAL;
    }
}

static gboolean
is_harmless (gunichar c)
{
  switch (g_unichar_type (c))
    {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT: /* bidirectional overrides make a terminal show something else */
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
    case G_UNICODE_SURROGATE:
      return FALSE;
    default:
      return TRUE;
    }
}

/* A peer's text as one line that is safe to show: bounded, valid UTF-8, without control characters. */
static char *
foreign_text (const char *message)
{
  g_autofree char *bounded = g_strndup (message, MAX_MESSAGE_BYTES);
  g_autofree char *valid = g_utf8_make_valid (bounded, -1);
  GString *line = g_string_new (NULL);

  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      g_string_append_unichar (line, is_harmless (c) ? c : ' ');
    }
  return g_strstrip (g_string_free (line, FALSE));
}

void
tl_error_set_from_grpc (GError **error, int status, const char *reason, const char *message)
{
  g_autofree char *line = foreign_text (message != NULL ? message : "");
  TlErrorCode code = code_from_status (status);

  tl_error_code_from_reason (reason, &code);
  if (line[0] != '\0')
    g_set_error_literal (error, TL_ERROR, (int)code, line);
  else
    g_set_error (error, TL_ERROR, (int)code, "the gateway refused the call without a message (%s, status %d)",
                 tl_error_code_to_reason (code), status);
}

gboolean
tl_error_is (const GError *error, TlErrorCode code)
{
  return g_error_matches (error, TL_ERROR, (int)code);
}

gboolean
tl_error_is_locked (const GError *error)
{
  return tl_error_is (error, TL_ERROR_LOCKED);
}

gboolean
tl_error_is_not_found (const GError *error)
{
  return tl_error_is (error, TL_ERROR_NOT_FOUND);
}

gboolean
tl_error_is_unavailable (const GError *error)
{
  return tl_error_is (error, TL_ERROR_UNAVAILABLE) || tl_error_is (error, TL_ERROR_TIMED_OUT);
}

gboolean
tl_error_is_final (const GError *error)
{
  return tl_error_is (error, TL_ERROR_REVOKED) || tl_error_is (error, TL_ERROR_REJECTED)
         || tl_error_is (error, TL_ERROR_NOT_PAIRED) || tl_error_is (error, TL_ERROR_UNAUTHENTICATED);
}

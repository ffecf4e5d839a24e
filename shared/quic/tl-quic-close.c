/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tl-error.h"
#include "quic/tl-quic-connection.h"

#define CONNECTION_REFUSED 0x2 /* RFC 9000, 20.1 */

/* How connections end, in words. */
typedef struct
{
  guint64 code;
  const char *name;
  TlErrorCode error;
  const char *message;
} CloseCode;

static const CloseCode close_codes[] = {
  { TL_QUIC_CLOSE_GOING_AWAY, "going_away", TL_ERROR_UNAVAILABLE, "the other side is shutting down" },
  { TL_QUIC_CLOSE_REVOKED, "revoked", TL_ERROR_REVOKED, "this device is revoked at the gateway" },
  { TL_QUIC_CLOSE_SUPERSEDED, "superseded", TL_ERROR_IN_USE, "a newer connection of this device took over" },
  { TL_QUIC_CLOSE_LIMIT, "limit", TL_ERROR_RESOURCE_EXHAUSTED, "the gateway's limit of connections is reached" },
  { TL_QUIC_CLOSE_CERTIFICATE_ENDED, "certificate_ended", TL_ERROR_EXPIRED, "the device's certificate has expired" },
  { TL_QUIC_CLOSE_CERTIFICATE_SUPERSEDED, "certificate_superseded", TL_ERROR_UNAVAILABLE,
    "a newer certificate of this device is in use; connect with that" },
  { TL_QUIC_CLOSE_SUSPENDED, "suspended", TL_ERROR_SUSPENDED, "this device is suspended at the gateway" },
};

typedef struct
{
  guint64 alert;
  TlErrorCode error;
  const char *message;
} Alert;

/* RFC 8446, 6.2; what is not here is a broken handshake. */
static const Alert alerts[] = {
  { 42, TL_ERROR_UNAUTHENTICATED, "the certificate is not accepted" },
  { 43, TL_ERROR_UNAUTHENTICATED, "the certificate is of a kind that is not accepted" },
  { 44, TL_ERROR_REVOKED, "the certificate is revoked" },
  { 45, TL_ERROR_EXPIRED, "the certificate has expired or is not valid yet" },
  { 46, TL_ERROR_UNAUTHENTICATED, "the certificate is not accepted" },
  { 48, TL_ERROR_UNAUTHENTICATED, "the certificate is of another certificate authority" },
  { 49, TL_ERROR_UNAUTHENTICATED, "access is denied" },
  { 116, TL_ERROR_UNAUTHENTICATED, "a certificate is required" },
  { 120, TL_ERROR_UNSUPPORTED, "no common application protocol; one side is too old, or no Twinlatch" },
};

static const CloseCode *
find_close_code (guint64 code)
{
  for (guint i = 0; i < G_N_ELEMENTS (close_codes); i++)
    {
      if (close_codes[i].code == code)
        return &close_codes[i];
    }
  return NULL;
}

const char *
tl_quic_close_code_to_string (guint64 code)
{
  const CloseCode *found = find_close_code (code);

  return found != NULL ? found->name : NULL;
}

static GError *
peer_close_to_error (const TlQuicClose *why)
{
  const CloseCode *found = find_close_code (why->code);
  const char *reason = why->reason != NULL ? why->reason : "";

  if (found != NULL)
    return g_error_new (TL_ERROR, (int)found->error, "%s%s%s", found->message, *reason != '\0' ? ": " : "", reason);
  return g_error_new (TL_ERROR, TL_ERROR_PROTOCOL,
                      "the peer closed the QUIC connection with code 0x%" G_GINT64_MODIFIER "x%s%s", why->code,
                      *reason != '\0' ? ": " : "", reason);
}

static GError *
alert_to_error (const TlQuicClose *why)
{
  const char *who = why->by_peer ? "the peer refused the TLS handshake" : "the peer was refused in the TLS handshake";

  for (guint i = 0; i < G_N_ELEMENTS (alerts); i++)
    {
      if (alerts[i].alert == why->code)
        return g_error_new (TL_ERROR, why->by_peer || why->code == 120 ? (int)alerts[i].error : TL_ERROR_WRONG_CA,
                            "%s: %s", who, alerts[i].message);
    }
  return g_error_new (TL_ERROR, TL_ERROR_PROTOCOL, "%s (alert %" G_GUINT64_FORMAT ")", who, why->code);
}

static GError *
transport_to_error (const TlQuicClose *why)
{
  if (why->by_peer && why->code == CONNECTION_REFUSED)
    return g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE, "the peer takes no further QUIC connections now");
  return g_error_new (TL_ERROR, TL_ERROR_PROTOCOL,
                      "the QUIC connection broke: transport error 0x%" G_GINT64_MODIFIER "x, found by %s", why->code,
                      why->by_peer ? "the peer" : "this side");
}

GError *
tl_quic_close_to_error (const TlQuicClose *why)
{
  switch (why->ending)
    {
    case TL_QUIC_ENDED_LOCALLY:
      return g_error_new_literal (TL_ERROR, TL_ERROR_CANCELLED, "the QUIC connection was closed by this side");
    case TL_QUIC_ENDED_BY_PEER:
      return peer_close_to_error (why);
    case TL_QUIC_ENDED_BY_ALERT:
      return alert_to_error (why);
    case TL_QUIC_ENDED_BY_TRANSPORT:
      return transport_to_error (why);
    case TL_QUIC_ENDED_IDLE:
      return g_error_new_literal (TL_ERROR, TL_ERROR_TIMED_OUT, "nothing was heard over QUIC for too long");
    case TL_QUIC_ENDED_HANDSHAKE_TIMEOUT:
      return g_error_new_literal (TL_ERROR, TL_ERROR_TIMED_OUT,
                                  "no answer over QUIC: nobody is there, or UDP does not get through");
    case TL_QUIC_ENDED_RESET:
      return g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE,
                                  "the peer does not know the QUIC connection any more: it was restarted");
    case TL_QUIC_ENDED_UNREACHABLE:
      return why->code != 0
                 ? g_error_new (TL_ERROR, TL_ERROR_UNAVAILABLE, "the peer cannot be reached over UDP: %s",
                                g_strerror ((int)why->code))
                 : g_error_new_literal (TL_ERROR, TL_ERROR_UNAVAILABLE, "the peer cannot be reached over UDP");
    case TL_QUIC_ENDED_VERSION:
      return g_error_new_literal (TL_ERROR, TL_ERROR_UNSUPPORTED, "the peer speaks another version of QUIC");
    }
  g_assert_not_reached ();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/tl-error.h"
#include "base/tl-random.h"
#include "pairing/tl-pairing-link.h"

#define G   "g=01JD0000000000000000GATEWA"
#define C   "c=01JD0000000000000000C0DE00"
#define T   "t=0123456789ABCDEFGHJKMNPQRW"
#define F   "f=lS7qiWrk00IulLTVP4qZc0123456789-_ABCDEFGHIA"
#define A   "a=192.0.2.1:7444"
#define PRE "twinlatch:pair?"
#define ALL PRE "v=1&" G "&" C "&" T "&" F "&" A

#define X16  "xxxxxxxxxxxxxxxx"
#define X64  X16 X16 X16 X16
#define X256 X64 X64 X64 X64

static TlPairingLink *
parse_good (const char *text)
{
  g_autoptr (GError) error = NULL;
  TlPairingLink *link = tl_pairing_link_parse (text, &error);

  g_assert_no_error (error);
  g_assert_nonnull (link);
  return link;
}

static void
test_round_trip (void)
{
  g_autoptr (TlSecret) token = tl_secret_new_copy ("0123456789ABCDEFGHJKMNPQRW", 26);
  const char *const addresses[] = { "192.0.2.1:7444", "[2001:DB8::0:1]:7444", "GW.example", "192.0.2.1:7444", NULL };
  const char *const expected[] = { "192.0.2.1:7444", "[2001:db8::1]:7444", "gw.example:7444", NULL };
  g_autoptr (TlPairingLink) link = NULL;
  g_autoptr (TlPairingLink) parsed = NULL;
  g_autoptr (TlSecret) text = NULL;
  g_autoptr (TlSecret) again = NULL;
  g_autoptr (GError) error = NULL;
  guint8 ca[32];

  memset (ca, 0xfb, sizeof ca);
  link = tl_pairing_link_new ("01JD0000000000000000GATEWA", "01JD0000000000000000C0DE00", token, ca, addresses,
                              "B\xc3\xbcro & 100% = gut?", &error);
  g_assert_no_error (error);
  text = tl_pairing_link_format (link);
  g_assert_cmpstr (
      (const char *)tl_secret_data (text), ==,
      PRE "v=1&" G "&" C "&" T "&f=-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s"
          "&a=192.0.2.1:7444&a=[2001:db8::1]:7444&a=gw.example:7444&n=B%C3%BCro%20%26%20100%25%20%3D%20gut%3F");

  parsed = parse_good ((const char *)tl_secret_data (text));
  g_assert_cmpstr (tl_pairing_link_gateway_id (parsed), ==, "01JD0000000000000000GATEWA");
  g_assert_cmpstr (tl_pairing_link_code_id (parsed), ==, "01JD0000000000000000C0DE00");
  g_assert_true (tl_secret_equal (tl_pairing_link_token (parsed), token));
  g_assert_cmpmem (tl_pairing_link_ca_sha256 (parsed), 32, ca, 32);
  g_assert_true (g_strv_equal (tl_pairing_link_addresses (parsed), expected));
  g_assert_cmpstr (tl_pairing_link_name (parsed), ==, "B\xc3\xbcro & 100% = gut?");
  again = tl_pairing_link_format (parsed);
  g_assert_true (tl_secret_equal (text, again));
}

static void
test_tolerated (void)
{
  g_autoptr (TlPairingLink) plain = parse_good (ALL);
  g_autoptr (TlPairingLink) blanks = parse_good (" \r\n" ALL "\n");
  g_autoptr (TlPairingLink) order = parse_good (PRE A "&" F "&" T "&" C "&" G "&v=1");
  g_autoptr (TlPairingLink) unknown = parse_good (ALL "&x=1&x=2&y&=&&vv=2&%zz=%");
  g_autoptr (TlPairingLink) upper = parse_good ("TwinLatch:PAIR?v=1&" G "&" C "&" T "&" F "&" A);
  g_autoptr (TlPairingLink) typed = parse_good (PRE "v=1&" G "&" C "&t=oi23456789abcdefghjkmnpqrw&" F "&" A);
  g_autoptr (TlPairingLink) with_l = parse_good (PRE "v=1&" G "&" C "&t=Ol23456789abcdefghjkmnpqrw&" F "&" A);
  g_autoptr (TlPairingLink) escaped = parse_good (PRE "v=1&" G "&" C "&" T "&" F "&a=%5B2001%3adb8::1%5D:7444");
  g_autoptr (TlPairingLink) four = parse_good (ALL "&a=b:1&a=c:1&a=d:1");

  g_assert_null (tl_pairing_link_name (plain));
  g_assert_cmpstr (tl_pairing_link_gateway_id (blanks), ==, "01JD0000000000000000GATEWA");
  g_assert_cmpstr (tl_pairing_link_code_id (order), ==, "01JD0000000000000000C0DE00");
  g_assert_nonnull (unknown);
  g_assert_nonnull (upper);
  g_assert_true (tl_secret_equal (tl_pairing_link_token (plain), tl_pairing_link_token (typed)));
  g_assert_true (tl_secret_equal (tl_pairing_link_token (plain), tl_pairing_link_token (with_l)));
  g_assert_cmpstr (tl_pairing_link_addresses (escaped)[0], ==, "[2001:db8::1]:7444");
  g_assert_cmpuint (g_strv_length ((GStrv)tl_pairing_link_addresses (four)), ==, 4);
}

static void
test_bad_parts (void)
{
  static const struct
  {
    const char *text;
    const char *part; /* must be in the message */
  } bad[] = {
    { PRE G "&" C "&" T "&" F "&" A, "\"v\"" },
    { PRE "v=&" G "&" C "&" T "&" F "&" A, "\"v\"" },
    { PRE "v=1x&" G "&" C "&" T "&" F "&" A, "\"v\"" },
    { PRE "v=01&" G "&" C "&" T "&" F "&" A, "\"v\"" },
    { PRE "v=1&" C "&" T "&" F "&" A, "\"g\"" },
    { PRE "v=1&g=&" C "&" T "&" F "&" A, "\"g\"" },
    { PRE "v=1&g=01jd0000000000000000gatewa&" C "&" T "&" F "&" A, "\"g\"" },
    { PRE "v=1&g=81JD0000000000000000GATEWA&" C "&" T "&" F "&" A, "\"g\"" },
    { PRE "v=1&" G "&" T "&" F "&" A, "\"c\"" },
    { PRE "v=1&" G "&c=7&" T "&" F "&" A, "\"c\"" },
    { PRE "v=1&" G "&" C "&" F "&" A, "\"t\"" },
    { PRE "v=1&" G "&" C "&t=01234567&" F "&" A, "\"t\"" },
    { PRE "v=1&" G "&" C "&t=U123456789ABCDEFGHJKMNPQRW&" F "&" A, "\"t\"" },
    { PRE "v=1&" G "&" C "&t=%30123456789ABCDEFGHJKMNPQRW&" F "&" A, "\"t\"" },
    { PRE "v=1&" G "&" C "&" T "&" A, "\"f\"" },
    { PRE "v=1&" G "&" C "&" T "&f=abc&" A, "\"f\"" },
    { PRE "v=1&" G "&" C "&" T "&" F "=&" A, "\"f\"" },
    /* Base64 of another alphabet, and a second spelling of the same hash. */
    { PRE "v=1&" G "&" C "&" T "&f=lS7qiWrk00IulLTVP4qZc0123456789+/ABCDEFGHIA&" A, "\"f\"" },
    { PRE "v=1&" G "&" C "&" T "&f=lS7qiWrk00IulLTVP4qZc0123456789-_ABCDEFGHIB&" A, "\"f\"" },
    { PRE "v=1&" G "&" C "&" T "&" F, "\"a\"" },
    { PRE "v=1&" G "&" C "&" T "&" F "&a=", "\"a\"" },
    { PRE "v=1&" G "&" C "&" T "&" F "&a=192.0.2.1", "\"a\"" },
    { PRE "v=1&" G "&" C "&" T "&" F "&a=host:0", "\"a\"" },
    { PRE "v=1&" G "&" C "&" T "&" F "&a=host%00:1", "\"a\"" },
    { PRE "v=1&" G "&" C "&" T "&" F "&a=host:1%", "\"a\"" },
    { ALL "&a=b:1&a=c:1&a=d:1&a=e:1", "\"a\"" },
    { ALL "&n=", "\"n\"" },
    { ALL "&n=a%", "\"n\"" },
    { ALL "&n=a%4", "\"n\"" },
    { ALL "&n=a%4g", "\"n\"" },
    { ALL "&n=a%00b", "\"n\"" },
    { ALL "&n=a%0Ab", "\"n\"" },
    { ALL "&n=%E2%80%AEb", "\"n\"" },
    { ALL "&n=%FF", "\"n\"" },
    { ALL "&n=%20a", "\"n\"" },
    { ALL "&n=" X64 "x", "\"n\"" },
    { ALL "&v=1", "\"v\"" },
    { ALL "&" G, "\"g\"" },
    { ALL "&" C, "\"c\"" },
    { ALL "&" T, "\"t\"" },
    { ALL "&" F, "\"f\"" },
    { ALL "&n=a&n=a", "\"n\"" },
    { ALL "&x=" X256 X256 X256 X256, "1024" },
    { "", "does not begin" },
    { "twinlatch:pair", "does not begin" },
    { "twinlatch:pear?" G, "does not begin" },
    { "https://example.org/", "does not begin" },
    { ALL "&n=a b", "blank" },
    { ALL "&n=\xc3\xbc", "percent-encoded" },
    { ALL "\x01", "percent-encoded" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (tl_pairing_link_parse (bad[i].text, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
      if (strstr (error->message, bad[i].part) == NULL)
        g_error ("%s: the message \"%s\" does not name %s", bad[i].text, error->message, bad[i].part);
      g_assert_null (strstr (error->message, "0123456789")); /* the token */
    }
}

static void
test_newer_version (void)
{
  g_autoptr (GError) error = NULL;

  /* The other parts of a newer link may mean anything: the version is what the person is told about. */
  g_assert_null (tl_pairing_link_parse (PRE "g=new&v=2", &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_UNSUPPORTED);
  g_assert_nonnull (strstr (error->message, "\"v\""));
}

static void
test_length (void)
{
  const gsize fixed = strlen (ALL "&x=");
  g_autofree char *filling = g_strnfill (TL_PAIRING_LINK_MAX - fixed, 'x');
  g_autofree char *longest = g_strconcat (ALL "&x=", filling, NULL);
  g_autofree char *padded = g_strconcat (" ", longest, "\n", NULL);
  g_autofree char *longer = g_strconcat (longest, "x", NULL);
  g_autofree char *blanks = g_strnfill (1 << 20, ' ');
  g_autoptr (TlPairingLink) link = NULL;
  g_autoptr (TlPairingLink) second = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (strlen (longest), ==, TL_PAIRING_LINK_MAX);
  link = parse_good (longest);
  second = parse_good (padded);
  g_assert_null (tl_pairing_link_parse (longer, &error));
  g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
  g_assert_null (tl_pairing_link_parse (blanks, NULL));
}

static void
test_new_refuses (void)
{
  g_autoptr (TlSecret) token = tl_secret_new_copy ("0123456789ABCDEFGHJKMNPQRW", 26);
  g_autoptr (TlSecret) short_token = tl_secret_new_copy ("0123", 4);
  const char *gateway = "01JD0000000000000000GATEWA";
  const char *code = "01JD0000000000000000C0DE00";
  const char *const one[] = { "a:1", NULL };
  const char *const none[] = { NULL };
  const char *const five[] = { "a:1", "b:1", "c:1", "d:1", "e:1", NULL };
  const char *const odd[] = { "a b", NULL };
#define LONG_HOST "." X16 X16 X16 "." X16 X16 X16 "." X16 X16 X16 "." X16 X16 ":1"
  const char *const too_long[] = { X16 X16 X16 "1" LONG_HOST, X16 X16 X16 "2" LONG_HOST, X16 X16 X16 "3" LONG_HOST,
                                   X16 X16 X16 "4" LONG_HOST, NULL };
  guint8 ca[32] = { 0 };
  const struct
  {
    const char *gateway;
    const char *code;
    TlSecret *token;
    const char *const *addresses;
    const char *name;
    const char *part;
  } bad[] = {
    { "x", code, token, one, NULL, "\"g\"" },           { gateway, "x", token, one, NULL, "\"c\"" },
    { gateway, code, short_token, one, NULL, "token" }, { gateway, code, token, none, NULL, "\"a\"" },
    { gateway, code, token, five, NULL, "\"a\"" },      { gateway, code, token, odd, NULL, "\"a\"" },
    { gateway, code, token, one, "", "\"n\"" },         { gateway, code, token, one, "a\nb", "\"n\"" },
    { gateway, code, token, too_long, NULL, "1024" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (
          tl_pairing_link_new (bad[i].gateway, bad[i].code, bad[i].token, ca, bad[i].addresses, bad[i].name, &error));
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
      g_assert_nonnull (strstr (error->message, bad[i].part));
    }
}

static void
test_is_link (void)
{
  g_assert_true (tl_pairing_link_is_link (ALL));
  g_assert_true (tl_pairing_link_is_link ("\n TWINLATCH:"));
  g_assert_false (tl_pairing_link_is_link ("7-1234-5678"));
  g_assert_false (tl_pairing_link_is_link ("twinlatch"));
  g_assert_false (tl_pairing_link_is_link (""));
}

static void
test_mutations (void)
{
  static const char interesting[] = "&=%?:[]avgctfn019 \t\n\x80\xff.-";
  static const char *const seeds[] = { ALL, ALL "&n=B%C3%BCro", PRE "v=1&" G "&" C "&" T "&" F "&a=[::1]:1&a=b:65535" };
  g_autoptr (TlRandom) random = tl_random_new_test (3);
  guint accepted = 0;

  for (guint i = 0; i < 20000; i++)
    {
      g_autoptr (GString) text = g_string_new (seeds[tl_random_below (random, G_N_ELEMENTS (seeds))]);
      g_autoptr (TlPairingLink) link = NULL;
      g_autoptr (GError) error = NULL;

      for (guint k = tl_random_below (random, 4); k > 0; k--)
        {
          gsize at = text->len > 0 ? tl_random_below (random, (guint32)text->len) : 0;
          gsize n;

          switch (tl_random_below (random, 4))
            {
            case 0:
              n = 1 + tl_random_below (random, 30);
              g_string_erase (text, (gssize)at, (gssize)MIN (text->len - at, n));
              break;
            case 1:
              g_string_insert_c (text, (gssize)at, interesting[tl_random_below (random, sizeof interesting - 1)]);
              break;
            case 2:
              g_string_append_c (text, (char)(1 + tl_random_below (random, 255)));
              text->str[at] = text->str[text->len - 1];
              g_string_truncate (text, text->len - 1);
              break;
            default:
              g_string_truncate (text, at);
            }
        }
      link = tl_pairing_link_parse (text->str, &error);
      g_assert_true ((link == NULL) == (error != NULL));
      if (link != NULL)
        {
          /* What is accepted can be written down and read again: no second reading of the same link. */
          g_autoptr (TlSecret) formatted = tl_pairing_link_format (link);
          g_autoptr (TlPairingLink) again = parse_good ((const char *)tl_secret_data (formatted));

          g_assert_true (tl_secret_equal (tl_pairing_link_token (link), tl_pairing_link_token (again)));
          g_assert_cmpstr (tl_pairing_link_name (link), ==, tl_pairing_link_name (again));
          accepted++;
        }
    }
  g_assert_cmpuint (accepted, >, 2000);
}

static void
test_addresses (void)
{
  static const struct
  {
    const char *text;
    const char *canonical; /* NULL: refused */
  } cases[] = {
    { "host", "host:7444" },
    { "Host.Example", "host.example:7444" },
    { "host.example.", "host.example:7444" },
    { "host:1", "host:1" },
    { "host:65535", "host:65535" },
    { "host:07444", "host:7444" },
    { "my_gateway.lan:1", "my_gateway.lan:1" },
    { "xn--bro-hoa.example", "xn--bro-hoa.example:7444" },
    { "1.2.3.4", "1.2.3.4:7444" },
    { "1.2.3.4:1", "1.2.3.4:1" },
    { "[::1]:1", "[::1]:1" },
    { "[::1]", "[::1]:7444" },
    { "::1", "[::1]:7444" },
    { "2001:DB8:0:0::1", "[2001:db8::1]:7444" },
    { "4you.example", "4you.example:7444" },
    { "", NULL },
    { ":1", NULL },
    { "host:", NULL },
    { "host:0", NULL },
    { "host:65536", NULL },
    { "host:123456", NULL },
    { "host:+1", NULL },
    { "host: 1", NULL },
    { "host:1x", NULL },
    { "ho st", NULL },
    { "-host", NULL },
    { "host-", NULL },
    { "host..example", NULL },
    { ".", NULL },
    { ".host", NULL },
    { "host/", NULL },
    { "user@host", NULL },
    { "b\xc3\xbcro", NULL },
    { "1.2.3", NULL },
    { "1.2.3.256", NULL },
    { "1.2.3.4.5", NULL },
    { "127.1", NULL },
    { "2130706433", NULL },
    { "0x7f.1", NULL },
    { "0x7f000001", NULL },
    { "[::1", NULL },
    { "[::1]x", NULL },
    { "[::1]:", NULL },
    { "[1.2.3.4]:1", NULL },
    { "[]", NULL },
    { "fe80::1%eth0", NULL },
    { "::1::", NULL },
    { X64 ".example", NULL },
    { X256, NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *address = tl_address_normalise (cases[i].text, 7444, &error);

      g_assert_cmpstr (address, ==, cases[i].canonical);
      if (address == NULL)
        g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
      else
        {
          g_autofree char *again = tl_address_normalise (address, 1, NULL);

          g_assert_cmpstr (again, ==, address);
        }
    }
}

static void
test_address_port_required (void)
{
  g_autofree char *address = tl_address_normalise ("host:1", 0, NULL);

  g_assert_cmpstr (address, ==, "host:1");
  g_assert_null (tl_address_normalise ("host", 0, NULL));
  g_assert_null (tl_address_normalise ("::1", 0, NULL));
}

static void
test_names (void)
{
  static const struct
  {
    const char *name;
    const char *fault; /* NULL: good */
  } cases[] = {
    { "laptop", NULL },
    { "K\xc3\xbc"
      "che 2",
      NULL },
    { "\xe5\x8f\xb0\xe6\x89\x80", NULL },
    { "\xf0\x9f\x92\xbb", NULL },
    { X64, NULL },
    { X64 "x", "64 bytes" },
    { "", "empty" },
    { NULL, "missing" },
    { " a", "blank" },
    { "a ", "blank" },
    { "a\xc2\xa0", "blank" },
    { "\xe3\x80\x80"
      "a",
      "blank" },
    { "a\nb", "control" },
    { "a\x1b[31m", "control" },
    { "a\x7f", "control" },
    { "a\xc2\x85"
      "b",
      "control" }, /* U+0085 */
    { "a\xe2\x80\xae"
      "b",
      "format" }, /* U+202E right-to-left override */
    { "a\xe2\x80\x8b"
      "b",
      "format" }, /* U+200B zero width space */
    { "a\xe2\x81\xa6"
      "b",
      "format" }, /* U+2066 isolate */
    { "a\xef\xbb\xbf"
      "b",
      "format" }, /* U+FEFF */
    { "a\xc2\xad"
      "b",
      "format" }, /* U+00AD soft hyphen */
    { "a\xe2\x80\xa8"
      "b",
      "control" }, /* U+2028 line separator */
    { "a\xe2\x80\xa9"
      "b",
      "control" }, /* U+2029 paragraph separator */
    { "a\xcd\xb8"
      "b",
      "unassigned" }, /* U+0378 */
    { "a\xef\xbf\xbe"
      "b",
      "unassigned" },                  /* U+FFFE */
    { "u\xcc\x88", "normal form" },    /* u + U+0308 */
    { "\xe2\x84\xab", "normal form" }, /* ANGSTROM SIGN */
    { "a\xff", "UTF-8" },
    { "a\xc3", "UTF-8" },
    { "a\xc0\xaf", "UTF-8" },
    { "a\xed\xa0\x80", "UTF-8" }, /* surrogate */
    { "a\xf4\x90\x80\x80", "UTF-8" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      gboolean good = tl_pairing_name_check ("device name", cases[i].name, &error);

      if (good != (cases[i].fault == NULL))
        g_error ("case %" G_GSIZE_FORMAT " is %s", i, good ? "accepted" : error->message);
      if (good)
        continue;
      g_assert_error (error, TL_ERROR, TL_ERROR_INVALID_ARGUMENT);
      g_assert_true (g_str_has_prefix (error->message, "device name "));
      g_assert_nonnull (strstr (error->message, cases[i].fault));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pairing-link/3.1/round-trip", test_round_trip);
  g_test_add_func ("/pairing-link/3.1/tolerated", test_tolerated);
  g_test_add_func ("/pairing-link/3.1/bad-part-is-named", test_bad_parts);
  g_test_add_func ("/pairing-link/3.1/newer-version", test_newer_version);
  g_test_add_func ("/pairing-link/3.1/1024-bytes", test_length);
  g_test_add_func ("/pairing-link/3.1/new-refuses", test_new_refuses);
  g_test_add_func ("/pairing-link/3.1/is-link", test_is_link);
  g_test_add_func ("/pairing-link/3.1/mutations", test_mutations);
  g_test_add_func ("/pairing-link/3.1/addresses", test_addresses);
  g_test_add_func ("/pairing-link/3.1/address-port-required", test_address_port_required);
  g_test_add_func ("/pairing-link/3.2/names", test_names);
  return g_test_run ();
}

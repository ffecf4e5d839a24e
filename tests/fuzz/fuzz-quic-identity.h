/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Fixed identities, so that a recorded handshake stays one. Nobody trusts them: these keys are published. */
static const char server_chain[] = "-----BEGIN CERTIFICATE-----\n"
                                   "MIIBhDCCASmgAwIBAgIULUGWIbFRsQX9I4Ue/CVyRFW+UPowCgYIKoZIzj0EAwIw\n"
                                   "FjEUMBIGA1UEAwwLZnV6eiBzZXJ2ZXIwIBcNMjYxMTI1MTMyMDM2WhgPMjEyNjEx\n"
                                   "MDExMzIwMzZaMBYxFDASBgNVBAMMC2Z1enogc2VydmVyMFkwEwYHKoZIzj0CAQYI\n"
                                   "KoZIzj0DAQcDQgAEhX0YWA2p9FDurfdc+jJ6Gkd0KKQYwi6GvOamVAqKP+rwjSsF\n"
                                   "bBB1Db1JgmnxWjx+e6x/4RiAnjKQMzooTdOxu6NTMFEwHQYDVR0OBBYEFHvdGyhu\n"
                                   "WVXUjcYJLYox0xh7lH3tMB8GA1UdIwQYMBaAFHvdGyhuWVXUjcYJLYox0xh7lH3t\n"
                                   "MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAPrf+nefyNwmxfp6\n"
                                   "Dtas+PtVLJXtQCunS/CKQpGoLFexAiEAzQ0eNdrSVAARF29w/PNpC8fSejH2jWd1\n"
                                   "s3Y95viCDZc=\n"
                                   "-----END CERTIFICATE-----\n";
static const char server_key[] = "-----BEGIN PRIVATE KEY-----\n"
                                 "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgq9swEocuEt6d7Ce4\n"
                                 "kbrfPOM4FMMRGD967LcuFfSC/WWhRANCAASFfRhYDan0UO6t91z6MnoaR3QopBjC\n"
                                 "Loa85qZUCoo/6vCNKwVsEHUNvUmCafFaPH57rH/hGICeMpAzOihN07G7\n"
                                 "-----END PRIVATE KEY-----\n";
static const char client_chain[] = "-----BEGIN CERTIFICATE-----\n"
                                   "MIIBgzCCASmgAwIBAgIUTtBDMk86feq25lXC0O9l3iRvdT4wCgYIKoZIzj0EAwIw\n"
                                   "FjEUMBIGA1UEAwwLZnV6eiBjbGllbnQwIBcNMjYxMTI1MTMyMDM3WhgPMjEyNjEx\n"
                                   "MDExMzIwMzdaMBYxFDASBgNVBAMMC2Z1enogY2xpZW50MFkwEwYHKoZIzj0CAQYI\n"
                                   "KoZIzj0DAQcDQgAE1YLI9XJ1x6wJ4WugJONSKs2xQj2QVZi8pCbXapT45BaM/k12\n"
                                   "UaknS+A7BQ0846zew6iq0NSZ8tEaQEZQKh/KdqNTMFEwHQYDVR0OBBYEFIONzNcL\n"
                                   "0FXqInJx2QBwALLyMxZcMB8GA1UdIwQYMBaAFIONzNcL0FXqInJx2QBwALLyMxZc\n"
                                   "MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAPES75tqObyfUahu\n"
                                   "vWtbJWQndaYZiDFl6I7ZWuR/q+UfAiB4HqMCVU803rNfbvycey3A5+WEmC9iUkOo\n"
                                   "4Ak4MAL06g==\n"
                                   "-----END CERTIFICATE-----\n";
static const char client_key[] = "-----BEGIN PRIVATE KEY-----\n"
                                 "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg7/oe0jkIx33JILn/\n"
                                 "LreA7UdfNHMrAjrlcsKtqNJkSMmhRANCAATVgsj1cnXHrAnha6Ak41IqzbFCPZBV\n"
                                 "mLykJtdqlPjkFoz+TXZRqSdL4DsFDTzjrN7DqKrQ1Jny0RpARlAqH8p2\n"
                                 "-----END PRIVATE KEY-----\n";
static const char server_fingerprint[] = "52583904a993e3e1b431d46abd413ef69e5afbd67fc78ef144ddb62f3c967f5c";
static const char client_fingerprint[] = "1760745c670ad086461be4e282336f6ec01745a9e7b7a61bd98b269760d0edb7";

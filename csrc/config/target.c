#include "config/target.h"

#include "base/ascii.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOMAIN "kapturecrm.com"

static bool is_label(const char *s)
{
    size_t n = strlen(s);
    if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!kap_is_letter(s[i]) && !kap_is_digit(s[i]) && s[i] != '-')
            return false;
    return true;
}

/* 127.0.0.0/8 in four decimal parts. */
static bool is_loopback4(const char *s, size_t n)
{
    int parts = 0;
    size_t i = 0;
    while (i < n) {
        int value = 0, digits = 0;
        for (; i < n && kap_is_digit(s[i]) && digits < 4; i++) {
            value = value * 10 + (s[i] - '0');
            digits++;
        }
        if (digits == 0 || digits > 3 || value > 255 ||
            (digits > 1 && s[i - (size_t)digits] == '0'))
            return false;
        if (parts == 0 && value != 127)
            return false;
        parts++;
        if (i == n)
            break;
        if (s[i] != '.' || i + 1 == n)
            return false;
        i++;
    }
    return parts == 4;
}

static bool is_loopback(const char *host, size_t n)
{
    return (n == 9 && curl_strnequal(host, "localhost", 9)) ||
           (n == 5 && strncmp(host, "[::1]", 5) == 0) || is_loopback4(host, n);
}

/* Length of the host at the start of `s`, 0 where there is none. */
static size_t host_length(const char *s)
{
    size_t n = 0;
    if (s[0] == '[') {
        n = strspn(s + 1, "0123456789abcdefABCDEF:.");
        return n > 0 && s[1 + n] == ']' ? n + 2 : 0;
    }
    while (kap_is_letter(s[n]) || kap_is_digit(s[n]) || s[n] == '-' ||
           s[n] == '.' || s[n] == '_')
        n++;
    return n;
}

bool kap_target_secure(const char *base_url)
{
    return curl_strnequal(base_url, "https://", 8);
}

bool kap_target_loopback_proxy(const char *proxy)
{
    const char *host = strstr(proxy, "://");
    host = host != NULL ? host + 3 : proxy;
    /* an "@" behind the authority is no end of a user's name */
    const char *end = host + strcspn(host, "/?#\\");
    if (*end == '\\')
        return false;
    for (const char *p = host; p < end; p++)
        if (*p == '@')
            host = p + 1;
    size_t n = host_length(host);
    return is_loopback(host, n) &&
           (host[n] == '\0' || host[n] == ':' || host[n] == '/');
}

static bool bad(kap_failure *why, const char *url, const char *what)
{
    /* A url may hold a password: never repeat what stands before an "@". */
    if (strchr(url, '@') != NULL)
        kap_failure_set(why, KAP_KIND_CONFIG, "base_url: %s", what);
    else
        kap_failure_set(why, KAP_KIND_CONFIG, "base_url '%.200s': %s", url,
                        what);
    return false;
}

static bool check_port(const char *p, size_t *len)
{
    unsigned long port = 0;
    size_t n = 0;
    while (n < 6 && kap_is_digit(p[n]))
        port = port * 10 + (unsigned long)(p[n++] - '0');
    *len = n;
    return n > 0 && port >= 1 && port <= 65535;
}

/* More than servers take of a URL; and libcurl calls one of a megabyte a lack of
 * memory. */
#define BASE_URL_MAX 65536

static bool check_base_url(const char *url, kap_failure *why)
{
    const char *p;
    if (strlen(url) > BASE_URL_MAX)
        return bad(why, url, "longer than 65536 characters");
    bool secure = kap_target_secure(url);
    if (secure)
        p = url + 8;
    else if (curl_strnequal(url, "http://", 7))
        p = url + 7;
    else
        return bad(why, url, "https://host[:port][/prefix] expected");
    if (p[strcspn(p, "@/?#")] == '@' || strchr(p, '@') != NULL)
        return bad(why, url, "a user or an @ is not allowed in it");
    if (strpbrk(p, "?#") != NULL)
        return bad(why, url, "a query or fragment is not allowed in it");
    size_t host = host_length(p);
    if (host == 0 || p[0] == '.' || p[0] == '-')
        return bad(why, url, "it names no valid host");
    if (!secure && !is_loopback(p, host))
        return bad(why, url,
                   "plain http is allowed to loopback only (localhost, "
                   "127.x.x.x, [::1]); use https");
    p += host;
    if (*p == ':') {
        size_t digits;
        p++;
        if (!check_port(p, &digits))
            return bad(why, url, "its port is not one of 1 to 65535");
        p += digits;
    }
    if (*p != '\0' && *p != '/')
        return bad(why, url, "it names no valid host");
    for (; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f ||
            strchr("\\\"<>^`{|}", *p) != NULL)
            return bad(why, url,
                       "its path holds a character that must be "
                       "percent-encoded");
    return true;
}

/* The account's part of an address such as https://acme.kapturecrm.com/; its
 * length, 0 where it is none. */
static size_t account_in(const char *s, const char **name)
{
    const char *scheme = strstr(s, "://");
    *name = scheme != NULL ? scheme + 3 : s;
    size_t n = strcspn(*name, ".");
    const char *end = *name + n + strlen("." DOMAIN);
    bool is =
        n > 0 && curl_strnequal(*name + n, "." DOMAIN, strlen("." DOMAIN));
    return is && strchr("/:?#", *end) != NULL ? n : 0;
}

static void bad_subdomain(kap_failure *why, const char *s)
{
    const char *name;
    size_t n = account_in(s, &name);
    if (n > 0)
        kap_failure_set(why, KAP_KIND_CONFIG,
                        "subdomain '%.80s': give only '%.*s'", s,
                        (int)(n < 80 ? n : 80), name);
    else if (strstr(s, "://") != NULL)
        kap_failure_set(why, KAP_KIND_CONFIG,
                        "subdomain '%.80s': that is an address: give it as "
                        "'base_url'",
                        s);
    else
        kap_failure_set(why, KAP_KIND_CONFIG,
                        "subdomain '%.80s': one DNS label expected (letters, "
                        "digits and hyphens)",
                        s);
}

static const char *from_env(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

char *kap_target(const kap_settings *s, kap_failure *why)
{
    const char *base = s->base_url, *sub = s->subdomain;
    char *url = NULL;
    if (base == NULL && sub == NULL) {
        base = from_env("KAPTURE_BASE_URL");
        if (base == NULL)
            sub = from_env("KAPTURE_SUBDOMAIN");
    }
    if (base != NULL) {
        if (!check_base_url(base, why))
            return NULL;
        url = strdup(base);
        if (url != NULL) {
            size_t n = strlen(url);
            while (n > 0 && url[n - 1] == '/')
                url[--n] = '\0';
        }
    } else if (sub != NULL) {
        if (!is_label(sub)) {
            bad_subdomain(why, sub);
            return NULL;
        }
        size_t n = strlen(sub) + sizeof "https://." DOMAIN;
        url = malloc(n);
        if (url != NULL)
            snprintf(url, n, "https://%s." DOMAIN, sub);
    } else {
        kap_failure_set(why, KAP_KIND_CONFIG,
                        "no subdomain: set the option 'subdomain' or "
                        "'base_url', or the environment variable "
                        "KAPTURE_SUBDOMAIN or KAPTURE_BASE_URL");
        return NULL;
    }
    if (url == NULL)
        kap_failure_set(why, KAP_KIND_NOMEM, "not enough memory");
    return url;
}

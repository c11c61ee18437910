#include "base/failure.h"

#include "base/ascii.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct kind_row {
    const char *name;
    bool ends_call;
    bool isolates;
    const char *doc; /* for people: see tools/types.lua */
} kind_row;

static const kind_row kinds[KAP_KIND_COUNT] = {
    [KAP_KIND_NONE] = {"none", false, false, "no failure"},
    [KAP_KIND_CONFIG] = {"config", true, false,
                         "token, account, base_url or a header is missing or "
                         "unusable; nothing was sent"},
    [KAP_KIND_INVALID_IDS] = {"invalid_ids", false, false,
                              "no ids, or a value that is no id; nothing was "
                              "sent"},
    [KAP_KIND_AUTH] = {"auth", true, false,
                       "the service refused the token, or it has expired"},
    [KAP_KIND_FORBIDDEN] = {"forbidden", false, false, "HTTP 403"},
    [KAP_KIND_NOT_FOUND] = {"not_found", false, true, "HTTP 404"},
    [KAP_KIND_BAD_REQUEST] = {"bad_request", false, true,
                              "HTTP 400 and other 4xx, or a body that says "
                              "\"failed\""},
    [KAP_KIND_RATE_LIMITED] = {"rate_limited", false, false, "HTTP 429"},
    [KAP_KIND_SERVER] = {"server", false, true, "HTTP 5xx"},
    [KAP_KIND_TIMEOUT] = {"timeout", false, true,
                          "connecting, an attempt or the whole call took too "
                          "long"},
    [KAP_KIND_NETWORK] = {"network", false, false,
                          "DNS, refused, reset, closed early, in the TLS "
                          "handshake as well; a body shorter than promised"},
    [KAP_KIND_TLS] = {"tls", false, false,
                      "certificate, protocol version, alert"},
    [KAP_KIND_PROTOCOL] = {"protocol", false, true,
                           "the answer, or what stands in it in place of a "
                           "ticket, is not what the service is documented to "
                           "send"},
    [KAP_KIND_TOO_LARGE] = {"too_large", false, true,
                            "a body over max_response_bytes, or nested over "
                            "1000 deep"},
    [KAP_KIND_CANCELLED] = {"cancelled", true, false,
                            "request:cancel() was called"},
    [KAP_KIND_CLOSED] = {"closed", true, false, "the client was closed"},
    [KAP_KIND_MISSING] = {"missing", false, false,
                          "in the iterator: the service does not know this "
                          "id"},
    [KAP_KIND_NOMEM] = {"nomem", false, false, "out of memory"},
};

const char *kap_kind_name(kap_kind kind)
{
    return kinds[kind].name;
}

bool kap_kind_ends_call(kap_kind kind)
{
    return kinds[kind].ends_call;
}

bool kap_failure_isolates(const kap_failure *f)
{
    return !f->deadline &&
           (f->alone ? !kinds[f->kind].ends_call : kinds[f->kind].isolates);
}

void kap_failure_clear(kap_failure *f)
{
    f->kind = KAP_KIND_NONE;
    f->status = 0;
    f->attempts = 0;
    f->retry_after = -1;
    f->retryable = false;
    f->deadline = f->alone = false;
    f->body_len = 0;
    f->message[0] = '\0';
}

kap_failure kap_failure_unsent(const kap_failure *why)
{
    kap_failure f = *why;
    f.status = 0;
    f.attempts = 0;
    f.body_len = 0;
    return f;
}

void kap_failure_set(kap_failure *f, kap_kind kind, const char *fmt, ...)
{
    va_list ap;
    f->kind = kind;
    va_start(ap, fmt);
    vsnprintf(f->message, sizeof f->message, fmt, ap);
    va_end(ap);
    /* one line, fit for a log: the words may be a Lua error's, or libcurl's */
    for (char *s = f->message; *s != '\0'; s++)
        if (kap_is_control(*s))
            *s = ' ';
}

static int hex_value(const char *s, size_t n)
{
    int value = 0;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (kap_is_digit(c))
            value = value * 16 + (c - '0');
        else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
            value = value * 16 + (c | 0x20) - 'a' + 10;
        else
            return -1;
    }
    return value;
}

/* Of those of ASCII, what writers of HTML have names for in a token. */
static const struct {
    const char *name;
    unsigned char c;
} entities[] = {
    {"&amp;", '&'},   {"&lt;", '<'},    {"&gt;", '>'},     {"&quot;", '"'},
    {"&apos;", '\''}, {"&plus;", '+'},  {"&sol;", '/'},    {"&equals;", '='},
    {"&bsol;", '\\'}, {"&colon;", ':'}, {"&lowbar;", '_'},
};

static size_t match_name(const char *text, size_t len, unsigned char c)
{
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
        size_t n = strlen(entities[i].name);
        if (entities[i].c == c && n <= len &&
            memcmp(text, entities[i].name, n) == 0)
            return n;
    }
    return 0;
}

/* Length of "&#61;", "&#x3d;" or "&equals;" where it stands for c, else 0. */
static size_t match_entity(const char *text, size_t len, unsigned char c)
{
    size_t i = 2, digits = 0;
    int value = 0, base = 10;
    if (len < 4 || text[1] != '#')
        return match_name(text, len, c);
    if (text[i] == 'x' || text[i] == 'X') {
        base = 16;
        i++;
    }
    for (; i < len && text[i] != ';' && digits < 6; i++, digits++) {
        int digit = hex_value(text + i, 1);
        if (digit < 0 || digit >= base)
            return 0;
        value = value * base + digit;
    }
    return i < len && text[i] == ';' && value == c ? i + 1 : 0;
}

/* Length of what stands for c at text as writers of JSON, URLs and HTML put it;
 * 0: it is not put so. */
static size_t match_escape(const char *text, size_t len, unsigned char c)
{
    switch (*text) {
    case '\\':
        if (len >= 2 && (unsigned char)text[1] == c)
            return 2;
        return len >= 6 && text[1] == 'u' && hex_value(text + 2, 4) == c ? 6
                                                                         : 0;
    case '%': return len >= 3 && hex_value(text + 1, 2) == c ? 3 : 0;
    case '&': return match_entity(text, len, c);
    default: return 0;
    }
}

/* Length of c at text, escaped or plain; escaped first, because c may be the
 * escape character itself. */
static size_t match_char(const char *text, size_t len, unsigned char c)
{
    size_t n = match_escape(text, len, c);
    return n > 0 ? n : (unsigned char)*text == c;
}

/* Length of `secret` as it stands at text, or 0 where it does not. */
static size_t match(const char *text, size_t len, const char *secret, bool cut)
{
    size_t i = 0, n = strlen(secret);
    if (n > len && cut)
        n = len;
    if (n <= len && memcmp(text, secret, n) == 0)
        return n;
    for (; *secret != '\0'; secret++) {
        if (i >= len)
            return cut ? i : 0;
        n = match_char(text + i, len - i, (unsigned char)*secret);
        if (n == 0) /* an escape that is itself cut off? */
            return cut && i > 0 && len - i < 9 &&
                           strchr("\\%&", text[i]) != NULL
                       ? len
                       : 0;
        i += n;
    }
    return i;
}

size_t kap_redact(char *text, size_t len, const char *secret, bool cut)
{
    static const char stars[] = "***";
    if (secret == NULL || *secret == '\0')
        return len;
    size_t out = 0, in = 0;
    while (in < len) {
        size_t hit = match(text + in, len - in, secret, cut);
        if (hit == 0) {
            text[out++] = text[in++];
            continue;
        }
        in += hit;
        for (const char *s = stars; *s != '\0' && out < in; s++)
            text[out++] = *s;
    }
    return out;
}

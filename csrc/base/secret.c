#include "base/secret.h"

#include "base/ascii.h"

#include <stdlib.h>
#include <string.h>

void kap_secret_wipe(void *p, size_t len)
{
    /* a plain memset before free is dead code to a compiler */
#if defined(__GNUC__)
    if (len > 0)
        memset(p, 0, len);
    __asm__ __volatile__("" : : "r"(p) : "memory");
#else
    volatile unsigned char *b = p;
    while (len-- > 0)
        *b++ = 0;
#endif
}

void kap_secret_free(char *s)
{
    if (s != NULL) {
        kap_secret_wipe(s, strlen(s));
        free(s);
    }
}

/* redacting ------------------------------------------------------------------ */

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

size_t kap_secret_redact(char *text, size_t len, const char *secret, bool cut)
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

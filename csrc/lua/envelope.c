#include "lua/envelope.h"

#include <curl/curl.h>
#include <string.h>

/* Whether the raw text from `at` (at its quote) is this string, letter case
 * aside; one with escapes in it never is. */
static bool raw_is(const char *at, const char *end, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(end - at) >= n + 2 && *at == '"' && at[n + 1] == '"' &&
           curl_strnequal(at + 1, word, n);
}

char kap_envelope_first(const char *at, const char *end)
{
    at++;
    while (at < end &&
           (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at < end ? *at : '\0';
}

static void note_member(kap_envelope *e, const char *key, char *value,
                        const char *end)
{
    static const char details[] = "\"task_details\"";
    if ((size_t)(end - key) >= sizeof details - 1 &&
        memcmp(key, details, sizeof details - 1) == 0) {
        e->ticket = *value == '{'; /* of two, the last */
    } else if (raw_is(key, end, "status")) {
        e->failed = raw_is(value, end, "failed");
        e->success = raw_is(value, end, "success");
    } else if (raw_is(key, end, "message")) {
        e->message = value;
    } else if (*value == '"' && e->words == NULL) {
        e->words = value;
    } else if (*value == '[') {
        char first = kap_envelope_first(value, end);
        if (first == '{' && e->list == NULL)
            e->list = value;
        if (first == ']' && e->empty == NULL)
            e->empty = value;
    }
}

bool kap_envelope_read(kap_scan *s, kap_envelope *e)
{
    memset(e, 0, sizeof *e);
    kap_scan_take(s);
    if (kap_scan_peek(s) == '}') {
        kap_scan_take(s);
        e->end = s->p;
        return true;
    }
    s->depth++; /* what follows is inside the object */
    for (;;) {
        if (kap_scan_peek(s) != '"')
            return kap_scan_fail(s, "a member's name expected");
        const char *key = s->p;
        if (!kap_scan_skip(s))
            return false;
        if (kap_scan_peek(s) != ':')
            return kap_scan_fail(s, "':' expected");
        kap_scan_take(s);
        if (kap_scan_peek(s) < 0)
            return kap_scan_fail(s, "a value expected");
        char *value = s->p;
        if (!kap_scan_skip(s))
            return false;
        note_member(e, key, value, s->end);
        int c = kap_scan_peek(s);
        if (c != ',' && c != '}')
            return kap_scan_fail(s, "',' or '}' expected");
        kap_scan_take(s);
        if (c == '}')
            break;
    }
    s->depth--;
    e->end = s->p;
    return true;
}

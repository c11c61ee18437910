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

bool kap_envelope_read(kap_decode *d, kap_envelope *e)
{
    memset(e, 0, sizeof *e);
    kap_decode_take(d);
    if (kap_decode_peek(d) == '}') {
        kap_decode_take(d);
        e->end = d->p;
        return true;
    }
    d->depth++; /* what follows is inside the object */
    for (;;) {
        if (kap_decode_peek(d) != '"')
            return kap_decode_fail(d, "a member's name expected");
        const char *key = d->p;
        if (!kap_decode_skip(d))
            return false;
        if (kap_decode_peek(d) != ':')
            return kap_decode_fail(d, "':' expected");
        kap_decode_take(d);
        if (kap_decode_peek(d) < 0)
            return kap_decode_fail(d, "a value expected");
        char *value = d->p;
        if (!kap_decode_skip(d))
            return false;
        note_member(e, key, value, d->end);
        int c = kap_decode_peek(d);
        if (c != ',' && c != '}')
            return kap_decode_fail(d, "',' or '}' expected");
        kap_decode_take(d);
        if (c == '}')
            break;
    }
    d->depth--;
    e->end = d->p;
    return true;
}

#include "lua/response.h"

#include "base/ascii.h"
#include "base/clock.h"
#include "base/secret.h"
#include "lua/envelope.h"

#include <curl/curl.h>
#include <string.h>

/* Names and words that decide the kind whatever the HTTP status is; all are
 * the vendor's. Looked for in the beginning of what is no list of tickets. */
static const struct {
    const char *words;
    kap_kind kind;
} telling[] = {
    {"Invalid Auth Key", KAP_KIND_AUTH},
    {"AuthKeyInvalid", KAP_KIND_AUTH},
    {"APIExpired", KAP_KIND_AUTH},
    {"ServerFailure", KAP_KIND_SERVER},
    {"ReqFieldMissing", KAP_KIND_BAD_REQUEST},
    {"does not exist", KAP_KIND_NOT_FOUND},
};
#define TELLING_WINDOW 4096

static bool contains(const char *text, size_t len, const char *words)
{
    size_t n = strlen(words);
    for (size_t i = 0; i + n <= len; i++)
        if (curl_strnequal(text + i, words, n))
            return true;
    return false;
}

static kap_kind kind_by_status(long status)
{
    switch (status) {
    case 401: return KAP_KIND_AUTH;
    case 403: return KAP_KIND_FORBIDDEN;
    case 404: return KAP_KIND_NOT_FOUND;
    case 429: return KAP_KIND_RATE_LIMITED;
    default:
        if (status >= 500)
            return KAP_KIND_SERVER;
        if (status >= 400)
            return KAP_KIND_BAD_REQUEST;
        return KAP_KIND_PROTOCOL;
    }
}

/* A piece of a response that is no ticket: all of it, or an element of a list. */
typedef struct piece {
    const char *text;
    size_t len;
} piece;

/* The words in it that decide it; NULL: none. */
static const char *kind_by_words(const kap_transfer *t, piece of,
                                 kap_kind *kind)
{
    size_t n = of.len < TELLING_WINDOW ? of.len : TELLING_WINDOW;
    for (size_t i = 0; i < sizeof telling / sizeof *telling; i++) {
        /* a gateway's words don't turn one error status into another, but
         * a refused token is one under any status */
        if (t->status >= 400 && telling[i].kind != KAP_KIND_AUTH)
            continue;
        if (contains(of.text, n, telling[i].words)) {
            *kind = telling[i].kind;
            return telling[i].words;
        }
    }
    return NULL;
}

static bool is_refused_token(const kap_transfer *t, piece of)
{
    kap_kind kind;
    return kind_by_words(t, of, &kind) != NULL && kind == KAP_KIND_AUTH;
}

/* Quotes the beginning of a body. */
static void quote(const char *text, size_t len, const kap_transfer *t,
                  kap_failure *f)
{
    char head[KAP_RESPONSE_HEAD];
    size_t n = len < sizeof head ? len : sizeof head;
    memcpy(head, text, n);
    n = kap_secret_redact(head, n, t->message->token,
                          t->len > n || t->outcome != KAP_OUTCOME_RESPONSE ||
                              t->code != CURLE_OK);
    f->body_len = n < KAP_BODY_MAX ? n : KAP_BODY_MAX;
    memcpy(f->body, head, f->body_len);
    kap_secret_wipe(head, sizeof head);
}

void kap_response_quote(const kap_transfer *t, kap_failure *f)
{
    if (t->len > 0)
        quote(t->body, t->len, t, f);
}

/* Whether what was JSON so far ends in the middle: within a word, a number or an
 * escape, where the decoder may point to its beginning, or between two tokens. */
static bool breaks_off(const kap_response *r)
{
    const char *p = r->decode.p, *first = r->head, *end = r->head + r->head_len;
    while (first < end && memchr(" \t\r\n\xef\xbb\xbf", *first, 7) != NULL)
        first++;
    if (r->decode.status != KAP_JSON_SYNTAX || first == end ||
        (*first != '{' && *first != '['))
        return false;
    while (p < r->decode.end && (kap_is_letter(*p) || kap_is_digit(*p) ||
                                 memchr(".+-\\", *p, 4) != NULL))
        p++;
    return p >= r->decode.end;
}

/* A body of which nothing but the connection's end told the length, and that is
 * too short; or else something that is no answer of the service at all. Both may
 * be otherwise the next time. */
static void describe_end(const kap_response *r, const kap_transfer *t,
                         kap_failure *f)
{
    if (f->kind != KAP_KIND_PROTOCOL || !breaks_off(r))
        return;
    f->retryable = true;
    if (!t->framed)
        kap_failure_set(f, KAP_KIND_NETWORK,
                        "the connection was closed within the response: %s",
                        r->decode.error);
}

/* Everything about a failure but its message. */
static void describe(const kap_response *r, const kap_transfer *t,
                     kap_failure *f)
{
    describe_end(r, t, f);
    f->status = (int)t->status;
    quote(r->head, r->head_len, t, f);
}

static const char *reason(long status)
{
    switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "";
    }
}

/* The first string in the value, which may be a list or an object of such: it
 * has been skipped over already. NULL: there is none. */
static char *words_in(kap_response *r, char *value)
{
    kap_envelope inner;
    kap_decode *d = &r->decode;
    if (value != NULL && *value == '[') {
        d->p = value;
        kap_decode_take(d);
        value = kap_decode_peek(d) < 0 ? NULL : d->p;
    }
    if (value != NULL && *value == '{') {
        d->p = value;
        value = NULL;
        if (kap_envelope_read(d, &inner))
            value = inner.message != NULL ? inner.message : inner.words;
    }
    return value != NULL && *value == '"' ? value : NULL;
}

/* Copies a JSON string value's text as the message: one line, fit for a log.
 * False: it has none. */
static bool message_from(lua_State *L, kap_response *r, const kap_transfer *t,
                         char *value, kap_failure *f)
{
    size_t len, n = 0;
    const char *s;
    value = words_in(r, value);
    if (value == NULL)
        return false;
    r->decode.p = value;
    if (!kapL_decode_value(L, &r->decode))
        return false;
    s = lua_tolstring(L, -1, &len);
    bool cut = s != NULL && len >= sizeof f->message;
    if (cut) {
        len = sizeof f->message - 1;
        while (len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80)
            len--; /* not in the middle of a character */
    }
    for (size_t i = 0; s != NULL && i < len; i++) {
        char c = kap_is_control(s[i]) ? ' ' : s[i];
        if (c != ' ' || n > 0)
            f->message[n++] = c;
    }
    lua_pop(L, 1);
    n = kap_secret_redact(f->message, n, t->message->token, cut);
    while (n > 0 && f->message[n - 1] == ' ')
        n--;
    f->message[n] = '\0';
    return n > 0;
}

/* A failure by status or by a "failed" envelope, with the service's words. */
static kap_response_result refuse(lua_State *L, kap_response *r,
                                  const kap_transfer *t, piece of,
                                  kap_envelope *e, kap_failure *f)
{
    kap_kind kind = kind_by_status(t->status);
    if (t->status < 400)
        kind = KAP_KIND_BAD_REQUEST;
    const char *said = kind_by_words(t, of, &kind);
    f->kind = kind;
    f->retryable =
        kind != KAP_KIND_AUTH && (kap_transfer_passes(t->status) ||
                                  (kind == KAP_KIND_SERVER && t->status < 400));
    if (e == NULL || (!message_from(L, r, t, e->message, f) &&
                      !message_from(L, r, t, e->words, f))) {
        const char *words = said != NULL ? said : reason(t->status);
        kap_failure_set(f, kind, "HTTP %ld%s%s", t->status,
                        *words != '\0' ? " " : "", words);
    }
    return KAP_RESPONSE_FAILED;
}

static kap_response_result not_json(const kap_response *r, kap_failure *f)
{
    if (r->decode.status == KAP_JSON_DEPTH)
        kap_failure_set(f, KAP_KIND_TOO_LARGE,
                        "the response is nested deeper than %d levels",
                        KAP_DECODE_MAX_DEPTH);
    else
        kap_failure_set(f, KAP_KIND_PROTOCOL,
                        "the response is not valid JSON: %s", r->decode.error);
    return KAP_RESPONSE_FAILED;
}

static kap_response_result unknown(kap_failure *f, const char *what)
{
    kap_failure_set(f, KAP_KIND_PROTOCOL, "%s", what);
    return KAP_RESPONSE_FAILED;
}

/* Not the service's at all: a gateway's, say, and maybe not the next time. */
static kap_response_result no_answer(kap_failure *f, const char *what)
{
    f->retryable = true;
    return unknown(f, what);
}

/* JSON that is neither tickets nor a failure in the service's way; with its words,
 * where it has any. */
static kap_response_result unexplained(lua_State *L, kap_response *r,
                                       const kap_transfer *t, kap_envelope *e,
                                       const char *what, kap_failure *f)
{
    char said[KAP_MESSAGE_MAX];
    if (e == NULL || (!message_from(L, r, t, e->message, f) &&
                      !message_from(L, r, t, e->words, f)))
        return unknown(f, what);
    memcpy(said, f->message, sizeof said);
    kap_failure_set(f, KAP_KIND_PROTOCOL, "%s: %.200s", what, said);
    return KAP_RESPONSE_FAILED;
}

/*
 * What becomes of the ids whose tickets did not come, decided here alone. The
 * service does not know them if this request succeeded by its own word: a list of
 * tickets and of nothing else, or an envelope whose status is "success". Whatever
 * else it may be, it is no reason to call an id missing: they have failed.
 */
static kap_response_result verdict(kap_response *r, kap_failure *f)
{
    if (r->success && !r->faulty)
        return KAP_RESPONSE_TICKETS;
    if (!r->faulty)
        kap_failure_set(f, KAP_KIND_PROTOCOL,
                        "the response does not say that it is a success");
    f->alone = true;
    return KAP_RESPONSE_PARTLY;
}

/* A list in which the token was refused is that, whatever follows in it. */
static kap_response_result broken(kap_response *r, kap_failure *f)
{
    if (r->faulty && f->kind == KAP_KIND_AUTH)
        return KAP_RESPONSE_FAILED;
    kap_failure_clear(f);
    return not_json(r, f);
}

static kap_response_result finish(kap_response *r, kap_failure *f)
{
    if (r->rest != NULL)
        r->decode.p = r->rest;
    if (kap_decode_peek(&r->decode) >= 0) {
        kap_decode_fail(&r->decode, "something follows the end");
        return broken(r, f);
    }
    r->phase = KAP_RESPONSE_DONE;
    return verdict(r, f);
}

/* Where tickets go, and for how long. */
typedef struct course {
    const kap_transfer *transfer;
    const kap_fields *fields;
    kapL_ticket_sink sink;
    void *arg;
    int aside;
} course;

/* Of several elements that are no tickets, the one that tells most: a refused
 * token, then what the service calls a failure, then the first. */
static void note(kap_response *r, kap_failure *f, const kap_failure *one)
{
    if (!r->faulty ||
        (one->kind == KAP_KIND_AUTH && f->kind != KAP_KIND_AUTH) ||
        (one->kind != KAP_KIND_PROTOCOL && f->kind == KAP_KIND_PROTOCOL))
        *f = *one;
    r->faulty = true;
}

#define NO_TICKET "the response is a list of something else than tickets"

/* The element `of`, which is no ticket; `e`, or NULL: what it says. */
static void note_element(lua_State *L, kap_response *r, const course *to,
                         piece of, kap_envelope *e, kap_failure *f)
{
    const kap_transfer *t = to->transfer;
    kap_failure one;
    kap_failure_clear(&one);
    r->decode.dirty = true; /* its words are unescaped in place */
    if ((e != NULL && e->failed) || is_refused_token(t, of))
        refuse(L, r, t, of, e, &one);
    else
        unexplained(L, r, t, e, NO_TICKET, &one);
    r->decode.dirty = false;
    note(r, f, &one);
}

/* One ticket, or what is left of it. */
static kap_response_result one_ticket(lua_State *L, kap_response *r,
                                      const course *to, kap_failure *f)
{
    kap_decode *d = &r->decode;
    const char *start = d->p;
    if (d->paused > 0) {
        kapL_rawgetp(L, to->aside, r);
        lua_pushnil(L);
        kapL_rawsetp(L, to->aside, r); /* it exists: nothing is allocated */
    }
    if (!kapL_decode_ticket(L, d, to->fields)) {
        if (d->paused == 0)
            return broken(r, f);
        d->dirty = true; /* should there be no memory to keep it */
        kapL_rawsetp(L, to->aside, r);
        d->dirty = false;
        return KAP_RESPONSE_AGAIN;
    }
    if (!d->details) {
        const piece of = {start, (size_t)(d->p - start)};
        lua_pop(L, 1);
        note_element(L, r, to, of, NULL, f);
        return KAP_RESPONSE_TICKETS;
    }
    d->dirty = true; /* off the text, and not yet in its place */
    to->sink(L, to->arg, d->id, d->id_len);
    d->dirty = false;
    return KAP_RESPONSE_TICKETS;
}

static kap_response_result single(lua_State *L, kap_response *r,
                                  const course *to, kap_failure *f)
{
    r->phase = KAP_RESPONSE_SINGLE;
    kap_response_result result = one_ticket(L, r, to, f);
    return result == KAP_RESPONSE_TICKETS ? finish(r, f) : result;
}

/* Whether the object at d->p begins as tickets do. Only decoding tells whether it
 * is one; but most are, and are not to be read twice. */
static bool begins_as_ticket(kap_decode *d)
{
    static const char *const names[] = {"additional_info", "history",
                                        "task_details", "conversation_type"};
    char *start = d->p;
    bool so = false;
    kap_decode_take(d);
    if (kap_decode_peek(d) == '"') {
        size_t left = (size_t)(d->end - d->p);
        for (size_t i = 0; i < sizeof names / sizeof *names && !so; i++) {
            size_t n = strlen(names[i]);
            so = left > n + 2 && d->p[n + 1] == '"' &&
                 memcmp(d->p + 1, names[i], n) == 0;
            if (so)
                d->p += n + 2;
        }
        so = so && kap_decode_peek(d) == ':';
        if (so) {
            kap_decode_take(d);
            so = kap_decode_peek(d) == '{';
        }
    }
    d->p = start;
    return so;
}

/* An element that is an object: a ticket, or what the service says instead. */
static kap_response_result one_object(lua_State *L, kap_response *r,
                                      const course *to, kap_failure *f)
{
    kap_decode *d = &r->decode;
    char *start = d->p;
    kap_envelope e;
    if (d->paused > 0 || begins_as_ticket(d))
        return one_ticket(L, r, to, f);
    unsigned depth = d->depth;
    if (!kap_envelope_read(d, &e)) {
        d->p = start; /* decoding says more exactly what is wrong */
        d->depth = depth;
        d->status = KAP_JSON_OK;
        return one_ticket(L, r, to, f);
    }
    const piece of = {start, (size_t)(e.end - start)};
    if (e.ticket || !(e.failed || e.message != NULL ||
                      is_refused_token(to->transfer, of))) {
        /* (decoding checks it all: skipping does not) */
        d->p = start;
        return one_ticket(L, r, to, f);
    }
    note_element(L, r, to, of, &e, f);
    d->p = e.end;
    return KAP_RESPONSE_TICKETS;
}

/* An element that is none, c being its first byte: never a ticket. False: it is no
 * JSON either. */
static bool one_other(lua_State *L, kap_response *r, const course *to, int c,
                      kap_failure *f)
{
    kap_decode *d = &r->decode;
    kap_envelope e = {0};
    char *start = d->p;
    /* skipping does not check numbers and words; decoding does */
    if (c == '[' || c == '"' ? !kap_decode_skip(d) : !kapL_decode_value(L, d))
        return false;
    char *end = d->p;
    if (c == '"')
        e.message = start;
    else if (c != '[')
        lua_pop(L, 1);
    note_element(L, r, to, (piece){start, (size_t)(end - start)}, &e, f);
    d->p = end;
    return d->status == KAP_JSON_OK;
}

/* The next byte where an element or the end has to be; the comma is behind. */
static int next_element(kap_response *r)
{
    kap_decode *d = &r->decode;
    int c = kap_decode_peek(d);
    if (!r->more || c == ']')
        return c;
    if (c != ',') {
        kap_decode_fail(d, "',' or ']' expected");
        return -1;
    }
    kap_decode_take(d);
    r->more = false; /* should what follows raise, it is tried again */
    c = kap_decode_peek(d);
    return c == ']' ? -1 : c;
}

static kap_response_result elements(lua_State *L, kap_response *r,
                                    const course *to, kap_failure *f)
{
    kap_decode *d = &r->decode;
    for (;;) {
        int c = d->paused > 0 ? '{' : next_element(r);
        if (d->status != KAP_JSON_OK)
            return broken(r, f);
        if (c == ']') {
            kap_decode_take(d);
            return finish(r, f);
        }
        if (c < 0) {
            kap_decode_fail(d, "a ticket expected");
            return broken(r, f);
        }
        if (c == '{') {
            kap_response_result result = one_object(L, r, to, f);
            if (result != KAP_RESPONSE_TICKETS)
                return result;
        } else if (!one_other(L, r, to, c, f)) {
            return broken(r, f);
        }
        r->more = true;
        if (kap_now() >= d->until)
            return KAP_RESPONSE_AGAIN;
    }
}

/* The list of tickets that an envelope has, or NULL. Where nothing else says what
 * it holds, a success with an empty list is one of no tickets. */
static char *list_of(kap_response *r, const kap_envelope *e)
{
    char *message = e->message;
    if (message != NULL && *message != '[')
        message = NULL;
    if (!e->success)
        return message;
    if (message != NULL && kap_envelope_first(message, r->decode.end) != ']')
        return message;
    if (e->list != NULL)
        return e->list;
    return message != NULL ? message : e->empty;
}

static kap_response_result list(lua_State *L, kap_response *r, const course *to,
                                char *at, unsigned depth, kap_failure *f)
{
    r->decode.p = at + 1;
    r->decode.depth = depth;
    r->phase = KAP_RESPONSE_ELEMENTS;
    return elements(L, r, to, f);
}

/* The object form: finds the tickets in it, or what it says instead. */
static kap_response_result object(lua_State *L, kap_response *r,
                                  const course *to, kap_failure *f)
{
    const kap_transfer *t = to->transfer;
    const piece all = {t->body, t->len};
    kap_envelope e;
    char *start = r->decode.p;
    if (!kap_envelope_read(&r->decode, &e))
        return t->status >= 400 ? refuse(L, r, t, all, NULL, f)
                                : not_json(r, f);
    r->rest = e.end;
    r->success = e.success;
    if (t->status >= 400 || (e.failed && !e.ticket))
        return refuse(L, r, t, all, &e, f);
    char *tickets = e.ticket ? NULL : list_of(r, &e);
    char first =
        tickets != NULL ? kap_envelope_first(tickets, r->decode.end) : '\0';
    if (first == '"' ||
        (first == ']' && (!e.success || is_refused_token(t, all))))
        tickets = NULL; /* words, or none */
    if (tickets != NULL)
        return list(L, r, to, tickets, 2, f);
    if (!e.ticket && e.message != NULL && *e.message == '{') {
        kap_envelope inner;
        r->decode.p = e.message;
        r->decode.depth = 1;
        if (!kap_envelope_read(&r->decode, &inner))
            return not_json(r, f);
        if (inner.ticket) {
            start = e.message;
            e.ticket = true;
        }
    }
    if (e.ticket) {
        r->decode.depth = start == e.message;
        r->decode.p = start;
        return single(L, r, to, f);
    }
    if (is_refused_token(t, all))
        return refuse(L, r, t, all, &e, f);
    if (e.success && e.message != NULL && *e.message == '{' &&
        kap_envelope_first(e.message, r->decode.end) == '}')
        return finish(r, f); /* where the one ticket would be, there is none */
    return unexplained(L, r, t, &e,
                       e.success
                           ? "the response says success and holds no tickets"
                           : "the response is JSON of no known shape",
                       f);
}

static void begin(kap_response *r, kap_transfer *t)
{
    static char none[1];
    r->head_len = t->len < sizeof r->head ? t->len : sizeof r->head;
    if (t->len > 0)
        memcpy(r->head, t->body, r->head_len);
    kap_decode_init(&r->decode, t->len > 0 ? t->body : none, t->len);
    if (t->len >= 3 && memcmp(t->body, "\xef\xbb\xbf", 3) == 0)
        r->decode.p += 3; /* a byte order mark says nothing here */
}

static kap_response_result first_look(lua_State *L, kap_response *r,
                                      const course *to, kap_failure *f)
{
    const kap_transfer *t = to->transfer;
    const piece all = {t->body, t->len};
    int c = kap_decode_peek(&r->decode);
    if (t->status >= 300 && t->status < 400) {
        kap_failure_set(f, KAP_KIND_PROTOCOL,
                        "HTTP %ld: a redirect, which is never followed",
                        t->status);
        return KAP_RESPONSE_FAILED;
    }
    if (c == '{')
        return object(L, r, to, f);
    if (t->status >= 400) {
        kap_envelope e = {0};
        e.message = c == '[' ? r->decode.p : NULL;
        bool whole = e.message != NULL && kap_decode_skip(&r->decode);
        return refuse(L, r, t, all, whole ? &e : NULL, f);
    }
    if (t->status < 200) {
        kap_failure_set(f, KAP_KIND_PROTOCOL, "HTTP %ld is no answer",
                        t->status);
        return KAP_RESPONSE_FAILED;
    }
    if (c == '[') {
        r->success = true;
        return list(L, r, to, r->decode.p, 1, f);
    }
    if (c < 0)
        return no_answer(f, "the response is empty");
    if (is_refused_token(t, all))
        return refuse(L, r, t, all, NULL, f);
    if (c == '<' || t->html)
        return no_answer(f, "the response is an HTML page, not JSON");
    if (!kapL_decode_value(L, &r->decode))
        return not_json(r, f);
    if (kap_decode_peek(&r->decode) >= 0) {
        kap_decode_fail(&r->decode, "something follows the end");
        return not_json(r, f);
    }
    return unknown(f, "the response is JSON of no known shape");
}

kap_response_result kapL_response(lua_State *L, kap_response *r,
                                  kap_transfer *t, int array_mt, int aside,
                                  double until, kapL_ticket_sink sink,
                                  void *arg, kap_failure *f)
{
    kap_decode_session session;
    kap_response_result result;
    const course to = {t, t->settings->fields, sink, arg,
                       kapL_absindex(L, aside)};
    if (r->phase ==
        KAP_RESPONSE_DONE) /* and then its event could not be made */
        return verdict(r, f);
    if (r->phase == KAP_RESPONSE_NEW) {
        begin(r, t);
        kap_failure_clear(f);
    }
    r->decode.until = until;
    kapL_decode_begin(L, &r->decode, &session, array_mt);
    if (r->phase == KAP_RESPONSE_NEW)
        result = first_look(L, r, &to, f);
    else if (r->phase == KAP_RESPONSE_SINGLE)
        result = single(L, r, &to, f);
    else
        result = elements(L, r, &to, f);
    kapL_decode_end(L, &r->decode);
    t->faulty = r->faulty;
    if (result == KAP_RESPONSE_FAILED || result == KAP_RESPONSE_PARTLY)
        describe(r, t, f);
    return result;
}

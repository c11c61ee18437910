#include "lua/response.h"

#include "base/clock.h"
#include "json/raw.h"

#include <string.h>

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
static kap_response_result broken(const kap_response *r, kap_failure *f)
{
    if (!r->faulty || f->kind != KAP_KIND_AUTH) {
        kap_failure_clear(f);
        kap_refusal_not_json(&r->decode.scan, f);
    }
    return KAP_RESPONSE_FAILED;
}

static kap_response_result finish(kap_response *r, kap_failure *f)
{
    if (r->rest != NULL)
        r->decode.scan.p = r->rest;
    if (kap_scan_peek(&r->decode.scan) >= 0) {
        kap_scan_fail(&r->decode.scan, "something follows the end");
        return broken(r, f);
    }
    return verdict(r, f);
}

/* Where tickets go, and for how long. */
typedef struct course {
    const kap_transfer *transfer;
    kap_fields *fields;
    bool raw; /* tickets are handed over as text */
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
                         kap_piece of, const kap_envelope *e, kap_failure *f)
{
    const kap_transfer *t = to->transfer;
    kap_failure one;
    kap_failure_clear(&one);
    if ((e != NULL && e->failed) || kap_refusal_of_token(t, of))
        kapL_refusal(L, &r->decode, t, of, e, &one);
    else
        kapL_refusal_unexplained(L, &r->decode, t, e, NO_TICKET, &one);
    note(r, f, &one);
}

/* One ticket, or what is left of it. */
static kap_response_result one_ticket(lua_State *L, kap_response *r,
                                      const course *to, kap_failure *f)
{
    kap_decode *d = &r->decode;
    if (d->paused == 0) {
        r->start = d->scan.p;
    } else if (!to->raw) {
        kapL_rawgetp(L, to->aside, r);
        lua_pushnil(L);
        kapL_rawsetp(L, to->aside, r); /* it exists: nothing is allocated */
    }
    if (to->raw ? !kapL_raw_ticket(L, d)
                : !kapL_decode_ticket(L, d, to->fields)) {
        if (d->paused == 0)
            return broken(r, f);
        if (!to->raw)
            kapL_rawsetp(L, to->aside, r);
        return KAP_RESPONSE_AGAIN;
    }
    if (!d->details) {
        kap_piece of = {r->start, (size_t)(d->scan.p - r->start)};
        if (to->raw) /* blanks have been taken out of the text */
            of.text = lua_tolstring(L, -1, &of.len);
        note_element(L, r, to, of, NULL, f);
        lua_pop(L, 1);
        return KAP_RESPONSE_TICKETS;
    }
    to->sink(L, to->arg, d->id, d->id_len);
    return KAP_RESPONSE_TICKETS;
}

static kap_response_result single(lua_State *L, kap_response *r,
                                  const course *to, kap_failure *f)
{
    r->phase = KAP_RESPONSE_SINGLE;
    kap_response_result result = one_ticket(L, r, to, f);
    return result == KAP_RESPONSE_TICKETS ? finish(r, f) : result;
}

/* Whether the object at s->p begins as tickets do. Only decoding tells whether it
 * is one; but most are, and are not to be read twice. */
static bool begins_as_ticket(kap_scan *s)
{
    static const char *const names[] = {"additional_info", "history",
                                        "task_details", "conversation_type"};
    char *start = s->p;
    bool so = false;
    kap_scan_take(s);
    if (kap_scan_peek(s) == '"') {
        size_t left = (size_t)(s->end - s->p);
        for (size_t i = 0; i < sizeof names / sizeof *names && !so; i++) {
            size_t n = strlen(names[i]);
            so = left > n + 2 && s->p[n + 1] == '"' &&
                 memcmp(s->p + 1, names[i], n) == 0;
            if (so)
                s->p += n + 2;
        }
        so = so && kap_scan_peek(s) == ':';
        if (so) {
            kap_scan_take(s);
            so = kap_scan_peek(s) == '{';
        }
    }
    s->p = start;
    return so;
}

/* An element that is an object: a ticket, or what the service says instead. */
static kap_response_result one_object(lua_State *L, kap_response *r,
                                      const course *to, kap_failure *f)
{
    kap_scan *s = &r->decode.scan;
    char *start = s->p;
    kap_envelope e;
    if (r->decode.paused > 0 || begins_as_ticket(s))
        return one_ticket(L, r, to, f);
    unsigned depth = s->depth;
    if (!kap_envelope_read(s, &e)) {
        s->p = start; /* decoding says more exactly what is wrong */
        s->depth = depth;
        s->status = KAP_SCAN_OK;
        return one_ticket(L, r, to, f);
    }
    const kap_piece of = {start, (size_t)(e.end - start)};
    if (e.ticket || !(e.failed || e.message != NULL ||
                      kap_refusal_of_token(to->transfer, of))) {
        /* (decoding checks it all: skipping does not) */
        s->p = start;
        return one_ticket(L, r, to, f);
    }
    note_element(L, r, to, of, &e, f);
    s->p = e.end;
    return KAP_RESPONSE_TICKETS;
}

/* An element that is none, c being its first byte: never a ticket. False: it is no
 * JSON either. */
static bool one_other(lua_State *L, kap_response *r, const course *to, int c,
                      kap_failure *f)
{
    kap_scan *s = &r->decode.scan;
    kap_envelope e = {0};
    char *start = s->p;
    /* skipping does not check numbers and words; decoding does */
    if (c == '[' || c == '"' ? !kap_scan_skip(s)
                             : !kapL_decode_value(L, &r->decode))
        return false;
    char *end = s->p;
    if (c == '"')
        e.message = start;
    else if (c != '[')
        lua_pop(L, 1);
    note_element(L, r, to, (kap_piece){start, (size_t)(end - start)}, &e, f);
    s->p = end;
    return s->status == KAP_SCAN_OK;
}

/* The next byte where an element or the end has to be; the comma is behind. */
static int next_element(kap_response *r)
{
    kap_scan *s = &r->decode.scan;
    int c = kap_scan_peek(s);
    if (!r->more || c == ']')
        return c;
    if (c != ',') {
        kap_scan_fail(s, "',' or ']' expected");
        return -1;
    }
    kap_scan_take(s);
    c = kap_scan_peek(s);
    return c == ']' ? -1 : c;
}

static kap_response_result elements(lua_State *L, kap_response *r,
                                    const course *to, kap_failure *f)
{
    kap_scan *s = &r->decode.scan;
    for (;;) {
        int c = r->decode.paused > 0 ? '{' : next_element(r);
        if (s->status != KAP_SCAN_OK)
            return broken(r, f);
        if (c == ']') {
            kap_scan_take(s);
            return finish(r, f);
        }
        if (c < 0) {
            kap_scan_fail(s, "a ticket expected");
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
        if (kap_now() >= r->decode.until)
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
    if (message != NULL &&
        kap_envelope_first(message, r->decode.scan.end) != ']')
        return message;
    if (e->list != NULL)
        return e->list;
    return message != NULL ? message : e->empty;
}

static kap_response_result list(lua_State *L, kap_response *r, const course *to,
                                char *at, unsigned depth, kap_failure *f)
{
    r->decode.scan.p = at + 1;
    r->decode.scan.depth = depth;
    r->phase = KAP_RESPONSE_ELEMENTS;
    return elements(L, r, to, f);
}

#define NO_KNOWN_SHAPE "the response is JSON of no known shape"

/* The whole response is the service's refusal; `e`, or NULL: what it says. */
static kap_response_result refuse(lua_State *L, kap_response *r,
                                  const kap_transfer *t, const kap_envelope *e,
                                  kap_failure *f)
{
    const kap_piece all = {t->body, t->len};
    kapL_refusal(L, &r->decode, t, all, e, f);
    return KAP_RESPONSE_FAILED;
}

static kap_response_result not_json(const kap_response *r, kap_failure *f)
{
    kap_refusal_not_json(&r->decode.scan, f);
    return KAP_RESPONSE_FAILED;
}

static kap_response_result no_answer(kap_failure *f, const char *what)
{
    kap_refusal_no_answer(f, what);
    return KAP_RESPONSE_FAILED;
}

/* The object form: finds the tickets in it, or what it says instead. */
static kap_response_result object(lua_State *L, kap_response *r,
                                  const course *to, kap_failure *f)
{
    const kap_transfer *t = to->transfer;
    const kap_piece all = {t->body, t->len};
    kap_envelope e;
    char *start = r->decode.scan.p;
    if (!kap_envelope_read(&r->decode.scan, &e))
        return t->status >= 400 ? refuse(L, r, t, NULL, f) : not_json(r, f);
    r->rest = e.end;
    r->success = e.success;
    if (t->status >= 400 || (e.failed && !e.ticket))
        return refuse(L, r, t, &e, f);
    char *tickets = e.ticket ? NULL : list_of(r, &e);
    char first = tickets != NULL
                     ? kap_envelope_first(tickets, r->decode.scan.end)
                     : '\0';
    if (first == '"' ||
        (first == ']' && (!e.success || kap_refusal_of_token(t, all))))
        tickets = NULL; /* words, or none */
    if (tickets != NULL)
        return list(L, r, to, tickets, 2, f);
    if (!e.ticket && e.message != NULL && *e.message == '{') {
        kap_envelope inner;
        r->decode.scan.p = e.message;
        r->decode.scan.depth = 1;
        if (!kap_envelope_read(&r->decode.scan, &inner))
            return not_json(r, f);
        if (inner.ticket) {
            start = e.message;
            e.ticket = true;
        }
    }
    if (e.ticket) {
        r->decode.scan.depth = start == e.message;
        r->decode.scan.p = start;
        return single(L, r, to, f);
    }
    if (kap_refusal_of_token(t, all))
        return refuse(L, r, t, &e, f);
    if (e.success && e.message != NULL && *e.message == '{' &&
        kap_envelope_first(e.message, r->decode.scan.end) == '}')
        return finish(r, f); /* where the one ticket would be, there is none */
    kapL_refusal_unexplained(L, &r->decode, t, &e,
                             e.success ? "the response says success and holds "
                                         "no tickets"
                                       : NO_KNOWN_SHAPE,
                             f);
    return KAP_RESPONSE_FAILED;
}

static void begin(kap_response *r, kap_transfer *t)
{
    static char none[1];
    r->head_len = t->len < sizeof r->head ? t->len : sizeof r->head;
    if (t->len > 0)
        memcpy(r->head, t->body, r->head_len);
    kap_decode_init(&r->decode, t->len > 0 ? t->body : none, t->len);
    if (t->len >= 3 && memcmp(t->body, "\xef\xbb\xbf", 3) == 0)
        r->decode.scan.p += 3; /* a byte order mark says nothing here */
}

static kap_response_result first_look(lua_State *L, kap_response *r,
                                      const course *to, kap_failure *f)
{
    const kap_transfer *t = to->transfer;
    int c = kap_scan_peek(&r->decode.scan);
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
        e.message = c == '[' ? r->decode.scan.p : NULL;
        bool whole = e.message != NULL && kap_scan_skip(&r->decode.scan);
        return refuse(L, r, t, whole ? &e : NULL, f);
    }
    if (t->status < 200) {
        kap_failure_set(f, KAP_KIND_PROTOCOL, "HTTP %ld is no answer",
                        t->status);
        return KAP_RESPONSE_FAILED;
    }
    if (c == '[') {
        r->success = true;
        return list(L, r, to, r->decode.scan.p, 1, f);
    }
    if (c < 0)
        return no_answer(f, "the response is empty");
    if (kap_refusal_of_token(t, (kap_piece){t->body, t->len}))
        return refuse(L, r, t, NULL, f);
    if (c == '<' || t->html)
        return no_answer(f, "the response is an HTML page, not JSON");
    if (!kapL_decode_value(L, &r->decode))
        return not_json(r, f);
    if (kap_scan_peek(&r->decode.scan) >= 0) {
        kap_scan_fail(&r->decode.scan, "something follows the end");
        return not_json(r, f);
    }
    kap_refusal_unknown(f, NO_KNOWN_SHAPE);
    return KAP_RESPONSE_FAILED;
}

kap_response_result kapL_response(lua_State *L, kap_response *r,
                                  kap_transfer *t,
                                  const kap_response_slots *slots, double until,
                                  kapL_ticket_sink sink, void *arg,
                                  kap_failure *f)
{
    kap_response_result result;
    const course to = {t,   t->settings->fields, t->settings->raw, sink,
                       arg, slots->aside};
    if (r->phase == KAP_RESPONSE_NEW) {
        begin(r, t);
        kap_failure_clear(f);
    }
    r->decode.until = until;
    kapL_session_open(L, &r->decode, slots->session, slots->array_mt);
    if (r->phase == KAP_RESPONSE_NEW)
        result = first_look(L, r, &to, f);
    else if (r->phase == KAP_RESPONSE_SINGLE)
        result = single(L, r, &to, f);
    else
        result = elements(L, r, &to, f);
    kapL_session_close(L, &r->decode);
    t->faulty = r->faulty;
    if (result == KAP_RESPONSE_FAILED || result == KAP_RESPONSE_PARTLY)
        kap_refusal_describe(&r->decode.scan, (kap_piece){r->head, r->head_len},
                             t, f);
    return result;
}

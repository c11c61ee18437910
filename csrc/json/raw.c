/*
 * One loop over the text, no recursion; of the open containers a bit each says
 * whether it is an object. Blanks are taken out in place, by moving what stands
 * between two of them: an answer without any is not moved at all.
 */
#include "json/raw.h"

#include "base/clock.h"
#include "json/member.h"
#include "json/number.h"
#include "json/scalar.h"

/* So many bytes may stand for n: an escape takes six at most. */
#define ESCAPED(n) (6 * (n))

/* The unescaped text of the literal from `p` (at its quote) to `q`, in `copy`,
 * which has room for ESCAPED(most) bytes and two quotes; false: it has more
 * than `most` bytes. */
static bool unescaped(const char *p, const char *q, char *copy, size_t most,
                      size_t *len)
{
    size_t n = (size_t)(q - p);
    kap_scan s;

    if (n > ESCAPED(most) + 2)
        return false;
    memcpy(copy, p, n);
    kap_scan_init(&s, copy, n);
    return kap_scan_read_text(&s, copy, len) != NULL;
}

/* What the member whose name is the literal from p to q, with escapes, leads
 * to. */
static unsigned mark_of(unsigned mark, const char *p, const char *q)
{
    enum { MOST = 16 };
    char copy[ESCAPED(MOST) + 2];
    size_t len;

    if (!unescaped(p, q, copy, MOST, &len))
        return KAP_MARK_NONE;
    return kap_member_mark(mark, copy + 1, len);
}

static void take_id(kap_decode *d, const char *p, const char *q)
{
    char copy[ESCAPED(KAP_ID_LENGTH_MAX) + 2];
    size_t len;

    d->id_len = 0;
    if (*p != '"')
        kap_scalar_number_id(d, p, q);
    else if (unescaped(p, q, copy, KAP_ID_LENGTH_MAX, &len))
        kap_scalar_text_id(d, copy + 1, len);
}

/* Moves what has been read since `from` to `out`. */
static void move(kap_raw *r, const char *p)
{
    size_t n = (size_t)(p - r->from);

    if (r->out != r->from)
        memmove(r->out, r->from, n);
    r->out += n;
}

static char *take_blanks(kap_raw *r, char *p, const char *end)
{
    char *q = kap_skip_blanks(p, end);

    if (q > p) {
        move(r, p);
        r->from = q;
    }
    return q;
}

/* The next token's first byte, or the end. */
static inline char *next_token(kap_raw *r, char *p, const char *end)
{
    return p < end && (unsigned char)*p > ' ' ? p : take_blanks(r, p, end);
}

/* The byte after the literal at p, or NULL: s->error is set. */
static inline char *check_text(kap_scan *s, char *p)
{
    char *q = kap_scan_text(p + 1, s->end);

    return q < s->end && *q == '"' ? q + 1 : kap_scan_check_escapes(s, q);
}

/* Likewise for a number, a word, or what is none. */
static char *check_other(kap_scan *s, char *p)
{
    static const char *const words[] = {"null", "true", "false"};
    char *const end = s->end;

    if (p < end && (*p == '-' || kap_is_digit(*p))) {
        kap_number n;
        char *bad, *q;

        if (end - p >= KAP_VALUE_ROOM && *p != '-') {
            int64_t value;

            q = kap_scan_digits(p, &value);
            if ((*q == ',' || *q == '}') && (*p != '0' || q == p + 1))
                return q;
        }
        q = kap_number_read(p, end, &n, &bad);
        if (q == NULL)
            kap_scan_fail_at(s, bad, "invalid number");
        return q;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);

        if ((size_t)(end - p) >= len && memcmp(p, words[i], len) == 0)
            return p + len;
    }
    kap_scan_fail_at(s, p, "expected a value");
    return NULL;
}

/* False: there are too many around it. */
static bool open_container(kap_decode *d, char *p, unsigned mark)
{
    kap_raw *r = &d->raw;
    uint64_t bit = UINT64_C(1) << r->depth % 64;

    if (r->depth + 1 + d->scan.depth > KAP_SCAN_MAX_DEPTH) {
        d->scan.status = KAP_SCAN_DEPTH;
        return kap_scan_fail_at(&d->scan, p, "nested too deeply");
    }
    r->object = *p == '{';
    r->curly[r->depth / 64] &= ~bit;
    if (r->object)
        r->curly[r->depth / 64] |= bit;
    r->depth++;
    if (r->depth == 2)
        r->details = mark == KAP_MARK_DETAILS;
    return true;
}

static void close_container(kap_raw *r)
{
    if (--r->depth > 0)
        r->object =
            (r->curly[(r->depth - 1) / 64] >> (r->depth - 1) % 64 & 1) != 0;
}

/* The mark of the container that is open. */
static inline unsigned open_mark(const kap_raw *r)
{
    return r->depth == 1                 ? KAP_MARK_TICKET
           : r->depth == 2 && r->details ? KAP_MARK_DETAILS
                                         : KAP_MARK_NONE;
}

/* At the labels, p is
 *     value           where a value starts, whose mark is `mark`
 *     built           after a value
 *     member          where a member starts, after bracket or comma */
bool kapL_raw_ticket(lua_State *L, kap_decode *d)
{
    kap_scan *const s = &d->scan;
    kap_raw *const r = &d->raw;
    char *const end = s->end;
    char *p = s->p, *q, *look;
    unsigned mark = KAP_MARK_TICKET;

    if (s->status != KAP_SCAN_OK)
        return false;
    if (d->paused == 0) {
        d->id_len = 0;
        d->details = false;
        p = kap_skip_blanks(p, end);
        memset(r, 0, sizeof *r);
        r->start = r->from = r->out = p;
    }
    look = (size_t)(end - p) > d->stride ? p + d->stride : end;
    if (d->paused > 0) {
        d->paused = 0;
        goto after;
    }

value:
    if (mark != KAP_MARK_NONE)
        kap_member_enter(d, mark, p);
    if (p < end && *p == '"') {
        q = check_text(s, p);
    } else if (p < end && (*p == '{' || *p == '[')) {
        if (!open_container(d, p, mark))
            return false;
        p = next_token(r, p + 1, end);
        if (p < end && *p == (r->object ? '}' : ']'))
            goto closed;
        if (r->object)
            goto member;
        mark = KAP_MARK_NONE;
        goto value;
    } else {
        q = check_other(s, p);
    }
    if (q == NULL)
        return false;
    if (mark == KAP_MARK_ID)
        take_id(d, p, q);
    p = q;

built:
    if (r->depth == 0) {
        move(r, p);
        s->p = p;
        lua_pushlstring(L, r->start, (size_t)(r->out - r->start));
        return true;
    }
    if (p >= look) {
        if (kap_now() >= d->until) {
            s->p = p;
            d->paused = r->depth;
            return false;
        }
        look = (size_t)(end - p) > d->stride ? p + d->stride : end;
    }

after:
    if (p == end || *p != ',')
        p = take_blanks(r, p, end);
    if (p < end && *p == ',') {
        p = next_token(r, p + 1, end);
        if (r->object)
            goto member;
        mark = KAP_MARK_NONE;
        goto value;
    }
    if (p == end || *p != (r->object ? '}' : ']'))
        return kap_scan_fail_at(s, p,
                                r->object ? "expected ',' or '}'"
                                          : "expected ',' or ']'");

closed:
    close_container(r);
    p++;
    goto built;

member:
    if (p == end || *p != '"')
        return kap_scan_fail_at(s, p, "expected a member name");
    mark = open_mark(r);
    q = kap_scan_text(p + 1, end);
    if (q < end && *q == '"') {
        if (mark != KAP_MARK_NONE)
            mark = kap_member_mark(mark, p + 1, (size_t)(q - (p + 1)));
        q++;
    } else {
        q = kap_scan_check_escapes(s, q);
        if (q == NULL)
            return false;
        mark = mark_of(mark, p, q);
    }
    p = q;
    if (p == end || *p != ':') {
        p = take_blanks(r, p, end);
        if (p == end || *p != ':')
            return kap_scan_fail_at(s, p, "expected ':'");
    }
    p = next_token(r, p + 1, end);
    goto value;
}

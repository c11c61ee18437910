/* Escapes, skipping, and what the decoder says when it fails. */
#include "decode_scan.h"

#include <stdio.h>

void kap_decode_init(kap_decode *d, char *text, size_t len)
{
    memset(d, 0, sizeof *d);
    d->base = d->p = text;
    d->end = text + len;
    d->status = KAP_JSON_OK;
}

int kap_decode_peek(kap_decode *d)
{
    d->p = kap_skip_blanks(d->p, d->end);
    return d->p < d->end ? (unsigned char)*d->p : -1;
}

void kap_decode_take(kap_decode *d)
{
    if (d->p < d->end)
        d->p++;
}

bool kap_decode_skip(kap_decode *d)
{
    char *p;

    if (d->status != KAP_JSON_OK)
        return false;
    p = kap_skip_value(d, 0, kap_skip_blanks(d->p, d->end));
    if (p == NULL)
        return false;
    d->p = p;
    return true;
}

bool kap_decode_fail(kap_decode *d, const char *what)
{
    if (d->status == KAP_JSON_OK)
        d->status = KAP_JSON_SYNTAX;
    snprintf(d->error, sizeof d->error, "%.60s at byte %llu", what,
             (unsigned long long)(d->p - d->base) + 1);
    return false;
}

bool kap_decode_fail_at(kap_decode *d, char *p, const char *what)
{
    d->p = p < d->end ? p : d->end;
    return kap_decode_fail(d, p < d->end ? what : "unexpected end");
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The code unit of the \u escape at p, or -1 if there is none. */
static long code_unit(const char *p, const char *end)
{
    long unit = 0;

    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int h = hex_value(p[i]);

        if (h < 0)
            return -1;
        unit = unit << 4 | h;
    }
    return unit;
}

static char *put_utf8(char *out, unsigned long c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *out++ = (char)(0xe0 | c >> 12);
        } else {
            *out++ = (char)(0xf0 | c >> 18);
            *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *out++ = (char)(0x80 | (c & 0x3f));
    return out;
}

/* The \u escape at *p, or two that make one character; a surrogate without
 * its other half becomes U+FFFD. False: it is none. */
static bool put_unicode(char **p, const char *end, char **out)
{
    long unit = code_unit(*p, end);
    unsigned long c = (unsigned long)unit;

    if (unit < 0)
        return false;
    *p += 6;
    if (unit >= 0xd800 && unit < 0xe000) {
        long low = unit < 0xdc00 ? code_unit(*p, end) : -1;

        c = 0xfffd;
        if (low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((unsigned long)(unit - 0xd800) << 10) +
                (unsigned long)(low - 0xdc00);
            *p += 6;
        }
    }
    *out = put_utf8(*out, c);
    return true;
}

/* What \c stands for, for each c; 0 where there is no such escape. */
static const char escape_value[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
};

/*
 * Plain text moves down in blocks, of which those bytes count that come before
 * the next special one. A store that would reach into what is still to be read
 * is made byte by byte: only while less than a block has been saved.
 */
char *kap_text_finish(kap_decode *d, char *text, char *q, size_t *len)
{
    char *const end = d->end;
    char *out = q;

    d->dirty = true;
    for (;;) {
        kap_mask m = 0;

        if (q == end || *q != '\\')
            break;
        if (end - q >= 2 && escape_value[(unsigned char)q[1]] != 0) {
            *out++ = escape_value[(unsigned char)q[1]];
            q += 2;
        } else if (!put_unicode(&q, end, &out)) {
            kap_decode_fail_at(d, q, "invalid escape");
            return NULL;
        }
        while (m == 0 && end - q >= KAP_BLOCK) {
            kap_block block = kap_block_at(q);
            unsigned n = KAP_BLOCK;

            m = kap_mask_text(block);
            if (m != 0)
                n = kap_mask_first(m);
            if (q + n - out >= KAP_BLOCK) {
                kap_block_store(out, block);
            } else {
                for (unsigned i = 0; i < n; i++)
                    out[i] = q[i];
            }
            out += n;
            q += n;
        }
        if (m == 0) {
            char *special = kap_scan_text(q, end);

            while (q < special)
                *out++ = *q++;
        }
    }
    if (q == end || *q != '"') {
        kap_decode_fail_at(d, q, "control character in a string");
        return NULL;
    }
    *len = (size_t)(out - text);
    return q + 1;
}

/* The byte after the closing quote; p is just after the opening one. */
static char *skip_text(kap_decode *d, char *p)
{
    char *const end = d->end;
    kap_mask escaped = 0;

    for (; end - p >= KAP_BLOCK; p += KAP_BLOCK) {
        kap_block block = kap_block_at(p);

        if ((kap_mask_quote(block) | escaped) != 0) {
            kap_mask quotes = kap_mask_real_quotes(block, &escaped);

            if (quotes != 0)
                return p + kap_mask_first(quotes) + 1;
        }
    }
    for (; p < end; p++) {
        if (escaped != 0)
            escaped = 0;
        else if (*p == '"')
            return p + 1;
        else if (*p == '\\')
            escaped = KAP_MARK_FIRST;
    }
    kap_decode_fail_at(d, end, "");
    return NULL;
}

/* The brackets that are open while a value is skipped. */
typedef struct brackets {
    unsigned depth, limit;
    uint64_t curly[KAP_DECODE_MAX_DEPTH / 64 + 1]; /* a bit for each */
} brackets;

/* Takes the bracket at p. False where it closes the first one or is wrong:
 * then depth is not 0. */
static inline bool take_bracket(brackets *b, const char *p)
{
    uint64_t bit;

    if (*p == '{' || *p == '[') {
        if (b->depth >= b->limit)
            return false;
        bit = UINT64_C(1) << b->depth % 64;
        b->curly[b->depth / 64] &= ~bit;
        if (*p == '{')
            b->curly[b->depth / 64] |= bit;
        b->depth++;
        return true;
    }
    bit = b->curly[(b->depth - 1) / 64] >> (b->depth - 1) % 64 & 1;
    if (bit != (*p == '}'))
        return false;
    return --b->depth > 0;
}

/* What take_bracket has to say when it is false. */
static char *last_bracket(kap_decode *d, const brackets *b, char *p)
{
    if (b->depth == 0)
        return p + 1;
    if (*p == '{' || *p == '[') {
        d->status = KAP_JSON_DEPTH;
        kap_decode_fail_at(d, p, "nested too deeply");
    } else {
        kap_decode_fail_at(d, p, "the wrong closing bracket");
    }
    return NULL;
}

static char *skip_container(kap_decode *d, unsigned level, char *p)
{
    char *const end = d->end;
    kap_mask escaped = 0;
    bool in_text = false;
    brackets b;

    b.depth = 0;
    level += d->depth;
    b.limit = level < KAP_DECODE_MAX_DEPTH ? KAP_DECODE_MAX_DEPTH - level : 0;
    for (; end - p >= KAP_BLOCK; p += KAP_BLOCK) {
        kap_block block = kap_block_at(p);
        kap_mask quotes, m;

        if (in_text && (kap_mask_quote(block) | escaped) == 0)
            continue;
        quotes = kap_mask_real_quotes(block, &escaped);
        for (m = quotes | kap_gather(kap_bracket(block)); m != 0; m &= m - 1) {
            char *at = p + kap_mask_first(m);

            if (*at == '"')
                in_text = !in_text;
            else if (!in_text && !take_bracket(&b, at))
                return last_bracket(d, &b, at);
        }
    }
    for (; p < end; p++) {
        if (escaped != 0)
            escaped = 0;
        else if (*p == '\\')
            escaped = KAP_MARK_FIRST;
        else if (*p == '"')
            in_text = !in_text;
        else if (!in_text && ((*p | 0x20) == '{' || (*p | 0x20) == '}') &&
                 !take_bracket(&b, p))
            return last_bracket(d, &b, p);
    }
    kap_decode_fail_at(d, p, "");
    return NULL;
}

char *kap_skip_value(kap_decode *d, unsigned level, char *p)
{
    char *start = p;

    if (p < d->end && *p == '"')
        return skip_text(d, p + 1);
    if (p < d->end && (*p == '{' || *p == '['))
        return skip_container(d, level, p);
    while (p < d->end && *p != ',' && *p != ']' && *p != '}' && *p != ':' &&
           *p != '"' && !kap_is_blank(*p))
        p++;
    if (p == start) {
        kap_decode_fail_at(d, p, "expected a value");
        return NULL;
    }
    return p;
}

/* Enough to see all members of a usual ticket... */
#define COUNT_BYTES 2048
/* ...but not to go through a part that has many of its own. */
#define COUNT_PART 64

unsigned kap_count_items(char *p, char *end)
{
    kap_mask escaped = 0;
    bool in_text = false;
    unsigned commas = 0, depth = 0;
    const char *part = NULL;

    if (end - p > COUNT_BYTES)
        end = p + COUNT_BYTES;
    for (; end - p >= KAP_BLOCK; p += KAP_BLOCK) {
        kap_block block = kap_block_at(p);
        kap_mask quotes, m;

        if (part != NULL && p - part >= COUNT_PART)
            break;
        if (in_text && (kap_mask_quote(block) | escaped) == 0)
            continue;
        quotes = kap_mask_real_quotes(block, &escaped);
        m = quotes |
            kap_gather(kap_either(kap_bracket(block), kap_equal(block, ',')));
        for (; m != 0; m &= m - 1) {
            char c = p[kap_mask_first(m)];

            if (c == '"') {
                in_text = !in_text;
            } else if (in_text) {
                continue;
            } else if (c == ',') {
                commas += depth == 1;
            } else if (c == '{' || c == '[') {
                part = depth++ == 1 ? p : part;
            } else if (--depth <= 1) {
                if (depth == 0)
                    return commas + 1;
                part = NULL;
            }
        }
    }
    return commas + 1;
}

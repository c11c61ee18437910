#include "json/scan.h"

#include <stdio.h>

void kap_scan_init(kap_scan *s, char *text, size_t len)
{
    memset(s, 0, sizeof *s);
    s->base = s->p = text;
    s->end = text + len;
    s->status = KAP_SCAN_OK;
}

int kap_scan_peek(kap_scan *s)
{
    s->p = kap_skip_blanks(s->p, s->end);
    return s->p < s->end ? (unsigned char)*s->p : -1;
}

void kap_scan_take(kap_scan *s)
{
    if (s->p < s->end)
        s->p++;
}

bool kap_scan_skip(kap_scan *s)
{
    char *p;

    if (s->status != KAP_SCAN_OK)
        return false;
    p = kap_scan_skip_value(s, 0, kap_skip_blanks(s->p, s->end));
    if (p == NULL)
        return false;
    s->p = p;
    return true;
}

bool kap_scan_fail(kap_scan *s, const char *what)
{
    if (s->status == KAP_SCAN_OK)
        s->status = KAP_SCAN_SYNTAX;
    (void)snprintf(s->error, sizeof s->error, "%.60s at byte %llu", what,
                   (unsigned long long)(s->p - s->base) + 1);
    return false;
}

bool kap_scan_fail_at(kap_scan *s, char *p, const char *what)
{
    s->p = p < s->end ? p : s->end;
    return kap_scan_fail(s, p < s->end ? what : "unexpected end");
}

/* One more than a hexadecimal digit's value; 0 for what is none. */
static const unsigned char hex_value[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
    ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['A'] = 11, ['B'] = 12,
    ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16, ['a'] = 11, ['b'] = 12,
    ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

/* The code unit of the \u escape at p, or -1 if there is none. */
static inline long code_unit(const char *p, const char *end)
{
    long unit = 0;

    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        long h = hex_value[(unsigned char)p[i]];

        if (h == 0)
            return -1;
        unit = unit << 4 | (h - 1);
    }
    return unit;
}

static inline char *put_utf8(char *out, unsigned long c)
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
static inline bool put_unicode(char **p, const char *end, char **out)
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

/* Both may overlap: the block is read before any of it is written. */
static inline void move_block(char *to, const char *from)
{
    char block[KAP_BLOCK];

    memcpy(block, from, KAP_BLOCK);
    memcpy(to, block, KAP_BLOCK);
}

/*
 * kap_scan_unescape at full speed: while the text has become a block shorter at
 * least, so that a whole block may be stored wherever a part is wanted, and
 * while there is room for the longest escape (two of \u) and a block after it.
 * Stops at whatever is not usual.
 */
static void unescape_blocks(char **from, char **to, char *end)
{
    char *q = *from, *out = *to;

    while (end - q >= KAP_BLOCK) {
        char *const base = q;
        kap_mask m = kap_mask_text(kap_block_at(base));

        move_block(out, q);
        if (m == 0) {
            q += KAP_BLOCK;
            out += KAP_BLOCK;
            continue;
        }
        do {
            char *special = base + kap_mask_first(m);
            char c;

            out += special - q;
            q = special;
            if (end - q < 12 + KAP_BLOCK || *q != '\\')
                goto done;
            c = escape_value[(unsigned char)q[1]];
            if (c != 0) {
                *out++ = c;
                q += 2;
            } else {
                char *after = q, *put = out; /* q and out stay in registers */

                if (!put_unicode(&after, end, &put))
                    goto done;
                q = after;
                out = put;
            }
            move_block(out, q);
            m = kap_mask_from(m, q - base);
        } while (m != 0);
        if (q < base + KAP_BLOCK) {
            out += base + KAP_BLOCK - q;
            q = base + KAP_BLOCK;
        }
    }
done:
    *from = q;
    *to = out;
}

char *kap_scan_unescape(kap_scan *s, char *text, char *q, size_t *len)
{
    char *const end = s->end;
    char *out = q;

    while (q < end && *q == '\\') {
        char *special;

        if (end - q >= 2 && escape_value[(unsigned char)q[1]] != 0) {
            *out++ = escape_value[(unsigned char)q[1]];
            q += 2;
        } else if (!put_unicode(&q, end, &out)) {
            kap_scan_fail_at(s, q, "invalid escape");
            return NULL;
        }
        if (q - out >= KAP_BLOCK)
            unescape_blocks(&q, &out, end);
        special = kap_scan_text(q, end);
        memmove(out, q, (size_t)(special - q));
        out += special - q;
        q = special;
    }
    if (q == end || *q != '"') {
        kap_scan_fail_at(s, q, "control character in a string");
        return NULL;
    }
    *len = (size_t)(out - text);
    return q + 1;
}

char *kap_scan_check_escapes(kap_scan *s, char *q)
{
    char *const end = s->end;

    while (q < end && *q == '\\') {
        if (end - q >= 2 && escape_value[(unsigned char)q[1]] != 0) {
            q += 2;
        } else if (code_unit(q, end) >= 0) {
            q += 6;
        } else {
            kap_scan_fail_at(s, q, "invalid escape");
            return NULL;
        }
        q = kap_scan_text(q, end);
    }
    if (q == end || *q != '"') {
        kap_scan_fail_at(s, q, "control character in a string");
        return NULL;
    }
    return q + 1;
}

/* Whether an odd number of backslashes is before the quote at p. There is a
 * quote or a bracket further on, to end the search. */
static bool after_odd_slashes(const char *p)
{
    const char *q = p;

    while (q[-1] == '\\')
        q--;
    return ((p - q) & 1) != 0;
}

/* Whether the quote at p, in a text, does not end it. */
static inline bool is_escaped(const char *p)
{
    return p[-1] == '\\' && (p[-2] != '\\' || after_odd_slashes(p));
}

/* In a text, over whole blocks without a quote. */
static inline char *skip_plain(char *p, const char *end)
{
    while (end - p >= 4 * KAP_BLOCK) {
        kap_marks m = kap_equal(kap_block_at(p), '"');

        for (int i = 1; i < 4; i++)
            m = kap_either(m, kap_equal(kap_block_at(p + i * KAP_BLOCK), '"'));
        if (kap_gather(m) != 0)
            break;
        p += 4 * KAP_BLOCK;
    }
    return p;
}

/* The byte after the closing quote; p is just after the opening one. */
static char *skip_text(kap_scan *s, char *p)
{
    char *const end = s->end;

    while (end - p >= KAP_BLOCK) {
        kap_mask m = kap_gather(kap_equal(kap_block_at(p), '"'));

        for (; m != 0; m &= m - 1) {
            char *quote = p + kap_mask_first(m);

            if (!is_escaped(quote))
                return quote + 1;
        }
        p = skip_plain(p + KAP_BLOCK, end);
    }
    for (; p < end; p++) {
        if (*p == '"' && !is_escaped(p))
            return p + 1;
    }
    kap_scan_fail_at(s, end, "");
    return NULL;
}

/* The brackets that are open while a value is skipped. */
typedef struct brackets {
    unsigned depth, limit;
    uint64_t curly[KAP_SCAN_MAX_DEPTH / 64 + 1]; /* a bit for each */
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
        if (bit == 1)
            b->curly[b->depth / 64] = 0;
        /* another may have been open at this depth before */
        b->curly[b->depth / 64] &= ~bit;
        if (*p == '{')
            b->curly[b->depth / 64] |= bit;
        b->depth++;
        return true;
    }
    if (b->depth == 0)
        return false;
    bit = b->curly[(b->depth - 1) / 64] >> (b->depth - 1) % 64 & 1;
    if (bit != (*p == '}'))
        return false;
    return --b->depth > 0;
}

/* What take_bracket has to say when it is false. */
static char *last_bracket(kap_scan *s, const brackets *b, char *p)
{
    if (b->depth == 0)
        return p + 1;
    if (*p == '{' || *p == '[') {
        s->status = KAP_SCAN_DEPTH;
        kap_scan_fail_at(s, p, "nested too deeply");
    } else {
        kap_scan_fail_at(s, p, "the wrong closing bracket");
    }
    return NULL;
}

static char *skip_container(kap_scan *s, unsigned level, char *p)
{
    char *const end = s->end;
    bool in_text = false;
    brackets b;

    b.depth = 0;
    level += s->depth;
    b.limit = level < KAP_SCAN_MAX_DEPTH ? KAP_SCAN_MAX_DEPTH - level : 0;
    while (end - p >= KAP_BLOCK) {
        kap_block block = kap_block_at(p);
        kap_marks quotes = kap_equal(block, '"');
        kap_mask m;

        if (in_text && kap_gather(quotes) == 0) {
            /* A long one. */
            p = skip_text(s, p + KAP_BLOCK);
            if (p == NULL)
                return NULL;
            in_text = false;
            continue;
        }
        m = kap_gather(kap_either(quotes, kap_bracket(block)));
        for (; m != 0; m &= m - 1) {
            char *at = p + kap_mask_first(m);

            if (*at == '"')
                in_text = !in_text || is_escaped(at);
            else if (!in_text && !take_bracket(&b, at))
                return last_bracket(s, &b, at);
        }
        p += KAP_BLOCK;
    }
    for (; p < end; p++) {
        if (*p == '"')
            in_text = !in_text || is_escaped(p);
        else if (!in_text && ((*p | 0x20) == '{' || (*p | 0x20) == '}') &&
                 !take_bracket(&b, p))
            return last_bracket(s, &b, p);
    }
    kap_scan_fail_at(s, p, "");
    return NULL;
}

char *kap_scan_skip_value(kap_scan *s, unsigned level, char *p)
{
    char *start = p;

    if (p < s->end && *p == '"')
        return skip_text(s, p + 1);
    if (p < s->end && (*p == '{' || *p == '['))
        return skip_container(s, level, p);
    while (p < s->end && *p != ',' && *p != ']' && *p != '}' && *p != ':' &&
           *p != '"' && !kap_is_blank(*p))
        p++;
    if (p == start) {
        kap_scan_fail_at(s, p, "expected a value");
        return NULL;
    }
    return p;
}

/* Enough to see all members of a usual ticket... */
#define COUNT_BYTES 2048
/* ...but not to go through a part that has many of its own. */
#define COUNT_PART 64

unsigned kap_scan_count(char *p, char *end)
{
    const char *part = NULL;
    bool in_text = false;
    unsigned commas = 0, depth = 0;

    if (end - p > COUNT_BYTES)
        end = p + COUNT_BYTES;
    for (; end - p >= KAP_BLOCK; p += KAP_BLOCK) {
        kap_block block = kap_block_at(p);
        kap_marks quotes = kap_equal(block, '"');
        kap_mask m = kap_gather(quotes);

        if (part != NULL && p - part >= COUNT_PART)
            break;
        if (in_text && m == 0)
            continue;
        m = kap_gather(kap_either(quotes, kap_either(kap_bracket(block),
                                                     kap_equal(block, ','))));
        for (; m != 0; m &= m - 1) {
            const char *at = p + kap_mask_first(m);

            if (*at == '"') {
                in_text = !in_text || is_escaped(at);
            } else if (in_text) {
                continue;
            } else if (*at == ',') {
                commas += depth == 1;
            } else if (*at == '{' || *at == '[') {
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

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

/* The character that \c stands for, 0 where there is no such escape. */
static char escape_value(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return 0;
    }
}

/*
 * Moves plain text from *p down to *out, up to the byte that ends it. A whole
 * block is stored even where only its first bytes are wanted, unless that
 * would reach into what is still to be read.
 */
static void move_text(char **p, char *end, char **out)
{
    char *from = *p, *to = *out;

    while (end - from >= KAP_BLOCK) {
        char block[KAP_BLOCK];
        kap_mask m = kap_mask_text(kap_block_at(from));
        unsigned n = m == 0 ? KAP_BLOCK : kap_mask_first(m);

        if (from + n - to >= KAP_BLOCK) {
            memcpy(block, from, KAP_BLOCK);
            memcpy(to, block, KAP_BLOCK);
        } else {
            for (unsigned i = 0; i < n; i++)
                to[i] = from[i];
        }
        from += n;
        to += n;
        if (m != 0)
            goto done;
    }
    while (from < end && *from != '"' && *from != '\\' &&
           (unsigned char)*from >= 0x20)
        *to++ = *from++;
done:
    *p = from;
    *out = to;
}

char *kap_text_finish(kap_decode *d, char *text, char *q, size_t *len)
{
    char *end = d->end;
    char *out = q;

    d->dirty = true;
    for (;;) {
        if (q == end || (unsigned char)*q < 0x20) {
            kap_decode_fail_at(d, q, "control character in a string");
            return NULL;
        }
        if (*q == '"') {
            *len = (size_t)(out - text);
            return q + 1;
        }
        if (end - q >= 2 && q[1] == 'u') {
            if (!put_unicode(&q, end, &out))
                break;
        } else {
            *out = end - q >= 2 ? escape_value(q[1]) : 0;
            if (*out == 0)
                break;
            out++;
            q += 2;
        }
        move_text(&q, end, &out);
    }
    kap_decode_fail_at(d, q, "invalid escape");
    return NULL;
}

/* The byte after the closing quote; p is just after the opening one. */
static char *skip_text(kap_decode *d, char *p)
{
    char *end = d->end;

    for (;;) {
        while (end - p >= KAP_BLOCK) {
            kap_mask m = kap_mask_quote(kap_block_at(p));

            if (m != 0) {
                p += kap_mask_first(m);
                goto found;
            }
            p += KAP_BLOCK;
        }
        while (p < end && *p != '"' && *p != '\\')
            p++;
    found:
        if (end - p < 1 || (*p == '\\' && end - p < 2)) {
            kap_decode_fail_at(d, end, "");
            return NULL;
        }
        if (*p == '"')
            return p + 1;
        p += 2;
    }
}

static char *skip_to_bracket(char *p, char *end)
{
    while (end - p >= KAP_BLOCK) {
        kap_mask m = kap_mask_bracket(kap_block_at(p));

        if (m != 0)
            return p + kap_mask_first(m);
        p += KAP_BLOCK;
    }
    while (p < end && *p != '"' && (*p | 0x20) != '{' && (*p | 0x20) != '}')
        p++;
    return p;
}

static char *skip_container(kap_decode *d, unsigned level, char *p)
{
    uint64_t kinds[KAP_DECODE_MAX_DEPTH / 64 + 1]; /* a bit a level: {} */
    unsigned depth = 0;

    for (;;) {
        uint64_t bit;
        char c;

        p = skip_to_bracket(p, d->end);
        if (p == d->end) {
            kap_decode_fail_at(d, p, "");
            return NULL;
        }
        c = *p;
        if (c == '"') {
            p = skip_text(d, p + 1);
            if (p == NULL)
                return NULL;
            continue;
        }
        if (c == '{' || c == '[') {
            if (depth + level + d->depth >= KAP_DECODE_MAX_DEPTH) {
                d->status = KAP_JSON_DEPTH;
                kap_decode_fail_at(d, p, "nested too deeply");
                return NULL;
            }
            bit = UINT64_C(1) << depth % 64;
            if (c == '{')
                kinds[depth / 64] |= bit;
            else
                kinds[depth / 64] &= ~bit;
            depth++;
        } else {
            depth--;
            bit = kinds[depth / 64] >> depth % 64 & 1;
            if ((c == '}') != (bit != 0)) {
                kap_decode_fail_at(d, p, "the wrong closing bracket");
                return NULL;
            }
            if (depth == 0)
                return p + 1;
        }
        p++;
    }
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

/* Enough to see all of a usual ticket's members. */
#define COUNT_BYTES 2048

unsigned kap_count_items(char *p, char *end)
{
    unsigned commas = 0, depth = 0;

    if (end - p > COUNT_BYTES)
        end = p + COUNT_BYTES;
    for (; p < end; p++) {
        switch (*p) {
        case '"':
            do {
                p++;
                while (end - p >= KAP_BLOCK) {
                    kap_mask m = kap_mask_quote(kap_block_at(p));

                    if (m != 0) {
                        p += kap_mask_first(m);
                        break;
                    }
                    p += KAP_BLOCK;
                }
                while (p < end && *p != '"' && *p != '\\')
                    p++;
                if (p < end && *p == '\\')
                    p++;
                else
                    break;
            } while (p < end);
            break;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            if (--depth == 0)
                return commas + 1;
            break;
        case ',':
            commas += depth == 1;
            break;
        default:
            break;
        }
    }
    return commas + 1;
}

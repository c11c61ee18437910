/*
 * A JSON text and how far it has been read. Finds the next byte that matters,
 * skips values, undoes escapes, and says what is wrong where the text is no
 * JSON. Knows no Lua.
 *
 * Bytes behind the text are never read: where less than a block is left, the
 * text is read byte by byte.
 */
#ifndef KAP_SCAN_H
#define KAP_SCAN_H

#include "base/ascii.h"
#include "json/block.h"

#define KAP_SCAN_MAX_DEPTH 1000

typedef enum {
    KAP_SCAN_OK,
    KAP_SCAN_SYNTAX, /* not JSON */
    KAP_SCAN_DEPTH   /* nested deeper than KAP_SCAN_MAX_DEPTH */
} kap_scan_status;

typedef struct kap_scan {
    char *base, *p, *end; /* whole text, next byte, one past the last */
    unsigned depth;       /* containers that the caller has open around p; they
                           * count towards KAP_SCAN_MAX_DEPTH */
    kap_scan_status status;
    char error[96]; /* e.g. "invalid number at byte 17" (1-based) */
} kap_scan;

void kap_scan_init(kap_scan *s, char *text, size_t len);
/* Skips blanks; the next byte, or -1 at the end of the text. */
int kap_scan_peek(kap_scan *s);
/* Consumes one byte just peeked. */
void kap_scan_take(kap_scan *s);
/* Skips one value of any kind, bracket-matched only. False: s->error is set. */
bool kap_scan_skip(kap_scan *s);
/* Sets s->error to "<what> at byte <n>", n being the next byte; returns
 * false. */
bool kap_scan_fail(kap_scan *s, const char *what);
/* The same for the byte p, which becomes the next one. At the end of the text
 * it says that the text has ended there, whatever `what` is. */
bool kap_scan_fail_at(kap_scan *s, char *p, const char *what);

/* The byte after the value at p, which is below `level` containers, or NULL:
 * s->error is set. */
char *kap_scan_skip_value(kap_scan *s, unsigned level, char *p);

/*
 * Text with escapes, from just after its opening quote on; `q` is where
 * kap_scan_text stopped. Unescapes in place, sets *len. The byte after the
 * closing quote, or NULL: s->error is set.
 */
char *kap_scan_unescape(kap_scan *s, char *text, char *q, size_t *len);

/* The same, but the text stays as it is: the byte after the closing quote, or
 * NULL. */
char *kap_scan_check_escapes(kap_scan *s, char *q);

/* How many members or elements the object or array has whose opening bracket is
 * at p; fewer where it is long, is broken, or has long parts. */
unsigned kap_scan_count(char *p, char *end);

/* Where plain text from p on ends: at ", \, a control character, or `end`. */
static inline char *kap_scan_text(char *p, char *end)
{
    while (end - p >= KAP_BLOCK) {
        kap_mask m = kap_mask_text(kap_block_at(p));

        if (m != 0)
            return p + kap_mask_first(m);
        p += KAP_BLOCK;
    }
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
        p++;
    return p;
}

static inline bool kap_is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline char *kap_skip_blanks(char *p, const char *end)
{
    while (p < end && kap_is_blank(*p))
        p++;
    return p;
}

/*
 * The digits at p, of which 32 bytes must be readable: at most 18 are taken.
 * Eight are looked at, and turned into a number, at once.
 */
static inline char *kap_scan_digits(char *p, int64_t *value)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t w = kap_load8(p) ^ each * '0';
    uint64_t others = ((w + each * 0x76) | w) & each * 0x80;
    unsigned n = others != 0 ? (unsigned)__builtin_ctzll(others) / 8 : 8;
    uint64_t v;

    if (n <= 1) {
        *value = (int64_t)(w & 0xff);
        return p + n;
    }
    w <<= (8 - n) * 8;
    w = w * 10 + (w >> 8); /* pairs, in every other byte */
    v = ((w & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064) +
         (w >> 16 & UINT64_C(0x000000ff000000ff)) *
             UINT64_C(0x0000271000000001)) >>
        32;
    p += n;
    if (n == 8) {
        for (int i = 8; i < 18 && kap_is_digit(*p); i++)
            v = v * 10 + (uint64_t)(*p++ - '0');
    }
    *value = (int64_t)v;
    return p;
}

/* The text whose opening quote is at p: its length, unescaped. The byte after
 * the closing one, or NULL: s->error is set. */
static inline char *kap_scan_read_text(kap_scan *s, char *p, size_t *len)
{
    char *q = kap_scan_text(p + 1, s->end);

    if (q < s->end && *q == '"') {
        *len = (size_t)(q - (p + 1));
        return q + 1;
    }
    return kap_scan_unescape(s, p + 1, q, len);
}

#endif

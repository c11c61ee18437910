/*
 * What the decoder does with bytes, Lua-free: looking for the next one that
 * matters, a block at a time, text with escapes, numbers, skipping.
 *
 * A block is read only where it ends before the text does, the last bytes one
 * by one; so nothing here depends on what follows the text.
 */
#ifndef KAP_DECODE_SCAN_H
#define KAP_DECODE_SCAN_H

#include "json/decode.h"

#include <stdint.h>
#include <string.h>

/* Eight bytes as a number, the first one lowest. */
static inline uint64_t kap_load8(const char *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof w);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

/*
 * A mask has a bit for each byte of a block, the first byte's lowest and the
 * others KAP_MARK_STEP bits apart.
 */
#if defined(__SSE2__) && !defined(KAP_NO_SIMD)
#include <emmintrin.h>

#define KAP_BLOCK ((ptrdiff_t)16)
#define KAP_MARK_STEP 1
typedef unsigned kap_mask;
typedef __m128i kap_block;
typedef __m128i kap_marks; /* before they are gathered into a mask */

static inline kap_block kap_block_at(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline kap_mask kap_gather(kap_marks m)
{
    return (kap_mask)_mm_movemask_epi8(m);
}

static inline unsigned kap_mask_first(kap_mask m)
{
    return (unsigned)__builtin_ctz(m);
}

static inline kap_marks kap_either(kap_marks a, kap_marks b)
{
    return _mm_or_si128(a, b);
}

static inline kap_marks kap_equal(kap_block b, char c)
{
    return _mm_cmpeq_epi8(b, _mm_set1_epi8(c));
}

static inline kap_marks kap_control(kap_block b)
{
    __m128i highest = _mm_set1_epi8(0x1f);

    return _mm_cmpeq_epi8(_mm_max_epu8(b, highest), highest);
}

static inline kap_block kap_fold_case(kap_block b)
{
    return _mm_or_si128(b, _mm_set1_epi8(0x20));
}

/* What kap_same needs to know of a length: which of 16 bytes count. */
static inline unsigned kap_same_mask(size_t n)
{
    return n >= 16 ? 0xffffu : (1u << n) - 1;
}

/* Whether n bytes are equal; 16 at least must be readable at both. */
static inline bool kap_same(const char *a, const char *b, size_t n,
                            unsigned mask)
{
    unsigned eq = (unsigned)_mm_movemask_epi8(
        _mm_cmpeq_epi8(kap_block_at(a), kap_block_at(b)));

    if ((~eq & mask) != 0)
        return false;
    for (size_t i = 16; i < n; i += 16) {
        /* The last block ends where the bytes do. */
        size_t at = n - i < 16 ? n - 16 : i;

        eq = (unsigned)_mm_movemask_epi8(
            _mm_cmpeq_epi8(kap_block_at(a + at), kap_block_at(b + at)));
        if (eq != 0xffff)
            return false;
    }
    return true;
}

#else

#define KAP_BLOCK ((ptrdiff_t)8)
#define KAP_MARK_STEP 8
#define KAP_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
typedef uint64_t kap_mask;
typedef uint64_t kap_block;
typedef uint64_t kap_marks;

static inline kap_block kap_block_at(const char *p)
{
    return kap_load8(p);
}

static inline kap_mask kap_gather(kap_marks m)
{
    return m;
}

static inline unsigned kap_mask_first(kap_mask m)
{
    return (unsigned)__builtin_ctzll(m) / KAP_MARK_STEP;
}

static inline kap_marks kap_either(kap_marks a, kap_marks b)
{
    return a | b;
}

/* The bytes that are zero: adding to the low seven bits carries nowhere. */
static inline kap_marks kap_zero(kap_block b)
{
    return ~(((b & KAP_EACH(0x7fu)) + KAP_EACH(0x7fu)) | b | KAP_EACH(0x7fu));
}

static inline kap_marks kap_equal(kap_block b, char c)
{
    return kap_zero(b ^ KAP_EACH((unsigned char)c));
}

static inline kap_marks kap_control(kap_block b)
{
    return kap_zero(b & KAP_EACH(0xe0u));
}

static inline kap_block kap_fold_case(kap_block b)
{
    return b | KAP_EACH(0x20u);
}

static inline unsigned kap_same_mask(size_t n)
{
    (void)n;
    return 0;
}

static inline bool kap_same(const char *a, const char *b, size_t n,
                            unsigned mask)
{
    (void)mask;
    return memcmp(a, b, n) == 0;
}

#endif

/* " or \ or a control character: where plain text ends. */
static inline kap_mask kap_mask_text(kap_block b)
{
    return kap_gather(
        kap_either(kap_control(b),
                   kap_either(kap_equal(b, '"'), kap_equal(b, '\\'))));
}

/* One of {}[] */
static inline kap_marks kap_bracket(kap_block b)
{
    kap_block folded = kap_fold_case(b);

    return kap_either(kap_equal(folded, '{'), kap_equal(folded, '}'));
}

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

/* The mask without the bytes before the n-th. */
static inline kap_mask kap_mask_from(kap_mask m, ptrdiff_t n)
{
    return n < KAP_BLOCK ? m & ~(kap_mask)0 << n * KAP_MARK_STEP : 0;
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

static inline bool kap_is_digit(char c)
{
    return c >= '0' && c <= '9';
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

/* d->p = p, then kap_decode_fail. A text that ends at p is said to end. */
bool kap_decode_fail_at(kap_decode *d, char *p, const char *what);

/*
 * Text with escapes, from just after its opening quote on; `q` is where
 * kap_scan_text stopped. Unescapes in place, sets *len. The byte after the
 * closing quote, or NULL: d->error is set.
 */
char *kap_text_finish(kap_decode *d, char *text, char *q, size_t *len);

/* The byte after the value at p, which is below `level` containers, or NULL:
 * d->error is set. */
char *kap_skip_value(kap_decode *d, unsigned level, char *p);

/* How many members or elements has the object or array whose opening bracket
 * is at p? A lower bound, where it is long, broken, or has long parts. */
unsigned kap_count_items(char *p, char *end);

typedef enum {
    KAP_NUMBER_INTEGER, /* integer */
    KAP_NUMBER_BIG,     /* an integer of more than 64 bits; real is nearest */
    KAP_NUMBER_REAL     /* real */
} kap_number_kind;

typedef struct kap_number {
    kap_number_kind kind;
    bool negative;
    int64_t integer;
    double real;
} kap_number;

/* The byte after the number at p, or NULL with *bad the byte that is wrong. */
char *kap_number_read(char *p, char *end, kap_number *n, char **bad);

/* Of an integer that is not negative, and takes all the text: its digits without
 * the zeros at their end, at most `size` of them. How many zeros follow, or -1
 * where it is something else. */
int64_t kap_number_digits(const char *p, const char *end, char *digits,
                          size_t size, size_t *len);

#endif

/*
 * What the decoder does with bytes, Lua-free: looking for the next one that
 * matters, a block at a time, text with escapes, numbers, skipping.
 *
 * A block is read only where it ends before the text does, the last bytes one
 * by one; so nothing here depends on what follows the text.
 */
#ifndef KAP_DECODE_SCAN_H
#define KAP_DECODE_SCAN_H

#include "decode.h"

#include <stdint.h>
#include <string.h>

/*
 * A mask has one group of bits for each byte of a block, the first byte
 * lowest; kap_mask_first gives the index of the first byte marked. In the
 * portable version, what is above the lowest mark may be wrong.
 */
#if defined(__SSE2__) && !defined(KAP_NO_SIMD)
#include <emmintrin.h>

#define KAP_BLOCK 16
typedef unsigned kap_mask;
typedef __m128i kap_block;

static inline kap_block kap_block_at(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline kap_mask kap_mask_of(__m128i marks)
{
    return (kap_mask)_mm_movemask_epi8(marks);
}

static inline unsigned kap_mask_first(kap_mask m)
{
    return (unsigned)__builtin_ctz(m);
}

static inline __m128i kap_block_is(kap_block b, char c)
{
    return _mm_cmpeq_epi8(b, _mm_set1_epi8(c));
}

/* " or \ */
static inline kap_mask kap_mask_quote(kap_block b)
{
    return kap_mask_of(
        _mm_or_si128(kap_block_is(b, '"'), kap_block_is(b, '\\')));
}

/* " or \ or a control character: where plain text ends. */
static inline kap_mask kap_mask_text(kap_block b)
{
    __m128i low = _mm_set1_epi8(0x1f);
    __m128i control = _mm_cmpeq_epi8(_mm_max_epu8(b, low), low);

    return kap_mask_of(_mm_or_si128(
        control, _mm_or_si128(kap_block_is(b, '"'), kap_block_is(b, '\\'))));
}

/* " or one of {}[] */
static inline kap_mask kap_mask_bracket(kap_block b)
{
    __m128i folded = _mm_or_si128(b, _mm_set1_epi8(0x20));

    return kap_mask_of(_mm_or_si128(
        kap_block_is(b, '"'),
        _mm_or_si128(kap_block_is(folded, '{'), kap_block_is(folded, '}'))));
}

/* Whether n bytes are equal; 16 bytes must be readable at both. */
static inline bool kap_same(const char *a, const char *b, size_t n)
{
    kap_mask eq = kap_mask_of(_mm_cmpeq_epi8(kap_block_at(a), kap_block_at(b)));

    if (n <= 16)
        return (~eq << (32 - n)) == 0;
    for (size_t i = 16; eq == 0xffff; i += 16) {
        if (i + 16 >= n)
            return kap_mask_of(_mm_cmpeq_epi8(kap_block_at(a + n - 16),
                                              kap_block_at(b + n - 16))) ==
                   0xffff;
        eq = kap_mask_of(
            _mm_cmpeq_epi8(kap_block_at(a + i), kap_block_at(b + i)));
    }
    return false;
}

#else

#define KAP_BLOCK 8
typedef uint64_t kap_mask;
typedef uint64_t kap_block;

#define KAP_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static inline kap_block kap_block_at(const char *p)
{
    uint64_t b;

    memcpy(&b, p, sizeof b);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    b = __builtin_bswap64(b);
#endif
    return b;
}

static inline unsigned kap_mask_first(kap_mask m)
{
    return (unsigned)__builtin_ctzll(m) / 8;
}

static inline kap_mask kap_block_below(kap_block b, unsigned limit)
{
    return (b - KAP_EACH(limit)) & ~b & KAP_EACH(0x80u);
}

static inline kap_mask kap_block_is(kap_block b, char c)
{
    return kap_block_below(b ^ KAP_EACH((unsigned char)c), 1);
}

static inline kap_mask kap_mask_quote(kap_block b)
{
    return kap_block_is(b, '"') | kap_block_is(b, '\\');
}

static inline kap_mask kap_mask_text(kap_block b)
{
    return kap_mask_quote(b) | kap_block_below(b, 0x20);
}

static inline kap_mask kap_mask_bracket(kap_block b)
{
    kap_block folded = b | KAP_EACH(0x20u);

    return kap_block_is(b, '"') | kap_block_is(folded, '{') |
           kap_block_is(folded, '}');
}

static inline bool kap_same(const char *a, const char *b, size_t n)
{
    return memcmp(a, b, n) == 0;
}

#endif

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

static inline bool kap_is_digit(char c)
{
    return c >= '0' && c <= '9';
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

/* How many members or elements the object or array has whose opening bracket
 * is at p; a lower bound when it is long or broken. */
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

#endif

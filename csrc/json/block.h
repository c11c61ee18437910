/*
 * Sixteen bytes at once where the machine has SSE2, eight elsewhere: which of them
 * are equal to one, which are brackets, which end plain text. Header only, as each
 * of these is an instruction or three.
 *
 * A block is read whole, so whoever asks for one must know that there are so many
 * bytes.
 */
#ifndef KAP_BLOCK_H
#define KAP_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
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
#define KAP_EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))
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
    return ~(((b & KAP_EACH_BYTE(0x7fu)) + KAP_EACH_BYTE(0x7fu)) | b |
             KAP_EACH_BYTE(0x7fu));
}

static inline kap_marks kap_equal(kap_block b, char c)
{
    return kap_zero(b ^ KAP_EACH_BYTE((unsigned char)c));
}

static inline kap_marks kap_control(kap_block b)
{
    return kap_zero(b & KAP_EACH_BYTE(0xe0u));
}

static inline kap_block kap_fold_case(kap_block b)
{
    return b | KAP_EACH_BYTE(0x20u);
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

/* The mask without the bytes before the n-th. */
static inline kap_mask kap_mask_from(kap_mask m, ptrdiff_t n)
{
    return n < KAP_BLOCK ? m & ~(kap_mask)0 << n * KAP_MARK_STEP : 0;
}

#endif

/* Independent of the locale, as strtod never sees a decimal point: only digits and
 * an exponent. */
#include "json/number.h"

#include "base/ascii.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits that can matter for correct rounding: 767, and one that says whether
 * anything but zeros follows. */
#define DIGITS_MAX 800

/* The number whose digits are those in [p, end), a decimal point among them
 * ignored, times ten to the `exponent`. */
static double real_slowly(const char *p, const char *end, int64_t exponent)
{
    char buf[DIGITS_MAX + 32];
    size_t len = 0;
    bool rest = false;

    for (; p < end; p++) {
        if (*p == '.' || (len == 0 && *p == '0'))
            continue;
        if (len < DIGITS_MAX) {
            buf[len++] = *p;
        } else {
            rest |= *p != '0';
            exponent++;
        }
    }
    if (len == 0)
        return 0.0;
    if (rest) {
        buf[len++] = '1';
        exponent--;
    }
    /* With so few digits, these are zero and infinity already. */
    if (exponent < -9999)
        exponent = -9999;
    if (exponent > 9999)
        exponent = 9999;
    (void)snprintf(buf + len, sizeof buf - len, "e%d", (int)exponent);
    return strtod(buf, NULL);
}

static double real_of(const char *p, const char *end, int64_t exponent)
{
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
    /* Both operands are exact, so the one operation rounds correctly. */
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,
                                   1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
                                   1e18, 1e19, 1e20, 1e21, 1e22};

    if (exponent >= -22 && exponent <= 22 && end - p <= 19) {
        uint64_t digits = 0;

        for (const char *q = p; q < end; q++) {
            if (*q != '.')
                digits = digits * 10 + (uint64_t)(*q - '0');
        }
        if (digits <= UINT64_C(1) << 53)
            return exponent < 0 ? (double)digits / power[-exponent]
                                : (double)digits * power[exponent];
    }
#endif
    return real_slowly(p, end, exponent);
}

static char *skip_digits(char *p, const char *end)
{
    while (p < end && kap_is_digit(*p))
        p++;
    return p;
}

/* The exponent's digits, from p to end; far out of range, any value does that
 * stays so when the length of the longest text is added. */
static int64_t exponent_of(const char *p, const char *end)
{
    const int64_t limit = INT64_C(1000000000000000000);
    int64_t e = 0;

    for (; p < end && e < limit / 10; p++)
        e = e * 10 + (*p - '0');
    return p < end ? limit : e;
}

char *kap_number_read(char *p, char *end, kap_number *n, char **bad)
{
    char *digits, *digits_end;
    int64_t exponent = 0;
    bool real = false;

    n->negative = p < end && *p == '-';
    p += n->negative;
    digits = p;
    p = skip_digits(p, end);
    if (p == digits || (*digits == '0' && p - digits > 1)) {
        *bad = p == digits ? p : digits + 1;
        return NULL;
    }
    if (p < end && *p == '.') {
        char *fraction = ++p;

        real = true;
        p = skip_digits(p, end);
        if (p == fraction) {
            *bad = p;
            return NULL;
        }
        exponent = fraction - p;
    }
    digits_end = p;
    if (p < end && (*p == 'e' || *p == 'E')) {
        bool down;
        char *e;

        real = true;
        p++;
        down = p < end && *p == '-';
        if (p < end && (*p == '-' || *p == '+'))
            p++;
        e = p;
        p = skip_digits(p, end);
        if (p == e) {
            *bad = p;
            return NULL;
        }
        exponent += down ? -exponent_of(e, p) : exponent_of(e, p);
    }
    if (!real && digits_end - digits <= 19) {
        uint64_t u = 0;

        for (const char *q = digits; q < digits_end; q++)
            u = u * 10 + (uint64_t)(*q - '0');
        if (u <= (uint64_t)INT64_MAX + n->negative) {
            n->kind = KAP_NUMBER_INTEGER;
            n->integer = n->negative ? (int64_t)(0 - u) : (int64_t)u;
            return p;
        }
    }
    n->kind = real ? KAP_NUMBER_REAL : KAP_NUMBER_BIG;
    n->real = real_of(digits, digits_end, exponent);
    if (n->negative)
        n->real = -n->real;
    return p;
}

int64_t kap_number_digits(const char *p, const char *end, char *digits,
                          size_t size, size_t *len)
{
    const char *const first = p;
    int64_t zeros = 0, exponent = 0;
    bool fraction = false;

    *len = 0;
    for (; p < end && (kap_is_digit(*p) || (*p == '.' && !fraction)); p++) {
        if (*p == '.') {
            fraction = true;
            continue;
        }
        exponent -= fraction;
        if (*p == '0') {
            zeros += *len > 0;
            continue;
        }
        if ((uint64_t)zeros >= size - *len)
            return -1;
        memset(digits + *len, '0', (size_t)zeros);
        *len += (size_t)zeros;
        digits[(*len)++] = *p;
        zeros = 0;
    }
    if (p == first || p[-1] == '.')
        return -1;
    if (p < end && (*p == 'e' || *p == 'E')) {
        bool down = ++p < end && *p == '-';

        p += p < end && (*p == '-' || *p == '+');
        const char *e = p;
        while (p < end && kap_is_digit(*p))
            p++;
        if (p == e)
            return -1;
        exponent += down ? -exponent_of(e, p) : exponent_of(e, p);
    }
    if (p != end)
        return -1;
    if (*len == 0) { /* zero, whatever its exponent */
        digits[(*len)++] = '0';
        return 0;
    }
    return zeros + exponent >= 0 ? zeros + exponent : -1;
}

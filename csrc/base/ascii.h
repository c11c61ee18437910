/*
 * What a byte is in ASCII, whatever the host's locale: <ctype.h> asks that, and
 * in Turkish an i is no I. To compare without case, see curl_strnequal.
 */
#ifndef KAP_ASCII_H
#define KAP_ASCII_H

#include <stdbool.h>
#include <stddef.h>

static inline bool kap_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool kap_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool kap_is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static inline bool kap_has_control(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (kap_is_control(s[i]))
            return true;
    return false;
}

#endif

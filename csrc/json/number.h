/* JSON numbers, whatever the host's locale. Lua-free. */
#ifndef KAP_NUMBER_H
#define KAP_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/*
 * Members of objects: reads their names, knows which of them lead to a ticket's
 * id, and skips those that are not wanted. Knows no Lua.
 */
#ifndef KAP_MEMBER_H
#define KAP_MEMBER_H

#include "json/session.h"

/* Where a value is, and what of it is wanted. */
typedef struct kap_member {
    kap_shape *shape; /* may be NULL */
    int field;
    unsigned mark;
} kap_member;

/* Reads the member name at p, unescaped; *plain: it had no escapes. The byte
 * where its value starts, or NULL. */
char *kap_member_name(kap_decode *d, char *p, char **name, size_t *len,
                      bool *plain);
/* Skips the value at p, below `level` others, but not an id in it. */
char *kap_member_skip(kap_decode *d, unsigned level, unsigned mark, char *p);

/* The value of a member with that mark begins at p. Whatever an earlier member
 * of the same name said no longer counts. */
static inline void kap_member_enter(kap_decode *d, unsigned mark, const char *p)
{
    d->id_len = 0;
    if (mark == KAP_MARK_DETAILS)
        d->details = p < d->scan.end && *p == '{';
}

static inline bool kap_member_is(const char *name, size_t len,
                                 const char *wanted)
{
    return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

/* The mark of the member `name` in an object with the mark `mark`. */
static inline unsigned kap_member_mark(unsigned mark, const char *name,
                                       size_t len)
{
    if (mark == KAP_MARK_TICKET && kap_member_is(name, len, "task_details"))
        return KAP_MARK_DETAILS;
    if (mark == KAP_MARK_DETAILS && kap_member_is(name, len, "ticketId"))
        return KAP_MARK_ID;
    return KAP_MARK_NONE;
}

/* As kap_scan_skip_value. KAP_VALUE_ROOM bytes must be readable at p. */
static inline char *kap_member_skip_fast(kap_decode *d, unsigned level, char *p)
{
    if (*p == '"') {
        kap_mask m = kap_gather(kap_equal(kap_block_at(p + 1), '"'));

        if (m != 0) {
            char *quote = p + 1 + kap_mask_first(m);

            if (quote[-1] != '\\')
                return quote + 1;
        }
    } else if (kap_is_digit(*p)) {
        int64_t value;
        char *q = kap_scan_digits(p, &value);

        if (*q == ',')
            return q;
    }
    return kap_scan_skip_value(&d->scan, level, p);
}

#endif

/* Names of members, and members that are not wanted. */
#include "json/decode_parts.h"

char *kap_read_name(kap_decode *d, char *p, char **name, size_t *len,
                    bool *plain)
{
    char *const end = d->end;
    char *q;

    p = kap_skip_blanks(p, end);
    if (p == end || *p != '"') {
        kap_decode_fail_at(d, p, "expected a member name");
        return NULL;
    }
    q = kap_read_text(d, p, len);
    if (q == NULL)
        return NULL;
    *name = p + 1;
    *plain = (size_t)(q - p) == *len + 2;
    q = kap_skip_blanks(q, end);
    if (q == end || *q != ':') {
        kap_decode_fail_at(d, q, "expected ':'");
        return NULL;
    }
    return kap_skip_blanks(q + 1, end);
}

char *kap_skip_member(kap_decode *d, unsigned level, unsigned mark, char *p)
{
    char *name, *q;
    size_t len;
    bool plain;

    if (mark != MARK_NONE)
        kap_enter_mark(d, mark, p);
    if (p < d->end && mark == MARK_ID && *p == '"') {
        q = kap_read_text(d, p, &len);
        if (q != NULL)
            kap_take_id(d, p + 1, len);
        return q;
    }
    if (p == d->end || mark != MARK_DETAILS || *p != '{') {
        q = kap_skip_value(d, level, p);
        if (q != NULL && mark == MARK_ID)
            kap_take_number_id(d, p, q);
        return q;
    }
    p = kap_skip_blanks(p + 1, d->end);
    if (p < d->end && *p == '}')
        return p + 1;
    for (;;) {
        p = kap_read_name(d, p, &name, &len, &plain);
        if (p == NULL)
            return NULL;
        p = kap_skip_member(d, level + 1, kap_mark_below(mark, name, len), p);
        if (p == NULL)
            return NULL;
        p = kap_skip_blanks(p, d->end);
        if (p == d->end || (*p != ',' && *p != '}')) {
            kap_decode_fail_at(d, p, "expected ',' or '}'");
            return NULL;
        }
        if (*p++ == '}')
            return p;
    }
}

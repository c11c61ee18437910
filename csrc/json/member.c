#include "json/member.h"

#include "json/scalar.h"

char *kap_member_name(kap_decode *d, char *p, char **name, size_t *len,
                      bool *plain)
{
    char *const end = d->scan.end;
    char *q;

    p = kap_skip_blanks(p, end);
    if (p == end || *p != '"') {
        kap_scan_fail_at(&d->scan, p, "expected a member name");
        return NULL;
    }
    q = kap_scan_read_text(&d->scan, p, len);
    if (q == NULL)
        return NULL;
    *name = p + 1;
    *plain = (size_t)(q - p) == *len + 2;
    q = kap_skip_blanks(q, end);
    if (q == end || *q != ':') {
        kap_scan_fail_at(&d->scan, q, "expected ':'");
        return NULL;
    }
    return kap_skip_blanks(q + 1, end);
}

char *kap_member_skip(kap_decode *d, unsigned level, unsigned mark, char *p)
{
    char *name, *q;
    size_t len;
    bool plain;

    if (mark != KAP_MARK_NONE)
        kap_member_enter(d, mark, p);
    if (p < d->scan.end && mark == KAP_MARK_ID && *p == '"') {
        q = kap_scan_read_text(&d->scan, p, &len);
        if (q != NULL)
            kap_scalar_text_id(d, p + 1, len);
        return q;
    }
    if (p == d->scan.end || mark != KAP_MARK_DETAILS || *p != '{') {
        q = kap_scan_skip_value(&d->scan, level, p);
        if (q != NULL && mark == KAP_MARK_ID)
            kap_scalar_number_id(d, p, q);
        return q;
    }
    p = kap_skip_blanks(p + 1, d->scan.end);
    if (p < d->scan.end && *p == '}')
        return p + 1;
    for (;;) {
        p = kap_member_name(d, p, &name, &len, &plain);
        if (p == NULL)
            return NULL;
        p = kap_member_skip(d, level + 1, kap_member_mark(mark, name, len), p);
        if (p == NULL)
            return NULL;
        p = kap_skip_blanks(p, d->scan.end);
        if (p == d->scan.end || (*p != ',' && *p != '}')) {
            kap_scan_fail_at(&d->scan, p, "expected ',' or '}'");
            return NULL;
        }
        if (*p++ == '}')
            return p;
    }
}

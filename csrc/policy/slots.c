#include "policy/slots.h"

#include <stdlib.h>
#include <string.h>

/* So few ids are not worth being moved. */
#define DROP_MIN 64

static void unref_fault(kap_fault *f)
{
    if (f != NULL && kap_refs_drop(&f->refs))
        free(f);
}

bool kap_slots_reserve(kap_call *c, uint32_t n)
{
    if (n <= c->slots_cap)
        return true;
    uint32_t cap = c->slots_cap * 2 > n ? c->slots_cap * 2 : n;
    kap_slot *slots = realloc(c->slots, cap * sizeof *slots);
    if (slots == NULL)
        return false;
    memset(slots + c->slots_cap, 0, (cap - c->slots_cap) * sizeof *slots);
    c->slots = slots;
    c->slots_cap = cap;
    return true;
}

void kap_slots_free(kap_call *c)
{
    for (uint32_t i = 0; i < c->ids.n && i < c->slots_cap; i++)
        unref_fault(c->slots[i].fault);
    free(c->slots);
    c->slots = NULL;
    c->slots_cap = 0;
    KAP_EACH(kap_fault, f, &c->faults, link) {
        kap_list_remove(&c->faults, &f->link);
        unref_fault(f);
    }
}

/* an iterator's
 * ---------------------------------------------------------------- */

/* The first id that a batch still refers to, or that is in no batch yet. */
static uint32_t first_open(const kap_call *c)
{
    KAP_EACH(const kap_batch, b, &c->batches, link)
        if (!b->canary)
            return b->first;
    return c->next;
}

/* Gives up the ids before that one that were handed out for the last time, up
 * to the first that was not. It waits until these are half of all, so that an
 * id is moved about once. */
static void drop_finished(kap_call *c)
{
    uint32_t open = first_open(c), n = 0;
    while (n < open && c->slots[n].wanted == 0)
        n++;
    if (n < DROP_MIN || n < c->ids.n / 2)
        return;
    for (uint32_t i = 0; i < n; i++)
        unref_fault(c->slots[i].fault);
    memmove(c->slots, c->slots + n, (c->ids.n - n) * sizeof *c->slots);
    memset(c->slots + (c->ids.n - n), 0, n * sizeof *c->slots);
    kap_idset_drop(&c->ids, n);
    c->dropped += n;
    c->next -= n;
    KAP_EACH(kap_batch, b, &c->batches, link)
        if (!b->canary) /* which has none of these ids */
            b->first -= n;
}

bool kap_slots_feed(kap_call *c, const char *id, size_t len, uint64_t *number)
{
    drop_finished(c);
    uint32_t i = kap_idset_find(&c->ids, id, len, KAP_IDSET_NONE);
    if (i == KAP_IDSET_NONE || c->slots[i].wanted == 0) {
        if (!kap_slots_reserve(c, c->ids.n + 1))
            return false;
        i = kap_idset_append(&c->ids, id, len);
        if (i == KAP_IDSET_NONE)
            return false;
    }
    c->slots[i].wanted++;
    *number = c->dropped + i;
    return true;
}

bool kap_slots_final(const kap_call *c, uint64_t number)
{
    uint64_t i = number - c->dropped;
    return c->done || i < first_open(c);
}

bool kap_slots_wants(const kap_call *c, uint32_t i)
{
    return i != KAP_IDSET_NONE && c->slots[i].wanted > 0;
}

bool kap_slots_release(kap_call *c, uint64_t number)
{
    return --c->slots[number - c->dropped].wanted == 0;
}

/* what has become of ids --------------------------------------------------- */

uint32_t kap_slots_pending(const kap_call *c, uint32_t first, uint32_t count)
{
    uint32_t n = 0;
    for (uint32_t i = first; i < first + count; i++)
        n += c->slots[i].state == KAP_ID_PENDING;
    return n;
}

char *kap_slots_join_pending(const kap_call *c, uint32_t first, uint32_t count,
                             size_t *len)
{
    size_t size;
    if (count > 0)
        kap_idset_span(&c->ids, first, count, &size);
    char *text = malloc(count > 0 ? size + 1 : 1), *p = text;
    for (uint32_t i = first; text != NULL && i < first + count; i++) {
        if (c->slots[i].state != KAP_ID_PENDING)
            continue;
        const char *id = kap_idset_get(&c->ids, i, &size);
        if (p != text)
            *p++ = ',';
        memcpy(p, id, size);
        p += size;
    }
    *len = (size_t)(p - text);
    return text;
}

void kap_slots_got(kap_call *c, uint32_t i)
{
    c->slots[i].state = KAP_ID_GOT;
    if (c->open) /* it may be handed out just now: kept as long as its id */
        return;
    unref_fault(c->slots[i].fault); /* of its own batch, which failed before */
    c->slots[i].fault = NULL;
}

void kap_slots_missing(kap_call *c, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++)
        if (c->slots[i].state == KAP_ID_PENDING)
            c->slots[i].state = KAP_ID_MISSING;
}

bool kap_slots_fail(kap_call *c, uint32_t first, uint32_t count,
                    const kap_failure *why)
{
    size_t len;
    char *ids = kap_slots_join_pending(c, first, count, &len);
    kap_fault *f = ids != NULL ? calloc(1, sizeof *f + len + 1) : NULL;
    if (f == NULL) {
        free(ids);
        return false;
    }
    f->failure = *why;
    f->ids_len = len;
    memcpy(f->ids, ids, len);
    free(ids);
    kap_refs_init(&f->refs); /* the list's */
    for (uint32_t i = first; i < first + count; i++) {
        if (c->slots[i].state != KAP_ID_PENDING)
            continue;
        c->slots[i].state = KAP_ID_FAILED;
        c->slots[i].fault = f;
        kap_refs_add(&f->refs);
    }
    if (!c->open)
        kap_list_push(&c->faults, &f->link);
    else /* an iterator's is its ids' alone */
        unref_fault(f);
    return true;
}

void kap_slots_reset(kap_call *c, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        unref_fault(c->slots[i].fault);
        c->slots[i] = (kap_slot){KAP_ID_PENDING, c->slots[i].wanted, NULL};
    }
}

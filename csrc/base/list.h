/*
 * Doubly linked lists of items that carry their own links, so that adding and
 * removing allocates nothing and takes constant time. An item has a kap_link
 * for each list that it may be in at once.
 *
 * A link that is in no list is zeroed; so is an empty list.
 */
#ifndef KAP_LIST_H
#define KAP_LIST_H

#include <stddef.h>

typedef struct kap_link {
    struct kap_link *prev, *next;
} kap_link;

typedef struct kap_list {
    kap_link *first, *last;
    size_t n;
} kap_list;

/* Puts it behind `after`; NULL: before all others. */
static inline void kap_list_insert(kap_list *l, kap_link *link, kap_link *after)
{
    link->prev = after;
    link->next = after != NULL ? after->next : l->first;
    if (link->prev != NULL)
        link->prev->next = link;
    else
        l->first = link;
    if (link->next != NULL)
        link->next->prev = link;
    else
        l->last = link;
    l->n++;
}

static inline void kap_list_push(kap_list *l, kap_link *link)
{
    kap_list_insert(l, link, l->last);
}

static inline void kap_list_remove(kap_list *l, kap_link *link)
{
    if (link->prev != NULL)
        link->prev->next = link->next;
    else
        l->first = link->next;
    if (link->next != NULL)
        link->next->prev = link->prev;
    else
        l->last = link->prev;
    link->prev = link->next = NULL;
    l->n--;
}

/* Takes the first one off; NULL: the list is empty. */
static inline kap_link *kap_list_shift(kap_list *l)
{
    kap_link *link = l->first;
    if (link != NULL)
        kap_list_remove(l, link);
    return link;
}

static inline void *kap_list_item(const kap_link *link, size_t offset)
{
    return link != NULL ? (char *)link - offset : NULL;
}

/* The item of that type whose `member` the link is; NULL for NULL. */
#define KAP_ITEM(link, type, member) \
    ((type *)kap_list_item((link), offsetof(type, member)))

/* for each item of the list, from the first on. The body may take the item that
 * it is at out of the list, and free it. */
#define KAP_EACH(type, item, list, member)                             \
    for (type *item = KAP_ITEM((list)->first, type, member),           \
              *item##_next = NULL;                                     \
         item != NULL &&                                               \
         (item##_next = KAP_ITEM(item->member.next, type, member), 1); \
         item = item##_next)

#endif

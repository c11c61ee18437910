/* Paths as a tree of names; siblings in a list, as there are only a few. */
#include "config/fields.h"

#include "base/refs.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct node {
    char *name;
    size_t len;
    int child, sibling; /* 0: none (the root is nobody's child) */
    uint64_t filter;    /* the children's filter bits */
    bool whole;
} node;

struct kap_fields {
    kap_refs refs;
    node *nodes;
    int count, room;
};

kap_fields *kap_fields_new(void)
{
    kap_fields *f = malloc(sizeof *f);
    node *root = calloc(1, sizeof *root);

    if (f == NULL || root == NULL) {
        free(f);
        free(root);
        return NULL;
    }
    kap_refs_init(&f->refs);
    f->nodes = root;
    f->count = f->room = 1;
    return f;
}

kap_fields *kap_fields_ref(kap_fields *f)
{
    kap_refs_add(&f->refs);
    return f;
}

void kap_fields_free(kap_fields *f)
{
    if (f == NULL || !kap_refs_drop(&f->refs))
        return;
    for (int i = 0; i < f->count; i++)
        free(f->nodes[i].name);
    free(f->nodes);
    free(f);
}

/* The child of `at` with this name, 0 if it has none. */
static int child(const kap_fields *f, int at, const char *name, size_t len)
{
    int i = f->nodes[at].child;

    while (i != 0) {
        const node *q = &f->nodes[i];

        if (q->len == len && memcmp(q->name, name, len) == 0)
            break;
        i = q->sibling;
    }
    return i;
}

/* As child, made where it is missing; 0 if there is no memory for it. */
static int grow(kap_fields *f, int at, const char *name, size_t len)
{
    int i = child(f, at, name, len);
    char *copy;

    if (i != 0)
        return i;
    if (f->count == f->room) {
        int room = f->room * 2;
        node *more;

        if (f->room > INT_MAX / 2)
            return 0;
        more = realloc(f->nodes, (size_t)room * sizeof *more);
        if (more == NULL)
            return 0;
        f->nodes = more;
        f->room = room;
    }
    copy = malloc(len + 1);
    if (copy == NULL)
        return 0;
    memcpy(copy, name, len);
    copy[len] = '\0';
    i = f->count++;
    f->nodes[i] =
        (node){.name = copy, .len = len, .sibling = f->nodes[at].child};
    f->nodes[at].child = i;
    f->nodes[at].filter |= kap_fields_bit(name, len);
    return i;
}

/* Takes one name off *path into `name`, unescaped; its length. *more tells
 * whether a dot followed. */
static size_t next_name(const char **path, const char *end, char *name,
                        bool *more)
{
    const char *p = *path;
    size_t len = 0;

    while (p < end && *p != '.') {
        if (*p == '\\' && end - p > 1 && (p[1] == '.' || p[1] == '\\'))
            p++;
        name[len++] = *p++;
    }
    *more = p < end;
    *path = p + *more;
    return len;
}

kap_fields_status kap_fields_add(kap_fields *f, const char *path, size_t len)
{
    const char *end = path + len;
    const char *p = path;
    char *name = malloc(len + 1);
    bool more = true;
    int at = 0;

    if (name == NULL)
        return KAP_FIELDS_NOMEM;
    while (more) {
        if (next_name(&p, end, name, &more) == 0) {
            free(name);
            return KAP_FIELDS_EMPTY;
        }
    }
    p = path;
    more = true;
    while (more && !f->nodes[at].whole) {
        size_t n = next_name(&p, end, name, &more);

        at = grow(f, at, name, n);
        if (at == 0) {
            free(name);
            return KAP_FIELDS_NOMEM;
        }
    }
    free(name);
    /* Longer paths below, given earlier, stay in the tree out of reach. */
    f->nodes[at].whole = true;
    return KAP_FIELDS_OK;
}

int kap_fields_find(const kap_fields *f, int at, const char *name, size_t len)
{
    int i = child(f, at, name, len);
    if (i == 0)
        return KAP_FIELDS_NONE;
    return f->nodes[i].whole ? KAP_FIELDS_ALL : i;
}

uint64_t kap_fields_filter(const kap_fields *f, int at)
{
    return f->nodes[at].filter;
}

unsigned kap_fields_width(const kap_fields *f, int at)
{
    unsigned n = 0;

    for (int i = f->nodes[at].child; i != 0; i = f->nodes[i].sibling)
        n++;
    return n;
}

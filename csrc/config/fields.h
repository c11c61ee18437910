/*
 * The `fields` option, compiled: which paths of a ticket are built. Knows no
 * Lua.
 *
 * A path is names joined by dots; "\." stands for a dot that belongs to a
 * name, "\\" for a backslash. A path selects everything below it, so of a path
 * and a longer one under it only the shorter counts.
 */
#ifndef KAP_FIELDS_H
#define KAP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct kap_fields kap_fields;

typedef enum {
    KAP_FIELDS_OK,
    KAP_FIELDS_EMPTY, /* an empty name: "", "a..b", ".a"; nothing was added */
    KAP_FIELDS_NOMEM  /* to be freed now: half a path may have been added */
} kap_fields_status;

kap_fields *kap_fields_new(void); /* NULL: no memory */
kap_fields_status kap_fields_add(kap_fields *f, const char *path, size_t len);
/* Compiled fields never change again: copies of the options share them, from
 * any thread. */
kap_fields *kap_fields_ref(kap_fields *f);
void kap_fields_free(kap_fields *f); /* drops a reference; NULL is fine */

/* For the decoder. The paths form a tree, whose nodes are numbered: 0 is the
 * ticket itself, a positive number a name further down. */
#define KAP_FIELDS_ALL (-1)  /* at the end of a path: all below is wanted */
#define KAP_FIELDS_NONE (-2) /* on no path */

/* The node of the member `name` of the object at node `at` (>= 0), or one of
 * the above. */
int kap_fields_find(const kap_fields *f, int at, const char *name, size_t len);
/* Most names are on no path. One bit, made of a name's length and first
 * byte, tells most of these: a name whose bit is not in the node's filter is
 * on none. */
static inline uint64_t kap_fields_bit(const char *name, size_t len)
{
    return UINT64_C(1) << ((len * 7 + (unsigned char)*name) & 63);
}
uint64_t kap_fields_filter(const kap_fields *f, int at);
/* How many names lead on from node `at` (>= 0). */
unsigned kap_fields_width(const kap_fields *f, int at);

#endif

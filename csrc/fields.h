/*
 * The `fields` option, compiled: which paths of a ticket are built. Lua-free.
 *
 * A path is names joined by dots; "\." stands for a dot that belongs to a
 * name, "\\" for a backslash. A path selects everything below it.
 */
#ifndef KAP_FIELDS_H
#define KAP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct kap_fields kap_fields;

typedef enum {
    KAP_FIELDS_OK,
    KAP_FIELDS_EMPTY, /* an empty name: "", "a..b", ".a" */
    KAP_FIELDS_NOMEM
} kap_fields_status;

kap_fields *kap_fields_new(void); /* NULL: no memory */
kap_fields_status kap_fields_add(kap_fields *f, const char *path, size_t len);
void kap_fields_free(kap_fields *f); /* NULL is fine */

#endif

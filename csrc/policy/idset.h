/*
 * The ids of a call, each once, in the order in which they were asked for.
 * Knows no Lua, and nothing of what becomes of an id: see slots.h.
 *
 * The text of all of them is kept as it goes on the wire, separated by commas,
 * so that any run of ids is one span of it.
 */
#ifndef KAP_IDSET_H
#define KAP_IDSET_H

#include "config/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KAP_IDSET_NONE UINT32_MAX

typedef struct kap_idset {
    char *text;
    size_t text_len, text_cap;
    uint32_t *at; /* where each id starts; at[n] is where the next would */
    uint32_t n, cap;
    uint32_t *table; /* open addressing: index + 1, 0 for empty */
    uint32_t mask;
} kap_idset;

/* 1 to 64 of A-Z a-z 0-9 _ - */
bool kap_idset_valid(const char *id, size_t len);

void kap_idset_free(kap_idset *s);
/* Empties it and keeps its memory. */
void kap_idset_clear(kap_idset *s);
/* The id's index, old or new; KAP_IDSET_NONE: no memory. The id is valid. */
uint32_t kap_idset_add(kap_idset *s, const char *id, size_t len);
/* Adds it also where it is there already; kap_idset_find then finds the new
 * one. */
uint32_t kap_idset_append(kap_idset *s, const char *id, size_t len);
/* Removes the first n; the indexes of the others become less by n. */
void kap_idset_drop(kap_idset *s, uint32_t n);
/* KAP_IDSET_NONE: not in it. `expected`: the index it is likely to have, which
 * is tried first. */
uint32_t kap_idset_find(const kap_idset *s, const char *id, size_t len,
                        uint32_t expected);
const char *kap_idset_get(const kap_idset *s, uint32_t i, size_t *len);
/* ids[first .. first+count) as comma-separated text. */
const char *kap_idset_span(const kap_idset *s, uint32_t first, uint32_t count,
                           size_t *len);

#endif

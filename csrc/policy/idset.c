#include "policy/idset.h"

#include "base/ascii.h"

#include <stdlib.h>
#include <string.h>

bool kap_idset_valid(const char *id, size_t len)
{
    if (len == 0 || len > KAP_ID_LENGTH_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = id[i];
        if (!kap_is_digit(c) && !kap_is_letter(c) && c != '_' && c != '-')
            return false;
    }
    return true;
}

void kap_idset_free(kap_idset *s)
{
    free(s->text);
    free(s->at);
    free(s->table);
    memset(s, 0, sizeof *s);
}

void kap_idset_clear(kap_idset *s)
{
    s->text_len = 0;
    s->n = 0;
    if (s->table != NULL)
        memset(s->table, 0, ((size_t)s->mask + 1) * sizeof *s->table);
}

static uint32_t hash(const char *id, size_t len)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)id[i]) * 16777619u;
    return h ^ (h >> 15);
}

const char *kap_idset_get(const kap_idset *s, uint32_t i, size_t *len)
{
    size_t end = i + 1 < s->n ? s->at[i + 1] - 1 : s->text_len;
    *len = end - s->at[i];
    return s->text + s->at[i];
}

const char *kap_idset_span(const kap_idset *s, uint32_t first, uint32_t count,
                           size_t *len)
{
    size_t last;
    const char *end = kap_idset_get(s, first + count - 1, &last);
    *len = (size_t)(end - s->text) + last - s->at[first];
    return s->text + s->at[first];
}

static bool same(const kap_idset *s, uint32_t i, const char *id, size_t len)
{
    size_t n;
    const char *have = kap_idset_get(s, i, &n);
    return n == len && memcmp(have, id, len) == 0;
}

/* The slot that holds the id, or the empty one where it belongs. */
static uint32_t slot_of(const kap_idset *s, const char *id, size_t len)
{
    uint32_t i = hash(id, len) & s->mask;
    while (s->table[i] != 0 && !same(s, s->table[i] - 1, id, len))
        i = (i + 1) & s->mask;
    return i;
}

uint32_t kap_idset_find(const kap_idset *s, const char *id, size_t len,
                        uint32_t expected)
{
    if (expected < s->n && same(s, expected, id, len))
        return expected;
    if (s->table == NULL)
        return KAP_IDSET_NONE;
    uint32_t i = slot_of(s, id, len);
    return s->table[i] == 0 ? KAP_IDSET_NONE : s->table[i] - 1;
}

static void index_all(kap_idset *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        size_t len;
        const char *id = kap_idset_get(s, i, &len);
        s->table[slot_of(s, id, len)] = i + 1;
    }
}

static bool grow_index(kap_idset *s)
{
    uint32_t cap = s->cap == 0 ? 16 : s->cap * 2;
    uint32_t size = cap * 2; /* at most half full */
    uint32_t *at, *table;
    if (cap > UINT32_MAX / 4)
        return false;
    at = realloc(s->at, cap * sizeof *at);
    if (at == NULL)
        return false;
    s->at = at;
    table = calloc(size, sizeof *table);
    if (table == NULL)
        return false;
    free(s->table);
    s->table = table;
    s->mask = size - 1;
    s->cap = cap;
    index_all(s);
    return true;
}

void kap_idset_drop(kap_idset *s, uint32_t n)
{
    size_t from = n < s->n ? s->at[n] : s->text_len;
    s->n -= n;
    s->text_len -= from;
    memmove(s->text, s->text + from, s->text_len);
    for (uint32_t i = 0; i < s->n; i++)
        s->at[i] = s->at[i + n] - (uint32_t)from;
    memset(s->table, 0, ((size_t)s->mask + 1) * sizeof *s->table);
    index_all(s);
}

/* The id goes into that slot of the table, which has room. */
static uint32_t put(kap_idset *s, uint32_t slot, const char *id, size_t len)
{
    if (s->text_len + len + 1 > s->text_cap) {
        size_t cap = s->text_cap == 0 ? 256 : s->text_cap * 2;
        char *text;
        if (cap > UINT32_MAX / 2)
            return KAP_IDSET_NONE;
        text = realloc(s->text, cap);
        if (text == NULL)
            return KAP_IDSET_NONE;
        s->text = text;
        s->text_cap = cap;
    }
    if (s->n > 0)
        s->text[s->text_len++] = ',';
    s->at[s->n] = (uint32_t)s->text_len;
    memcpy(s->text + s->text_len, id, len);
    s->text_len += len;
    s->table[slot] = s->n + 1;
    return s->n++;
}

uint32_t kap_idset_add(kap_idset *s, const char *id, size_t len)
{
    if (s->n == s->cap && !grow_index(s))
        return KAP_IDSET_NONE;
    uint32_t slot = slot_of(s, id, len);
    return s->table[slot] != 0 ? s->table[slot] - 1 : put(s, slot, id, len);
}

uint32_t kap_idset_append(kap_idset *s, const char *id, size_t len)
{
    if (s->n == s->cap && !grow_index(s))
        return KAP_IDSET_NONE;
    return put(s, slot_of(s, id, len), id, len);
}

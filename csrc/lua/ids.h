/*
 * Reads ids from Lua values: strings, integers (LuaJIT's 64-bit ones, too),
 * arrays of these. Says what is wrong with a value that is no id; what follows
 * from that is the caller's to decide.
 */
#ifndef KAP_IDS_H
#define KAP_IDS_H

#include "compat.h"
#include "policy/idset.h"
#include "base/failure.h"

#define KAP_IDS_TEXT_MAX 80

/* An id; or a value that is none, as text for a message. */
typedef struct kap_id_item {
    bool valid;
    size_t len;
    char text[KAP_IDS_TEXT_MAX];
} kap_id_item;

/* Called for each id in a value; false stops. */
typedef bool (*kap_id_sink)(void *arg, const kap_id_item *item);

/* Reads one element: a number, or a string, in which commas separate ids.
 * `blank_ok`: a blank string has no ids; otherwise it is an invalid id. False:
 * the sink has stopped it. */
bool kapL_ids_value(lua_State *L, int idx, bool blank_ok, kap_id_sink sink,
                    void *arg);

/* The next id of a string, from byte *at on, which moves behind it; false: it was
 * read to its end. The string is not blank. */
bool kap_ids_next(const char *s, size_t len, size_t *at, kap_id_item *item);
bool kap_ids_blank(const char *s, size_t len);

/* Whether the value is one of LuaJIT's 64-bit integers, 12LL or 12ULL, which
 * are no numbers to Lua's C API. */
bool kapL_ids_int64(lua_State *L, int idx);

/*
 * Adds the ids of the argument at idx to `set`, in order. False: *f says why
 * (invalid_ids, nomem), and `text` is the value that is no id, or "". Raises an
 * argument error for a value of another type.
 */
bool kapL_ids(lua_State *L, int idx, kap_idset *set, kap_failure *f,
              char text[KAP_IDS_TEXT_MAX], int arg, const char *func);

/* Whether the array at idx has an element after index n. If so, a nil is in
 * between (a hole), and what Lua reports as the length of such a table is
 * unpredictable. Indexes below 1 are ignored: a script's `arg` has its name at
 * 0. */
bool kapL_ids_has_hole(lua_State *L, int idx, size_t n);

/* "'x' is not an id (...)" */
void kap_ids_complain(kap_failure *f, const char *text, long position);

#endif

/*
 * Values without parts, text, numbers, true, false and null, as Lua values; and
 * the ids of tickets, which are such. What ends in _fast reads whole blocks of
 * bytes ahead, so it is called away from the end of the text only, and leaves
 * unusual values to the function of the same name without _fast.
 */
#ifndef KAP_SCALAR_H
#define KAP_SCALAR_H

#include "json/session.h"

/* Pushes any value without parts, whatever room there is. The byte after it,
 * or NULL. */
char *kapL_scalar(lua_State *L, kap_decode *d, unsigned mark, char *p);

/* d->id, where it is one that is usable. */
void kap_scalar_text_id(kap_decode *d, const char *text, size_t len);
/* A number serves as id when it is an integer that is not negative, however it
 * is written: its digits. */
void kap_scalar_number_id(kap_decode *d, const char *p, const char *end);

static inline void kapL_scalar_integer(lua_State *L, int64_t value)
{
#if KAP_LUA_INTEGERS
    lua_pushinteger(L, (lua_Integer)value);
#else
    lua_pushnumber(L, (lua_Number)value);
#endif
}

/* As kapL_scalar for a value without a mark. KAP_VALUE_ROOM bytes must be
 * readable at p. */
static inline char *kapL_scalar_fast(lua_State *L, kap_decode *d, char *p)
{
    char *q;

    if (*p == '"') {
        size_t len;

        if (p[1] == '"') {
            lua_pushvalue(L, d->session->empty);
            return p + 2;
        }
        q = kap_scan_read_text(&d->scan, p, &len);
        if (q == NULL)
            return NULL;
        if (len <= KAP_TEXT_MAX)
            kapL_session_text(L, d->session, p + 1, len);
        else
            lua_pushlstring(L, p + 1, len);
        return q;
    }
    if (kap_is_digit(*p)) {
        int64_t value;

        q = kap_scan_digits(p, &value);
        if ((*q == ',' || *q == '}' || *q == ']') && q - p <= 15 &&
            (*p != '0' || q == p + 1)) {
            kapL_scalar_integer(L, value);
            return q;
        }
    }
    return kapL_scalar(L, d, KAP_MARK_NONE, p);
}

#endif

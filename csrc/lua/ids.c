#include "lua/ids.h"

#include "base/ascii.h"
#include "lua/error.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTE_ORDER_MARK "<U+FEFF>"

void kap_ids_complain(kap_failure *f, const char *text, long position)
{
    static const char what[] =
        "is not an id (1 to 64 of A-Z a-z 0-9 _ - expected)";
    const char *why = what;
    /* digits alone would have been one, were they not a number's */
    if (*text != '\0' && text[strspn(text, "0123456789")] == '\0')
        why = "is a number too large to be exact: give a string";
    else if (strstr(text, BYTE_ORDER_MARK) != NULL)
        why = "is not an id: U+FEFF is a byte order mark, which is invisible "
              "in a file";
    else if (strstr(text, "<U+") != NULL)
        why = "is not an id: it holds a character that is invisible";
    if (position > 0)
        kap_failure_set(f, KAP_KIND_INVALID_IDS, "ids[%ld]: '%s' %s", position,
                        text, why);
    else
        kap_failure_set(f, KAP_KIND_INVALID_IDS, "'%s' %s", text, why);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Length of the character of UTF-8 at s, and its code; 1 and 0 for what is none. */
static size_t decode_utf8(const char *s, size_t len, unsigned *code)
{
    unsigned char c = (unsigned char)*s;
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    *code = 0;
    if (n == 1 || n > len)
        return 1;
    unsigned value = c & (0xffU >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 1;
        value = value << 6 | ((unsigned char)s[i] & 0x3f);
    }
    *code = value;
    return n;
}

/* Beyond ASCII: what a terminal or an editor shows as a blank, or not at all. */
static bool is_invisible(unsigned code)
{
    return (code >= 0x80 && code <= 0xa0) || code == 0xad ||
           (code >= 0x2000 && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202f) ||
           (code >= 0x205f && code <= 0x206f) || code == 0x3000 ||
           code == 0xfeff;
}

/* No id, as its writer would know it again; what can't be seen is named. */
static void describe(kap_id_item *item, const char *s, size_t len)
{
    static const char dots[] = "...";
    size_t n = 0, i = 0;
    size_t cut = 0; /* so much of it leaves room for the dots */
    item->valid = false;
    while (i < len) {
        char piece[sizeof BYTE_ORDER_MARK];
        unsigned code;
        size_t used = decode_utf8(s + i, len - i, &code);
        if (is_invisible(code))
            snprintf(piece, sizeof piece, "<U+%04X>", code & 0xffffU);
        else
            snprintf(piece, sizeof piece, "%.*s", (int)used,
                     kap_is_control(s[i]) ? "?" : s + i);
        if (n + sizeof dots <= KAP_IDS_TEXT_MAX)
            cut = n;
        if (n + strlen(piece) >= KAP_IDS_TEXT_MAX) {
            memcpy(item->text + cut, dots, strlen(dots));
            n = cut + strlen(dots);
            break;
        }
        memcpy(item->text + n, piece, strlen(piece));
        n += strlen(piece);
        i += used;
    }
    item->text[n] = '\0';
    item->len = n;
}

static void take(const char *s, size_t len, kap_id_item *item)
{
    while (len > 0 && is_blank(*s))
        s++, len--;
    while (len > 0 && is_blank(s[len - 1]))
        len--;
    if (kap_idset_valid(s, len)) {
        item->valid = true;
        item->len = len;
        memcpy(item->text, s, len);
        item->text[len] = '\0';
    } else {
        describe(item, s, len);
    }
}

static bool give(const char *s, size_t len, kap_id_sink sink, void *arg)
{
    kap_id_item item;
    take(s, len, &item);
    return sink(arg, &item);
}

bool kap_ids_blank(const char *s, size_t len)
{
    while (len > 0 && is_blank(s[len - 1]))
        len--;
    return len == 0;
}

bool kap_ids_next(const char *s, size_t len, size_t *at, kap_id_item *item)
{
    if (*at > len)
        return false;
    const char *from = s + *at, *comma = memchr(from, ',', len - *at);
    size_t n = comma != NULL ? (size_t)(comma - from) : len - *at;
    take(from, n, item);
    *at += n + 1;
    return true;
}

static bool give_string(const char *s, size_t len, bool blank_ok,
                        kap_id_sink sink, void *arg)
{
    kap_id_item item;
    size_t at = 0;
    if (blank_ok && kap_ids_blank(s, len))
        return true;
    while (kap_ids_next(s, len, &at, &item))
        if (!sink(arg, &item))
            return false;
    return true;
}

/* A number that is no id, as its writer would know it again: no digit more than
 * it takes, and an integer without an exponent. */
static bool give_refused(double v, kap_id_sink sink, void *arg)
{
    kap_id_item item;
    char text[64];
    int n = snprintf(text, sizeof text, "%.14g", v);
    if (v == floor(v) && fabs(v) < 1e20)
        n = snprintf(text, sizeof text, "%.0f", v);
    else if (strtod(text, NULL) != v)
        n = snprintf(text, sizeof text, "%.17g", v);
    describe(&item, text, (size_t)n);
    return sink(arg, &item);
}

/* An integer that is not negative, in its digits; anything else is described. */
static bool give_number(lua_State *L, int idx, kap_id_sink sink, void *arg)
{
    char text[64];
    double v = lua_tonumber(L, idx);
    int n;
#if KAP_LUA_INTEGERS
    if (lua_isinteger(L, idx)) {
        n = snprintf(text, sizeof text, "%lld",
                     (long long)lua_tointeger(L, idx));
        if (*text != '-')
            return give(text, (size_t)n, sink, arg);
        kap_id_item item; /* a sign would pass for a character of an id */
        describe(&item, text, (size_t)n);
        return sink(arg, &item);
    }
#endif
    /* from 2^53 on a double no longer says which integer was meant */
    if (v >= 0 && v == floor(v) && v < 9007199254740992.0) {
        n = snprintf(text, sizeof text, "%.0f", v == 0 ? 0.0 : v);
        return give(text, (size_t)n, sink, arg);
    }
    return give_refused(v, sink, arg);
}

/* The type of LuaJIT's cdata, of which its C API knows nothing else. No other Lua
 * has one of this number. */
#define CDATA (LUA_TTHREAD + 2)

/* Pushes what the cdata at idx is as text; NULL, and nothing, where it has none. */
static const char *push_cdata_text(lua_State *L, int idx)
{
    idx = kapL_absindex(L, idx);
    if (lua_type(L, idx) != CDATA || !luaL_getmetafield(L, idx, "__tostring"))
        return NULL;
    lua_pushvalue(L, idx);
    int status =
        lua_pcall(L, 1, 1, 0); /* its type may have a function of its own */
    if (status == LUA_ERRMEM)
        lua_error(L);
    const char *text = status == 0 ? lua_tostring(L, -1) : NULL;
    if (text == NULL)
        lua_pop(L, 1);
    return text;
}

/* How many digits begin the text of a 64-bit integer, "12LL" or "12ULL"; 0: it is
 * not that of one. */
static size_t int64_digits(const char *text)
{
    size_t n = strspn(text, "0123456789");
    return strcmp(text + n, "LL") == 0 || strcmp(text + n, "ULL") == 0 ? n : 0;
}

bool kapL_ids_int64(lua_State *L, int idx)
{
    const char *text = push_cdata_text(L, idx);
    if (text == NULL)
        return false;
    bool is = int64_digits(text + (*text == '-')) > 0;
    lua_pop(L, 1);
    return is;
}

/* A 64-bit integer of LuaJIT's in its digits; any other cdata is described as what it
 * is, without its address. */
static bool give_cdata(lua_State *L, int idx, kap_id_sink sink, void *arg)
{
    kap_id_item item;
    int top = lua_gettop(L);
    const char *text = push_cdata_text(L, idx);
    size_t n = text != NULL ? int64_digits(text) : 0;
    bool ok;
    if (n > 0) {
        ok = give(text, n, sink, arg);
    } else {
        if (text == NULL)
            text = "cdata";
        const char *address = strstr(text, ": 0x");
        describe(&item, text,
                 address != NULL ? (size_t)(address - text) : strlen(text));
        ok = sink(arg, &item);
    }
    lua_settop(L, top);
    return ok;
}

bool kapL_ids_value(lua_State *L, int idx, bool blank_ok, kap_id_sink sink,
                    void *arg)
{
    kap_id_item item;
    size_t len;
    const char *s;
    switch (lua_type(L, idx)) {
    case LUA_TSTRING:
        s = lua_tolstring(L, idx, &len);
        return give_string(s, len, blank_ok, sink, arg);
    case LUA_TNUMBER: return give_number(L, idx, sink, arg);
    case CDATA: return give_cdata(L, idx, sink, arg);
    default:
        s = luaL_typename(L, idx);
        if (lua_isboolean(L, idx))
            s = lua_toboolean(L, idx) ? "true" : "false";
        describe(&item, s, strlen(s));
        return sink(arg, &item);
    }
}

typedef struct collector {
    kap_idset *set;
    kap_failure *f;
    char *text;
    long position;
} collector;

static bool collect(void *arg, const kap_id_item *item)
{
    collector *c = arg;
    if (!item->valid) {
        snprintf(c->text, KAP_IDS_TEXT_MAX, "%s", item->text);
        kap_ids_complain(c->f, c->text, c->position);
        return false;
    }
    if (kap_idset_add(c->set, item->text, item->len) == KAP_IDSET_NONE) {
        kap_failure_set(c->f, KAP_KIND_NOMEM, "not enough memory");
        return false;
    }
    return true;
}

bool kapL_ids_has_hole(lua_State *L, int idx, size_t n)
{
    for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TNUMBER && lua_tonumber(L, -2) > (double)n) {
            lua_pop(L, 2);
            return true;
        }
    }
    return false;
}

bool kapL_ids(lua_State *L, int idx, kap_idset *set, kap_failure *f,
              char text[KAP_IDS_TEXT_MAX], int arg, const char *func)
{
    collector c = {set, f, text, 0};
    text[0] = '\0';
    int type = lua_type(L, idx);
    if (type == CDATA && kapL_ids_int64(L, idx))
        type = LUA_TNUMBER;
    switch (type) {
    case LUA_TSTRING:
    case LUA_TNUMBER:
        if (!kapL_ids_value(L, idx, true, collect, &c))
            return false;
        break;
    case LUA_TTABLE: {
        size_t n = lua_rawlen(L, idx);
        for (size_t i = 1; i <= n; i++) {
            c.position = (long)i;
            lua_rawgeti(L, idx, (int)i);
            bool ok = kapL_ids_value(L, lua_gettop(L), false, collect, &c);
            lua_pop(L, 1);
            if (!ok)
                return false;
        }
        if (kapL_ids_has_hole(L, idx, n)) {
            snprintf(text, KAP_IDS_TEXT_MAX, "nil");
            kap_ids_complain(f, text, (long)n + 1);
            return false;
        }
        break;
    }
    default:
        kapL_error_argument(L, arg, func,
                            "string, integer or table of ids expected, got %s",
                            luaL_typename(L, idx));
    }
    if (set->n > 0)
        return true;
    kap_failure_set(f, KAP_KIND_INVALID_IDS, "ticket_ids are missing.");
    return false;
}

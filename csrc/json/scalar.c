#include "json/scalar.h"

#include "json/number.h"

/* The integers that this Lua's numbers hold without loss; others are pushed as
 * the text of their digits. */
#if KAP_LUA_INTEGERS
#define EXACT_MAX LUA_MAXINTEGER
#define EXACT_MIN LUA_MININTEGER
#else
#define EXACT_MAX (INT64_C(1) << 53)
#define EXACT_MIN (-EXACT_MAX)
#endif

void kap_scalar_text_id(kap_decode *d, const char *text, size_t len)
{
    d->id_len = 0;
    if (len <= KAP_ID_LENGTH_MAX) {
        memcpy(d->id, text, len);
        d->id[len] = '\0';
        d->id_len = len;
    }
}

void kap_scalar_number_id(kap_decode *d, const char *p, const char *end)
{
    char digits[KAP_ID_LENGTH_MAX];
    size_t len = 0;
    int64_t zeros = kap_number_digits(p, end, digits, sizeof digits, &len);

    d->id_len = 0;
    if (zeros < 0 || (uint64_t)zeros > sizeof digits - len)
        return;
    memset(digits + len, '0', (size_t)zeros);
    kap_scalar_text_id(d, digits, len + (size_t)zeros);
}

static void push_number(lua_State *L, const kap_number *n, const char *text,
                        const char *end)
{
    if (n->kind == KAP_NUMBER_REAL)
        lua_pushnumber(L, (lua_Number)n->real);
    else if (n->kind == KAP_NUMBER_BIG || n->integer > EXACT_MAX ||
             n->integer < EXACT_MIN)
        lua_pushlstring(L, text, (size_t)(end - text));
#if !KAP_LUA_INTEGERS
    else if (n->integer == 0 && n->negative)
        lua_pushnumber(L, -0.0);
#endif
    else
        kapL_scalar_integer(L, n->integer);
}

static bool is_literal(const char *p, const char *end, const char *literal)
{
    size_t len = strlen(literal);

    return (size_t)(end - p) >= len && memcmp(p, literal, len) == 0;
}

char *kapL_scalar(lua_State *L, kap_decode *d, unsigned mark, char *p)
{
    char *end = d->scan.end, *q, *bad;
    kap_number n;
    size_t len;

    if (p < end && *p == '"') {
        q = kap_scan_read_text(&d->scan, p, &len);
        if (q == NULL)
            return NULL;
        lua_pushlstring(L, p + 1, len);
        if (mark == KAP_MARK_ID)
            kap_scalar_text_id(d, p + 1, len);
        return q;
    }
    if (p < end && (*p == '-' || kap_is_digit(*p))) {
        q = kap_number_read(p, end, &n, &bad);
        if (q == NULL) {
            kap_scan_fail_at(&d->scan, bad, "invalid number");
            return NULL;
        }
        push_number(L, &n, p, q);
        if (mark == KAP_MARK_ID)
            kap_scalar_number_id(d, p, q);
        return q;
    }
    if (is_literal(p, end, "null")) {
        lua_pushlightuserdata(L, NULL);
        return p + 4;
    }
    if (is_literal(p, end, "true")) {
        lua_pushboolean(L, 1);
        return p + 4;
    }
    if (is_literal(p, end, "false")) {
        lua_pushboolean(L, 0);
        return p + 5;
    }
    kap_scan_fail_at(&d->scan, p, "expected a value");
    return NULL;
}

#include "json/session.h"

/* Shapes that may be added in an answer of so few bytes; a large one may take
 * all there are. A slot of the Lua stack is cleared for each. */
#define SMALL_BYTES 2048
#define SMALL_SHAPES 48

static void forget(kap_session *s)
{
    s->used = s->kept = KAP_SHAPE_FREE;
    s->full = false;
    s->name_bytes = 0;
    s->none = NULL;
    memset(s->shapes, 0, KAP_SHAPE_FREE * sizeof s->shapes[0]);
}

static int session_gc(lua_State *L)
{
    kap_session *s = lua_touserdata(L, 1);

    kap_fields_free(s->fields);
    s->fields = NULL;
    return 0;
}

void kapL_session_new(lua_State *L)
{
    kap_session *s = lua_newuserdata(L, sizeof *s);

    s->open = true;
    s->keys = 0;
    s->fields = NULL;
    if (luaL_newmetatable(L, "kapture.session")) {
        lua_pushcfunction(L, session_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    lua_createtable(L, SMALL_SHAPES, 0);
    kapL_setuservalue(L, -2);
}

void kapL_session_open(lua_State *L, kap_decode *d, int idx, int array_mt)
{
    kap_session *s = lua_touserdata(L, idx);
    bool small = d->scan.end - d->scan.p < SMALL_BYTES;
    int texts;

    /* A ticket that was put aside goes on with none of the shapes it had. */
    if (s->open || s->full || d->paused > 0)
        forget(s);
    s->open = true;
    s->room = KAP_SESSION_SHAPES;
    if (small && s->room - s->used > SMALL_SHAPES)
        s->room = s->used + SMALL_SHAPES;
    s->text_shift = small ? 64 - 4 : 64 - 6;
    texts = 1 << (64 - s->text_shift);
    s->array_mt = kapL_absindex(L, array_mt);
    idx = kapL_absindex(L, idx);
    kapL_room(L, 2 + s->room + texts);
    s->names = lua_gettop(L) + 1;
    s->empty = s->names + 1;
    if (s->keys != s->empty + 1)
        for (int i = 0; i < s->used; i++)
            s->shapes[i].slot = s->empty + 1 + i;
    s->keys = s->empty + 1;
    s->texts = s->keys + s->room;
    kapL_getuservalue(L, idx);
    lua_pushliteral(L, "");
    for (int i = 0; i < s->kept; i++)
        lua_rawgeti(L, s->names, i + 1);
    lua_settop(L, s->texts + texts - 1);
    memset(s->known, 0, (size_t)texts * sizeof s->known[0]);
    memset(s->frames, 0, sizeof s->frames[0]);
    d->session = s;
}

void kap_session_fields(kap_session *s, kap_shape *shape, kap_fields *f)
{
    memset(shape, 0, sizeof *shape);
    kap_fields_free(s->fields);
    s->fields = f != NULL ? kap_fields_ref(f) : NULL;
}

void kapL_session_close(lua_State *L, kap_decode *d)
{
    kap_session *s = d->session;

    for (int i = s->kept; i < s->used; i++) {
        lua_pushvalue(L, s->keys + i);
        lua_rawseti(L, s->names, i + 1);
        s->kept = i + 1;
    }
    lua_settop(L, s->names - 1);
    s->open = false;
    d->session = NULL;
}

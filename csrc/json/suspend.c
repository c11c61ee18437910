#include "json/suspend.h"

/* What a ticket's open containers are remembered by while it is put aside: the
 * first of the table, the values on the Lua stack behind it. */
typedef struct aside {
    unsigned values;
    struct {
        unsigned count;
        int field;
        unsigned char mark;
        bool object;
    } level[];
} aside;

void kapL_suspend(lua_State *L, kap_decode *d, const kap_frame *fr, int top)
{
    const kap_frame *lowest = d->session->frames;
    unsigned levels = (unsigned)(fr - lowest);
    unsigned values = (unsigned)(lua_gettop(L) - top);
    const int table = top + 1; /* below the values, which go into it */
    aside *a;

    kapL_room(L, 4);
    lua_createtable(L, (int)values + 1, 0);
    lua_insert(L, table);
    a = lua_newuserdata(L, sizeof *a + levels * sizeof a->level[0]);
    a->values = values;
    for (unsigned i = 0; i < levels; i++) {
        a->level[i].count = lowest[i + 1].count;
        a->level[i].field = lowest[i + 1].field;
        a->level[i].mark = lowest[i + 1].mark;
        a->level[i].object = lowest[i + 1].object;
    }
    lua_rawseti(L, table, 1);
    for (unsigned i = values; i > 0; i--)
        lua_rawseti(L, table, (int)i + 1);
    d->paused = levels;
}

kap_frame *kapL_suspend_resume(lua_State *L, kap_decode *d, kap_shape *at)
{
    kap_session *s = d->session;
    kap_frame *fr = s->frames;
    int table = lua_gettop(L);
    unsigned levels = d->paused;
    const aside *a;

    d->paused = 0;
    lua_rawgeti(L, table, 1);
    a = lua_touserdata(L, -1);
    kapL_room(L, (int)a->values + KAP_STACK_SLOTS);
    for (unsigned i = 0; i < levels; i++) {
        kap_shape *inner = kap_session_shape(s);

        fr++;
        fr->count = a->level[i].count;
        kap_session_field(s, fr, a->level[i].field);
        fr->mark = a->level[i].mark;
        fr->object = a->level[i].object;
        fr->shape = at;
        fr->link = at != NULL ? &at->first : &s->none;
        if (at != NULL && !fr->object)
            at->element = inner;
        at = inner;
    }
    for (unsigned i = 1; i <= a->values; i++)
        lua_rawgeti(L, table, (int)i + 1);
    lua_remove(L, table + 1);
    lua_remove(L, table);
    return fr;
}

/*
 * JSON text to Lua values: one loop over the text, no recursion. Tables under
 * construction, and the keys that they wait under, are on the Lua stack; the
 * rest of the state is in kap_decode_frames.
 *
 * What makes it fast is guessing. The tickets of a response are alike, so each
 * place in the document remembers what it saw last: which member follows which
 * (all bytes from the comma to the value are then compared at once, and the
 * name is on the Lua stack already, not to be hashed again), and how large the
 * table was (the next one is made that large). Short texts that came before are
 * found on the Lua stack too.
 */
#include "json/decode.h"

#include "base/clock.h"
#include "json/decode_parts.h"

/* The places that are there from the start. */
enum { PLACE_VALUE, PLACE_TICKET, PLACE_FREE };

/* Members looked at, where the one expected is not there. */
#define GUESSES 8

void kapL_decode_begin(lua_State *L, kap_decode *d, kap_decode_session *s,
                       int array_mt)
{
    ptrdiff_t left = d->end - d->p;
    int texts;

    /* A single ticket has little use for guesses. */
    if (left < 2048) {
        s->room = 24;
        s->text_shift = 64 - 4;
    } else {
        s->room = KAP_DECODE_PLACES;
        s->text_shift = 64 - 6;
    }
    texts = 1 << (64 - s->text_shift);
    s->array_mt = kapL_absindex(L, array_mt);
    kapL_room(L, 1 + s->room + texts);
    lua_pushliteral(L, "");
    s->empty = lua_gettop(L);
    s->keys = s->empty + 1;
    s->texts = s->keys + s->room;
    lua_settop(L, s->empty + s->room + texts);
    s->used = PLACE_FREE;
    s->fields = NULL;
    s->none = NULL;
    memset(s->text, 0, (size_t)texts * sizeof s->text[0]);
    memset(s->places, 0, PLACE_FREE * sizeof s->places[0]);
    memset(s->frames, 0, sizeof s->frames[0]);
    d->session = s;
}

void kapL_decode_end(lua_State *L, kap_decode *d)
{
    lua_settop(L, d->session->empty - 1);
    d->session = NULL;
}

/* As kap_read_name, with VALUE_ROOM bytes to read at p, quick for the usual. */
static inline char *read_name_here(kap_decode *d, char *p, char **name,
                                   size_t *len, bool *plain)
{
    if (*p == '"') {
        char *q = kap_scan_text(p + 1, d->end);

        if (d->end - q > 2 && q[0] == '"' && q[1] == ':' &&
            (unsigned char)q[2] > ' ') {
            *name = p + 1;
            *len = (size_t)(q - (p + 1));
            *plain = true;
            return q + 2;
        }
    }
    return kap_read_name(d, p, name, len, plain);
}

/*
 * Reads the member name after the bracket or comma at p, and pushes it unless
 * its field is not wanted. From the second object on, and for objects and
 * arrays at once, it gets a place. The byte where its value starts, or NULL.
 */
static char *new_member(lua_State *L, kap_decode *d, kap_decode_frame *fr,
                        char *p, kap_member *m)
{
    kap_decode_session *s = d->session;
    kap_decode_place *at;
    char *name;
    size_t len;
    bool plain;
    char *q = d->end - p > VALUE_ROOM
                  ? read_name_here(d, p + 1, &name, &len, &plain)
                  : kap_read_name(d, p + 1, &name, &len, &plain);

    if (q == NULL)
        return NULL;
    m->place = NULL;
    m->mark = kap_mark_below(fr->mark, name, len);
    m->field = fr->field;
    if (m->field != KAP_FIELDS_ALL)
        m->field = (fr->filter & kap_fields_bit(name, len)) != 0
                       ? kap_fields_find(s->fields, m->field, name, len)
                       : KAP_FIELDS_NONE;
    if (m->field != KAP_FIELDS_NONE)
        lua_pushlstring(L, name, len);
    /* Unescaped in place, a name is no longer what comes next time. */
    if (fr->place == NULL || !plain || q == d->end || q - p > GUESS_MAX ||
        (!fr->place->seen && *q != '{' && *q != '['))
        return q;
    at = m->place = kap_new_place(s);
    if (at == NULL)
        return q;
    at->name = p;
    at->name_len = (unsigned)(q - p);
    at->name_mask = kap_same_mask(at->name_len);
    at->field = m->field;
    at->mark = (unsigned char)m->mark;
    at->plain = m->field == KAP_FIELDS_ALL && m->mark == MARK_NONE;
    at->skipped = m->field == KAP_FIELDS_NONE && m->mark == MARK_NONE;
    at->next = *fr->link;
    *fr->link = at;
    fr->link = &at->next;
    if (m->field != KAP_FIELDS_NONE) {
        lua_pushvalue(L, -1);
        lua_replace(L, at->slot);
    }
    return q;
}

/* Pushes a table for the object or array at p, and makes `fr` its frame. */
static bool open_container(lua_State *L, kap_decode *d, kap_decode_frame *fr,
                           const kap_member *m, char *p, bool empty)
{
    kap_decode_session *s = d->session;
    kap_decode_place *at = m->place;
    size_t level = (size_t)(fr - s->frames);
    unsigned size = 0;

    if (level + d->depth > KAP_DECODE_MAX_DEPTH) {
        d->status = KAP_JSON_DEPTH;
        return kap_decode_fail_at(d, p, "nested too deeply");
    }
    if (level % STACK_LEVELS == 0)
        kapL_room(L, STACK_SLOTS);
    fr->count = 0;
    kap_frame_field(s, fr, m->field);
    fr->place = at;
    fr->mark = (unsigned char)m->mark;
    fr->object = *p == '{';
    fr->link = at != NULL ? &at->first : &s->none;
    if (fr->object) {
        if (at != NULL && !empty) {
            if (at->seen)
                size = at->members;
            else if (m->field == KAP_FIELDS_ALL)
                size = kap_count_items(p, d->end);
            else
                size = kap_fields_width(s->fields, m->field);
        }
        lua_createtable(L, 0, (int)size);
        return true;
    }
    if (at != NULL && !empty) {
        size = at->elements;
        if (at->element == NULL) {
            at->element = kap_new_place(s);
            if (m->field == KAP_FIELDS_ALL)
                size = kap_count_items(p, d->end);
        }
    }
    lua_createtable(L, (int)size, 0);
    lua_pushvalue(L, s->array_mt);
    lua_setmetatable(L, -2);
    return true;
}

/*
 * Pushes the value at d->p; `m` says where it is and what of it is wanted.
 *
 * At the labels, p is
 *     value, container      where the value m starts; its key, if it is a
 *                           member, is on top of the stack
 *     built                 after a value, which is on top of the stack
 *     late                  after one that is in its table, far behind the last
 *                           look at the clock; or there again, later
 *     after_member          after a member that is in its table, or skipped
 *     member                at the bracket or comma before a member
 *     guessed               there too, and `at` is what follows
 *     named                 where the member m starts; its key, if its field
 *                           is wanted or leads on, is on top of the stack
 *     after_element         as after_member, in an array
 *     element               where an element starts
 */
static bool decode(lua_State *L, kap_decode *d, kap_member m)
{
    kap_decode_session *const s = d->session;
    kap_decode_frame *fr = s->frames; /* the lowest is nobody's */
    kap_decode_place *at;
    char *const end = d->end;
    char *p = kap_skip_blanks(d->p, end);
    char *const guess_end = end - p > GUESS_ROOM ? end - GUESS_ROOM : p;
    char *q;
    bool empty;
    const int top = lua_gettop(L) - (d->paused > 0);

    if (d->status != KAP_JSON_OK)
        return false;
    kapL_room(L, STACK_SLOTS);
    s->look = (size_t)(end - p) > d->stride ? p + d->stride : end;
    if (d->paused > 0)
        goto late;

value:
    if (m.mark != MARK_NONE)
        kap_enter_mark(d, m.mark, p);
    if (p < end && (*p == '{' || *p == '['))
        goto container;
    if (m.mark == MARK_ID || end - p < VALUE_ROOM)
        p = kapL_push_scalar(L, d, m.mark, p);
    else
        p = kapL_push_scalar_here(L, d, p);
    if (p == NULL)
        goto failed;

built:
    if (fr->object) {
        lua_rawset(L, -3);
        fr->count++;
        if (p >= s->look)
            goto late;
        goto after_member;
    }
    if (fr != s->frames) {
        lua_rawseti(L, -2, (int)++fr->count);
        if (p >= s->look)
            goto late;
        goto after_element;
    }
    d->p = p;
    d->dirty = false;
    return true;

late:
    /* Both ways through here, so that the loop has no further entry: that costs
     * the others registers. */
    if (d->paused > 0) {
        fr = kapL_take_up(L, d, m.place);
        if (fr == NULL)
            goto failed;
    } else if (kap_now() >= d->until) {
        kapL_put_aside(L, d, fr, top);
        d->p = p;
        d->dirty = false;
        return false;
    }
    s->look = (size_t)(end - p) > d->stride ? p + d->stride : end;
    if (!fr->object)
        goto after_element;
    goto after_member;

container:
    q = kap_skip_blanks(p + 1, end);
    empty = q < end && *q == (*p == '{' ? '}' : ']');
    if (!open_container(L, d, fr + 1, &m, p, empty))
        goto failed;
    if (empty) {
        p = q + 1;
        goto built;
    }
    fr++;
    if (fr->object)
        goto member;
    p = q;
    goto element;

after_member:
    /* only after a comma: what came first in another object came after its
     * bracket */
    if (p < guess_end && *p == ',') {
        at = *fr->link;
        if (at != NULL && kap_same(p, at->name, at->name_len, at->name_mask))
            goto guessed;
        goto member;
    }
    p = kap_skip_blanks(p, end);
    if (p < end && *p == ',')
        goto member;
    if (p == end || *p != '}') {
        kap_decode_fail_at(d, p, "expected ',' or '}'");
        goto failed;
    }
    if (fr->place != NULL) {
        fr->place->members = fr->count;
        fr->place->seen = true;
    }
    fr--;
    p++;
    goto built;

member:
    if (p < guess_end) {
        at = *fr->link;
        for (int i = 0; i < GUESSES && at != NULL; i++) {
            if (kap_same(p, at->name, at->name_len, at->name_mask))
                goto guessed;
            at = at->next;
        }
    }
    p = new_member(L, d, fr, p, &m);
    if (p == NULL)
        goto failed;
    goto named;

guessed:
    p += at->name_len;
    fr->link = &at->next;
    m.place = at;
    m.field = at->field;
    m.mark = at->mark;
    if ((unsigned char)*p <= ' ') {
        /* More blanks than last time. */
        p = kap_skip_blanks(p, end);
    } else if (at->plain) {
        lua_pushvalue(L, at->slot);
        if (*p == '{' || *p == '[')
            goto container;
        p = kapL_push_scalar_here(L, d, p);
        if (p == NULL)
            goto failed;
        lua_rawset(L, -3);
        fr->count++;
        goto after_member;
    } else if (at->skipped) {
        p = kap_skip_here(d, (unsigned)(fr - s->frames), p);
        if (p == NULL)
            goto failed;
        goto after_member;
    }
    if (m.field != KAP_FIELDS_NONE)
        lua_pushvalue(L, at->slot);

named:
    if (m.field == KAP_FIELDS_ALL ||
        (m.field >= 0 && p < end && (*p == '{' || *p == '[')))
        goto value;
    if (m.field >= 0) {
        /* No table, so not on the way to anything; an earlier member of this
         * name loses to it all the same. */
        lua_pushnil(L);
        lua_rawset(L, -3);
    }
    if (m.mark == MARK_NONE && end - p >= VALUE_ROOM)
        p = kap_skip_here(d, (unsigned)(fr - s->frames), p);
    else
        p = kap_skip_member(d, (unsigned)(fr - s->frames), m.mark, p);
    if (p == NULL)
        goto failed;
    goto after_member;

after_element:
    p = kap_skip_blanks(p, end);
    if (p < end && *p == ',') {
        p = kap_skip_blanks(p + 1, end);
        goto element;
    }
    if (p == end || *p != ']') {
        kap_decode_fail_at(d, p, "expected ',' or ']'");
        goto failed;
    }
    if (fr->place != NULL)
        fr->place->elements = fr->count;
    fr--;
    p++;
    goto built;

element:
    m.place = fr->place != NULL ? fr->place->element : NULL;
    m.field = fr->field;
    m.mark = MARK_NONE;
    if (m.field == KAP_FIELDS_ALL || p == end || *p == '{' || *p == '[')
        goto value;
    p = kap_skip_value(d, (unsigned)(fr - s->frames), p);
    if (p != NULL)
        goto after_element;

failed:
    lua_settop(L, top);
    d->dirty = false;
    return false;
}

bool kapL_decode_value(lua_State *L, kap_decode *d)
{
    double until = d->until;
    bool ok;

    d->until = INFINITY;
    ok = decode(L, d,
                (kap_member){.place = &d->session->places[PLACE_VALUE],
                             .field = KAP_FIELDS_ALL,
                             .mark = MARK_NONE});
    d->until = until;
    return ok;
}

bool kapL_decode_ticket(lua_State *L, kap_decode *d, const kap_fields *f)
{
    kap_decode_session *s = d->session;
    kap_decode_place *place = &s->places[PLACE_TICKET];
    int field = KAP_FIELDS_ALL;

    if (d->paused > 0) {
        d->dirty = true; /* from here on it is not what was put aside */
    } else {
        d->id_len = 0;
        d->details = false;
    }
    if (f != s->fields) {
        /* What was learned was learned for other fields. */
        memset(place, 0, sizeof *place);
        s->fields = f;
    }
    if (f != NULL && d->paused == 0) {
        int c = kap_decode_peek(d);

        if (c == '{' || c == '[')
            field = 0;
    }
    return decode(L, d,
                  (kap_member){.place = place,
                               .field = field,
                               .mark = MARK_TICKET});
}

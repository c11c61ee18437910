/*
 * JSON text to Lua values: one loop over the text, no recursion. Tables under
 * construction, and the keys that they wait under, are on the Lua stack; the
 * rest of the state is in kap_frames.
 *
 * What makes it fast is an inline cache. The tickets of a response are alike,
 * so each path in the document has a kap_shape, which remembers what stood
 * there last: which member came next (all bytes from the comma up to the value
 * are then compared at once, and the name is on the Lua stack already, so Lua
 * needs not hash it again), and how large the table became (the next one is
 * made that large). Short texts that came before are found on the Lua stack,
 * too.
 */
#include "json/decode.h"

#include "base/clock.h"
#include "json/member.h"
#include "json/scalar.h"
#include "json/suspend.h"

#include <math.h>

/* So many of the members remembered are compared before one is read as new. */
#define CACHE_TRIES 8

void kap_decode_init(kap_decode *d, char *text, size_t len)
{
    memset(d, 0, sizeof *d);
    kap_scan_init(&d->scan, text, len);
    d->until = INFINITY;
    d->stride = KAP_DECODE_STRIDE;
}

/* As kap_member_name, and fast for names without escapes. KAP_VALUE_ROOM bytes
 * must be readable at p. */
static inline char *read_name_fast(kap_decode *d, char *p, char **name,
                                   size_t *len, bool *plain)
{
    if (*p == '"') {
        char *q = kap_scan_text(p + 1, d->scan.end);

        if (d->scan.end - q > 2 && q[0] == '"' && q[1] == ':' &&
            (unsigned char)q[2] > ' ') {
            *name = p + 1;
            *len = (size_t)(q - (p + 1));
            *plain = true;
            return q + 2;
        }
    }
    return kap_member_name(d, p, name, len, plain);
}

/*
 * Reads the member name after the bracket or comma at p, and pushes it unless
 * its field is not wanted. From the second object on, and for objects and
 * arrays at once, it gets a shape. The byte where its value starts, or NULL.
 */
static char *new_member(lua_State *L, kap_decode *d, kap_frame *fr, char *p,
                        kap_member *m)
{
    kap_session *s = d->session;
    kap_shape *at;
    char *name;
    size_t len;
    bool plain;
    char *q = d->scan.end - p > KAP_VALUE_ROOM
                  ? read_name_fast(d, p + 1, &name, &len, &plain)
                  : kap_member_name(d, p + 1, &name, &len, &plain);

    if (q == NULL)
        return NULL;
    m->shape = NULL;
    m->mark = kap_member_mark(fr->mark, name, len);
    m->field = fr->field;
    if (m->field != KAP_FIELDS_ALL)
        m->field = (fr->filter & kap_fields_bit(name, len)) != 0
                       ? kap_fields_find(s->fields, m->field, name, len)
                       : KAP_FIELDS_NONE;
    if (m->field != KAP_FIELDS_NONE)
        lua_pushlstring(L, name, len);
    /* No shape for a name that was unescaped in place: its bytes are no longer
     * those that come next time. And none near the end of the text, where the
     * cache is not asked: the member may have a shape already. */
    if (fr->shape == NULL || !plain || d->scan.end - p <= KAP_CACHE_ROOM ||
        q - p > KAP_CACHED_NAME_MAX ||
        (!fr->shape->seen && *q != '{' && *q != '['))
        return q;
    at = m->shape = kap_session_member(s, p, (size_t)(q - p));
    if (at == NULL)
        return q;
    at->field = m->field;
    at->mark = (unsigned char)m->mark;
    at->plain = m->field == KAP_FIELDS_ALL && m->mark == KAP_MARK_NONE;
    at->skipped = m->field == KAP_FIELDS_NONE && m->mark == KAP_MARK_NONE;
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
static bool open_container(lua_State *L, kap_decode *d, kap_frame *fr,
                           const kap_member *m, char *p, bool empty)
{
    kap_session *s = d->session;
    kap_shape *at = m->shape;
    size_t level = (size_t)(fr - s->frames);
    unsigned size = 0;

    if (level + d->scan.depth > KAP_SCAN_MAX_DEPTH) {
        d->scan.status = KAP_SCAN_DEPTH;
        return kap_scan_fail_at(&d->scan, p, "nested too deeply");
    }
    if (level % KAP_STACK_LEVELS == 0)
        kapL_room(L, KAP_STACK_SLOTS);
    fr->count = 0;
    kap_session_field(s, fr, m->field);
    fr->shape = at;
    fr->mark = (unsigned char)m->mark;
    fr->object = *p == '{';
    fr->link = at != NULL ? &at->first : &s->none;
    if (fr->object) {
        if (at != NULL && !empty) {
            if (at->seen)
                size = at->members;
            else if (m->field == KAP_FIELDS_ALL)
                size = kap_scan_count(p, d->scan.end);
            else
                size = kap_fields_width(s->fields, m->field);
        }
        lua_createtable(L, 0, (int)size);
        return true;
    }
    if (at != NULL && !empty) {
        size = at->elements;
        if (at->element == NULL) {
            at->element = kap_session_shape(s);
            if (m->field == KAP_FIELDS_ALL)
                size = kap_scan_count(p, d->scan.end);
        }
    }
    lua_createtable(L, (int)size, 0);
    lua_pushvalue(L, s->array_mt);
    lua_setmetatable(L, -2);
    return true;
}

/*
 * Pushes the value at d->scan.p; `m` says where it is and what of it is wanted.
 *
 * At the labels, p is
 *     value, container      where the value m starts; its key, if it is a
 *                           member, is on top of the stack
 *     built                 after a value, which is on top of the stack
 *     late                  after one that is in its table, far behind the last
 *                           look at the clock; or there again, later
 *     after_member          after a member that is in its table, or skipped
 *     member                at the bracket or comma before a member
 *     hit                   there too, and the cache has the member: `at`
 *     named                 where the member m starts; its key, if its field
 *                           is wanted or leads on, is on top of the stack
 *     after_element         as after_member, in an array
 *     element               where an element starts
 */
static bool decode(lua_State *L, kap_decode *d, kap_member m)
{
    kap_session *const s = d->session;
    kap_frame *fr = s->frames; /* the lowest is nobody's */
    kap_shape *at;
    char *const end = d->scan.end;
    char *p = kap_skip_blanks(d->scan.p, end);
    char *const cache_end = end - p > KAP_CACHE_ROOM ? end - KAP_CACHE_ROOM : p;
    char *q;
    bool empty;
    const int top = lua_gettop(L) - (d->paused > 0);

    if (d->scan.status != KAP_SCAN_OK)
        return false;
    kapL_room(L, KAP_STACK_SLOTS);
    s->look = (size_t)(end - p) > d->stride ? p + d->stride : end;
    if (d->paused > 0)
        goto late;

value:
    if (m.mark != KAP_MARK_NONE)
        kap_member_enter(d, m.mark, p);
    if (p < end && (*p == '{' || *p == '['))
        goto container;
    if (m.mark == KAP_MARK_ID || end - p < KAP_VALUE_ROOM)
        p = kapL_scalar(L, d, m.mark, p);
    else
        p = kapL_scalar_fast(L, d, p);
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
    d->scan.p = p;
    return true;

late:
    /* Both ways through here, so that the loop has no further entry: that costs
     * the others registers. */
    if (d->paused > 0) {
        fr = kapL_suspend_resume(L, d, m.shape);
        if (fr == NULL)
            goto failed;
    } else if (kap_now() >= d->until) {
        kapL_suspend(L, d, fr, top);
        d->scan.p = p;
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
    if (p < cache_end && *p == ',') {
        at = *fr->link;
        if (at != NULL && kap_same(p, at->name, at->name_len, at->name_mask))
            goto hit;
        goto member;
    }
    p = kap_skip_blanks(p, end);
    if (p < end && *p == ',')
        goto member;
    if (p == end || *p != '}') {
        kap_scan_fail_at(&d->scan, p, "expected ',' or '}'");
        goto failed;
    }
    if (fr->shape != NULL) {
        fr->shape->members = fr->count;
        fr->shape->seen = true;
    }
    fr--;
    p++;
    goto built;

member:
    if (p < cache_end) {
        at = *fr->link;
        for (int i = 0; i < CACHE_TRIES && at != NULL; i++) {
            if (kap_same(p, at->name, at->name_len, at->name_mask))
                goto hit;
            at = at->next;
        }
    }
    p = new_member(L, d, fr, p, &m);
    if (p == NULL)
        goto failed;
    goto named;

hit:
    p += at->name_len;
    fr->link = &at->next;
    m.shape = at;
    m.field = at->field;
    m.mark = at->mark;
    if ((unsigned char)*p <= ' ') {
        /* More blanks than last time. */
        p = kap_skip_blanks(p, end);
    } else if (at->plain) {
        lua_pushvalue(L, at->slot);
        if (*p == '{' || *p == '[')
            goto container;
        p = kapL_scalar_fast(L, d, p);
        if (p == NULL)
            goto failed;
        lua_rawset(L, -3);
        fr->count++;
        goto after_member;
    } else if (at->skipped) {
        p = kap_member_skip_fast(d, (unsigned)(fr - s->frames), p);
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
    if (m.mark == KAP_MARK_NONE && end - p >= KAP_VALUE_ROOM)
        p = kap_member_skip_fast(d, (unsigned)(fr - s->frames), p);
    else
        p = kap_member_skip(d, (unsigned)(fr - s->frames), m.mark, p);
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
        kap_scan_fail_at(&d->scan, p, "expected ',' or ']'");
        goto failed;
    }
    if (fr->shape != NULL)
        fr->shape->elements = fr->count;
    fr--;
    p++;
    goto built;

element:
    m.shape = fr->shape != NULL ? fr->shape->element : NULL;
    m.field = fr->field;
    m.mark = KAP_MARK_NONE;
    if (m.field == KAP_FIELDS_ALL || p == end || *p == '{' || *p == '[')
        goto value;
    p = kap_scan_skip_value(&d->scan, (unsigned)(fr - s->frames), p);
    if (p != NULL)
        goto after_element;

failed:
    lua_settop(L, top);
    return false;
}

bool kapL_decode_value(lua_State *L, kap_decode *d)
{
    double until = d->until;
    bool ok;

    d->until = INFINITY;
    ok = decode(L, d,
                (kap_member){.shape = &d->session->shapes[KAP_SHAPE_VALUE],
                             .field = KAP_FIELDS_ALL,
                             .mark = KAP_MARK_NONE});
    d->until = until;
    return ok;
}

bool kapL_decode_ticket(lua_State *L, kap_decode *d, kap_fields *f)
{
    kap_session *s = d->session;
    kap_shape *shape = &s->shapes[KAP_SHAPE_TICKET];
    int field = KAP_FIELDS_ALL;

    if (f != s->fields)
        kap_session_fields(s, shape, f);
    if (d->paused == 0) {
        d->id_len = 0;
        d->details = false;
        if (f != NULL) {
            int c = kap_scan_peek(&d->scan);

            if (c == '{' || c == '[')
                field = 0;
        }
    }
    return decode(L, d,
                  (kap_member){.shape = shape,
                               .field = field,
                               .mark = KAP_MARK_TICKET});
}

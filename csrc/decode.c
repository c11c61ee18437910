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
#include "decode.h"

#include "decode_scan.h"

/* The places that are there from the start. */
enum { PLACE_VALUE, PLACE_TICKET, PLACE_FREE };

/* What leads to a ticket's id. */
enum { MARK_NONE, MARK_TICKET, MARK_DETAILS, MARK_ID };

/* Guesses are made only while this much text is left, so that comparing needs
 * no other bound... */
#define GUESS_ROOM 128
/* ...and after a name of at most GUESS_MAX, this much is left. */
#define VALUE_ROOM 32
#define GUESS_MAX (GUESS_ROOM - VALUE_ROOM)
/* Members looked at, where the one expected is not there. */
#define GUESSES 8

/* Longer texts are not looked up: Lua has no table of them to save. */
#define TEXT_MAX 40

#define DOUBLE_EXACT (INT64_C(1) << 53)

/* The stack slots that are reserved every so many levels of nesting; a level
 * takes two, a key and a table. */
#define STACK_LEVELS 16
#define STACK_SLOTS (2 * STACK_LEVELS + 8)

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
    luaL_checkstack(L, 1 + s->room + texts, "no room to decode");
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

/* A new place, NULL where there is no room. */
static kap_decode_place *new_place(kap_decode_session *s)
{
    kap_decode_place *at;

    if (s->used == s->room)
        return NULL;
    at = &s->places[s->used];
    memset(at, 0, sizeof *at);
    at->slot = s->keys + s->used++;
    return at;
}

/* ---- values without parts ---- */

static void take_id(kap_decode *d, const char *text, size_t len)
{
    d->id_len = 0;
    if (len <= KAP_ID_MAX) {
        memcpy(d->id, text, len);
        d->id[len] = '\0';
        d->id_len = len;
    }
}

/* A number serves as id when it is nothing but digits. */
static void take_number_id(kap_decode *d, const char *p, const char *end)
{
    const char *q = p;

    while (q < end && kap_is_digit(*q))
        q++;
    if (q == end)
        take_id(d, p, (size_t)(end - p));
}

/* The text whose opening quote is at p: its length, unescaped. The byte after
 * the closing one, or NULL. */
static inline char *read_text(kap_decode *d, char *p, size_t *len)
{
    char *q = kap_scan_text(p + 1, d->end);

    if (q < d->end && *q == '"') {
        *len = (size_t)(q - (p + 1));
        return q + 1;
    }
    return kap_text_finish(d, p + 1, q, len);
}

/*
 * Pushes a text of at most TEXT_MAX bytes; VALUE_ROOM must be readable. The
 * first time it is only noted, the second time its string is kept: what comes
 * once does not cost much.
 */
static inline void push_known_text(lua_State *L, kap_decode_session *s,
                                   const char *text, size_t len)
{
    uint64_t head = kap_load8(text), tail = 0, hash;
    kap_decode_text *t;

    if (len < 8)
        head &= (UINT64_C(1) << 8 * len) - 1;
    else
        tail = kap_load8(text + len - 8);
    hash = (head ^ (tail << 23 | tail >> 41) ^ len) *
           UINT64_C(0x9e3779b97f4a7c15) >> s->text_shift;
    t = &s->text[hash];
    if (t->head != head || t->tail != tail || t->len != len ||
        (len > 16 && memcmp(t->text + 8, text + 8, len - 16) != 0)) {
        t->head = head;
        t->tail = tail;
        t->len = len;
        t->text = text;
        t->held = false;
        lua_pushlstring(L, text, len);
    } else if (t->held) {
        lua_pushvalue(L, s->texts + (int)hash);
    } else {
        lua_pushlstring(L, text, len);
        lua_pushvalue(L, -1);
        lua_replace(L, s->texts + (int)hash);
        t->held = true;
    }
}

static void push_integer(lua_State *L, int64_t value)
{
#if KAP_LUA_INTEGERS
    lua_pushinteger(L, (lua_Integer)value);
#else
    lua_pushnumber(L, (lua_Number)value);
#endif
}

static void push_number(lua_State *L, const kap_number *n, const char *text,
                        const char *end)
{
#if KAP_LUA_INTEGERS
    (void)text;
    (void)end;
    if (n->kind != KAP_NUMBER_INTEGER)
        lua_pushnumber(L, (lua_Number)n->real);
    else if (n->integer > LUA_MAXINTEGER || n->integer < LUA_MININTEGER)
        lua_pushnumber(L, (lua_Number)n->integer);
    else
        push_integer(L, n->integer);
#else
    if (n->kind == KAP_NUMBER_REAL)
        lua_pushnumber(L, (lua_Number)n->real);
    else if (n->kind == KAP_NUMBER_BIG || n->integer > DOUBLE_EXACT ||
             n->integer < -DOUBLE_EXACT)
        lua_pushlstring(L, text, (size_t)(end - text));
    else if (n->integer == 0 && n->negative)
        lua_pushnumber(L, -0.0);
    else
        push_integer(L, n->integer);
#endif
}

static bool is_literal(const char *p, const char *end, const char *literal)
{
    size_t len = strlen(literal);

    return (size_t)(end - p) >= len && memcmp(p, literal, len) == 0;
}

/* Pushes any value without parts, whatever room there is. The byte after it,
 * or NULL. */
static char *push_scalar(lua_State *L, kap_decode *d, unsigned mark, char *p)
{
    char *end = d->end, *q, *bad;
    kap_number n;
    size_t len;

    if (p < end && *p == '"') {
        q = read_text(d, p, &len);
        if (q == NULL)
            return NULL;
        lua_pushlstring(L, p + 1, len);
        if (mark == MARK_ID)
            take_id(d, p + 1, len);
        return q;
    }
    if (p < end && (*p == '-' || kap_is_digit(*p))) {
        q = kap_number_read(p, end, &n, &bad);
        if (q == NULL) {
            kap_decode_fail_at(d, bad, "invalid number");
            return NULL;
        }
        push_number(L, &n, p, q);
        if (mark == MARK_ID)
            take_number_id(d, p, q);
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
    kap_decode_fail_at(d, p, "expected a value");
    return NULL;
}

/* As push_scalar, unmarked, with VALUE_ROOM bytes to read at p. */
static inline char *push_scalar_here(lua_State *L, kap_decode *d, char *p)
{
    char *q;

    if (*p == '"') {
        size_t len;

        if (p[1] == '"') {
            lua_pushvalue(L, d->session->empty);
            return p + 2;
        }
        q = read_text(d, p, &len);
        if (q == NULL)
            return NULL;
        if (len <= TEXT_MAX)
            push_known_text(L, d->session, p + 1, len);
        else
            lua_pushlstring(L, p + 1, len);
        return q;
    }
    if (kap_is_digit(*p)) {
        int64_t value;

        q = kap_scan_digits(p, &value);
        if ((*q == ',' || *q == '}' || *q == ']') && value <= DOUBLE_EXACT &&
            (*p != '0' || q == p + 1)) {
            push_integer(L, value);
            return q;
        }
    }
    return push_scalar(L, d, MARK_NONE, p);
}

/* ---- members ---- */

/* A member that was read. */
typedef struct member {
    kap_decode_place *place;
    int field;
    unsigned mark;
} member;

/* The member name at p, unescaped; *plain: nothing had to be. The byte where
 * its value starts, or NULL. */
static inline char *read_name(kap_decode *d, char *p, char **name, size_t *len,
                              bool *plain)
{
    char *const end = d->end;
    char *q;

    p = kap_skip_blanks(p, end);
    if (p == end || *p != '"') {
        kap_decode_fail_at(d, p, "expected a member name");
        return NULL;
    }
    q = read_text(d, p, len);
    if (q == NULL)
        return NULL;
    *name = p + 1;
    *plain = (size_t)(q - p) == *len + 2;
    q = kap_skip_blanks(q, end);
    if (q == end || *q != ':') {
        kap_decode_fail_at(d, q, "expected ':'");
        return NULL;
    }
    return kap_skip_blanks(q + 1, end);
}

static bool is_name(const char *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

static inline unsigned mark_below(unsigned mark, const char *name, size_t len)
{
    if (mark == MARK_TICKET && is_name(name, len, "task_details"))
        return MARK_DETAILS;
    if (mark == MARK_DETAILS && is_name(name, len, "ticketId"))
        return MARK_ID;
    return MARK_NONE;
}

/*
 * Reads the member name after the bracket or comma at p, and pushes it unless
 * its field is not wanted. From the second object on, and for objects and
 * arrays at once, it gets a place.
 */
static char *new_member(lua_State *L, kap_decode *d, kap_decode_frame *fr,
                        char *p, member *m)
{
    kap_decode_session *s = d->session;
    kap_decode_place *at;
    char *name;
    size_t len;
    bool plain;
    char *q = read_name(d, p + 1, &name, &len, &plain);

    if (q == NULL)
        return NULL;
    m->place = NULL;
    m->mark = mark_below(fr->mark, name, len);
    m->field = fr->field;
    if (m->field != KAP_FIELDS_ALL)
        m->field = kap_fields_find(s->fields, m->field, name, len);
    if (m->field != KAP_FIELDS_NONE)
        lua_pushlstring(L, name, len);
    /* Unescaped in place, a name is no longer what comes next time. */
    if (fr->place == NULL || !plain || q == d->end || q - p > GUESS_MAX ||
        (!fr->place->seen && *q != '{' && *q != '['))
        return q;
    at = m->place = new_place(s);
    if (at == NULL)
        return q;
    at->name = p;
    at->name_len = (unsigned)(q - p);
    at->name_mask = kap_same_mask(at->name_len);
    at->field = m->field;
    at->mark = (unsigned char)m->mark;
    at->plain = m->field == KAP_FIELDS_ALL && m->mark == MARK_NONE;
    at->next = *fr->link;
    *fr->link = at;
    fr->link = &at->next;
    if (m->field != KAP_FIELDS_NONE) {
        lua_pushvalue(L, -1);
        lua_replace(L, at->slot);
    }
    return q;
}

/* Skips the value at p, below `level` others, but not an id in it. */
static char *skip_member(kap_decode *d, unsigned level, unsigned mark, char *p)
{
    char *name, *q;
    size_t len;
    bool plain;

    if (mark != MARK_NONE)
        d->id_len = 0;
    if (p < d->end && mark == MARK_ID && *p == '"') {
        q = read_text(d, p, &len);
        if (q != NULL)
            take_id(d, p + 1, len);
        return q;
    }
    if (p == d->end || mark != MARK_DETAILS || *p != '{') {
        q = kap_skip_value(d, level, p);
        if (q != NULL && mark == MARK_ID)
            take_number_id(d, p, q);
        return q;
    }
    p = kap_skip_blanks(p + 1, d->end);
    if (p < d->end && *p == '}')
        return p + 1;
    for (;;) {
        p = read_name(d, p, &name, &len, &plain);
        if (p == NULL)
            return NULL;
        p = skip_member(d, level + 1, mark_below(mark, name, len), p);
        if (p == NULL)
            return NULL;
        p = kap_skip_blanks(p, d->end);
        if (p == d->end || (*p != ',' && *p != '}')) {
            kap_decode_fail_at(d, p, "expected ',' or '}'");
            return NULL;
        }
        if (*p++ == '}')
            return p;
    }
}

/* ---- objects and arrays ---- */

/* Pushes a table for the object or array at p, and makes `fr` its frame. */
static bool open_container(lua_State *L, kap_decode *d, kap_decode_frame *fr,
                           const member *m, char *p, bool empty)
{
    kap_decode_session *s = d->session;
    kap_decode_place *at = m->place;
    size_t level = (size_t)(fr - s->frames);
    unsigned size = 0;

    if (level + d->depth > KAP_DECODE_MAX_DEPTH ||
        (level % STACK_LEVELS == 0 && !lua_checkstack(L, STACK_SLOTS))) {
        d->status = KAP_JSON_DEPTH;
        return kap_decode_fail_at(d, p, "nested too deeply");
    }
    fr->count = 0;
    fr->field = m->field;
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
            at->element = new_place(s);
            if (m->field == KAP_FIELDS_ALL)
                size = kap_count_items(p, d->end);
        }
    }
    lua_createtable(L, (int)size, 0);
    lua_pushvalue(L, s->array_mt);
    lua_setmetatable(L, -2);
    return true;
}

/* Pushes the value at d->p; `m` says where it is and what of it is wanted. */
static bool decode(lua_State *L, kap_decode *d, member m)
{
    kap_decode_session *const s = d->session;
    kap_decode_frame *fr = s->frames; /* the lowest is nobody's */
    kap_decode_place *at;
    char *const end = d->end;
    char *p = kap_skip_blanks(d->p, end);
    char *const guess_end = end - p > GUESS_ROOM ? end - GUESS_ROOM : p;
    char *q;
    bool empty;
    const int top = lua_gettop(L);

    if (d->status != KAP_JSON_OK)
        return false;
    luaL_checkstack(L, STACK_SLOTS, "no room to decode");

value:
    if (m.mark != MARK_NONE)
        d->id_len = 0;
    if (p < end && (*p == '{' || *p == '['))
        goto container;
    if (m.mark == MARK_ID || end - p < VALUE_ROOM)
        p = push_scalar(L, d, m.mark, p);
    else
        p = push_scalar_here(L, d, p);
    if (p == NULL)
        goto failed;

built:
    if (fr->object) {
        lua_rawset(L, -3);
        fr->count++;
        goto after_member;
    }
    if (fr != s->frames) {
        lua_rawseti(L, -2, (int)++fr->count);
        goto after_element;
    }
    d->p = p;
    d->dirty = false;
    return true;

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
    at = *fr->link;
    if (p < guess_end && at != NULL &&
        kap_same(p, at->name, at->name_len, at->name_mask))
        goto guessed;
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
    if (at->plain) {
        lua_pushvalue(L, at->slot);
        if (*p == '{' || *p == '[')
            goto container;
        p = push_scalar_here(L, d, p);
        if (p == NULL)
            goto failed;
        lua_rawset(L, -3);
        fr->count++;
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
    p = skip_member(d, (unsigned)(fr - s->frames), m.mark, p);
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
    return decode(L, d,
                  (member){.place = &d->session->places[PLACE_VALUE],
                           .field = KAP_FIELDS_ALL,
                           .mark = MARK_NONE});
}

bool kapL_decode_ticket(lua_State *L, kap_decode *d, const kap_fields *f)
{
    kap_decode_session *s = d->session;
    kap_decode_place *place = &s->places[PLACE_TICKET];
    int field = KAP_FIELDS_ALL;

    d->id_len = 0;
    if (f != s->fields) {
        /* What was learned was learned for other fields. */
        memset(place, 0, sizeof *place);
        s->fields = f;
    }
    if (f != NULL) {
        int c = kap_decode_peek(d);

        if (c == '{' || c == '[')
            field = 0;
    }
    return decode(
        L, d, (member){.place = place, .field = field, .mark = MARK_TICKET});
}

bool kapL_decode_key(lua_State *L, kap_decode *d)
{
    char *name, *p;
    size_t len;
    bool plain;

    if (d->status != KAP_JSON_OK)
        return false;
    luaL_checkstack(L, 1, "no room to decode");
    p = read_name(d, d->p, &name, &len, &plain);
    if (p != NULL) {
        lua_pushlstring(L, name, len);
        d->p = p;
    }
    d->dirty = false;
    return p != NULL;
}

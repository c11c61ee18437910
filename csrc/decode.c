/*
 * JSON text to Lua values: one loop over the text, no recursion. Tables under
 * construction and the keys that they wait under are on the Lua stack, the
 * rest of the state in kap_decode_frames.
 *
 * What makes it fast is guessing. The tickets of a response are alike, so each
 * place in the document remembers what it saw last: which member follows which
 * (the whole text from the comma to the value is then compared at once, and
 * its name is on the Lua stack already, not to be hashed again), how large the
 * table was (the next one is made that large), and the last short text (again,
 * a comparison saves interning it).
 */
#include "decode.h"

#include "decode_scan.h"

enum { PLACE_NONE, PLACE_VALUE, PLACE_TICKET, PLACE_FREE };

/* What leads to a ticket's id; each step's member name below. */
enum { MARK_NONE, MARK_TICKET, MARK_DETAILS, MARK_ID };

/* Guesses are tried only this far from the end of the text or further, so that
 * comparing needs no other bound. A guess's own text is shorter by a block. */
#define GUESS_ROOM 128
#define GUESS_MAX (GUESS_ROOM - 16)
/* Members looked at, when the one expected is not there. */
#define GUESSES 8
/* A place whose text is another this often in a row is no longer guessed. */
#define CHANGES_MAX 4

#define DOUBLE_EXACT (INT64_C(1) << 53)

/* The stack slots that are reserved every so many levels of nesting; a level
 * takes two, a key and a table. */
#define STACK_LEVELS 16
#define STACK_SLOTS (2 * STACK_LEVELS + 8)

void kapL_decode_begin(lua_State *L, kap_decode *d, kap_decode_session *s,
                       int array_mt)
{
    ptrdiff_t left = d->end - d->p;
    int room = KAP_DECODE_PLACES;

    /* A single ticket has little use for guesses. */
    if (left < 2048)
        room = 24;
    else if (left < 16 * KAP_DECODE_PLACES)
        room = (int)(left / 16);
    s->array_mt = kapL_absindex(L, array_mt);
    luaL_checkstack(L, 2 * room + 2, "no room to decode");
    lua_pushliteral(L, "");
    s->empty = lua_gettop(L);
    s->keys = s->empty + 1;
    s->texts = s->keys + room;
    lua_settop(L, s->empty + 2 * room);
    s->room = room;
    s->used = PLACE_FREE;
    s->fields = NULL;
    memset(s->places, 0, PLACE_FREE * sizeof s->places[0]);
    memset(s->frames, 0, sizeof s->frames[0]);
    d->session = s;
}

void kapL_decode_end(lua_State *L, kap_decode *d)
{
    lua_settop(L, d->session->empty - 1);
    d->session = NULL;
}

/* A new place, 0 where there is no room. */
static int new_place(kap_decode_session *s)
{
    if (s->used == s->room)
        return PLACE_NONE;
    memset(&s->places[s->used], 0, sizeof s->places[0]);
    return s->used++;
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

/* The text whose opening quote is at p: where it starts and its length. The
 * byte after it, or NULL. */
static inline char *read_text(kap_decode *d, char *p, size_t *len)
{
    char *q = kap_scan_text(p + 1, d->end);

    if (q < d->end && *q == '"') {
        *len = (size_t)(q - (p + 1));
        return q + 1;
    }
    return kap_text_finish(d, p + 1, q, len);
}

/* Pushes the text at p, and remembers it as the last one at its place. */
static char *push_text(lua_State *L, kap_decode *d, int place, unsigned mark,
                       char *p)
{
    kap_decode_session *s = d->session;
    kap_decode_place *at = &s->places[place];
    size_t len;
    char *q = read_text(d, p, &len);

    if (q == NULL)
        return NULL;
    lua_pushlstring(L, p + 1, len);
    if (mark == MARK_ID) {
        take_id(d, p + 1, len);
    } else if (place != PLACE_NONE) {
        /* Unescaped, it would no longer be what comes next time. */
        if (at->changes < CHANGES_MAX && len <= GUESS_MAX - 2 &&
            (size_t)(q - p) == len + 2) {
            at->changes++;
            at->text = p;
            at->text_len = (unsigned short)(len + 2);
            lua_pushvalue(L, -1);
            lua_replace(L, s->texts + place);
        } else {
            at->text = NULL;
        }
    }
    return q;
}

static void push_number(lua_State *L, const kap_number *n, const char *text,
                        const char *end)
{
#if KAP_LUA_INTEGERS
    (void)text;
    (void)end;
    if (n->kind == KAP_NUMBER_INTEGER && n->integer <= LUA_MAXINTEGER &&
        n->integer >= LUA_MININTEGER)
        lua_pushinteger(L, (lua_Integer)n->integer);
    else if (n->kind == KAP_NUMBER_INTEGER)
        lua_pushnumber(L, (lua_Number)n->integer);
    else
        lua_pushnumber(L, (lua_Number)n->real);
#else
    if (n->kind == KAP_NUMBER_REAL)
        lua_pushnumber(L, (lua_Number)n->real);
    else if (n->kind == KAP_NUMBER_BIG || n->integer > DOUBLE_EXACT ||
             n->integer < -DOUBLE_EXACT)
        lua_pushlstring(L, text, (size_t)(end - text));
    else if (n->integer == 0 && n->negative)
        lua_pushnumber(L, -0.0);
    else
        lua_pushnumber(L, (lua_Number)n->integer);
#endif
}

/* The usual number: an integer of up to 15 digits, away from the end. The
 * byte after it, or NULL where it is another kind of number, or none. */
static inline char *read_digits(char *p, const char *end, int64_t *value)
{
    char *q = p;
    int64_t v = 0;

    if (end - p < GUESS_ROOM)
        return NULL;
    while (kap_is_digit(*q) && q - p < 16)
        v = v * 10 + (*q++ - '0');
    *value = v;
    if (q == p || q - p == 16 || (*p == '0' && q - p > 1) || *q == '.' ||
        *q == 'e' || *q == 'E')
        return NULL;
    return q;
}

/* Pushes a number, true, false or null. */
static char *push_scalar(lua_State *L, kap_decode *d, unsigned mark, char *p)
{
    int64_t value;
    char *q = read_digits(p, d->end, &value);

    if (q != NULL) {
#if KAP_LUA_INTEGERS
        lua_pushinteger(L, (lua_Integer)value);
#else
        lua_pushnumber(L, (lua_Number)value);
#endif
        if (mark == MARK_ID)
            take_number_id(d, p, q);
        return q;
    }
    if (d->end - p >= 4 && memcmp(p, "null", 4) == 0) {
        lua_pushlightuserdata(L, NULL);
        return p + 4;
    }
    if (d->end - p >= 4 && memcmp(p, "true", 4) == 0) {
        lua_pushboolean(L, 1);
        return p + 4;
    }
    if (d->end - p >= 5 && memcmp(p, "false", 5) == 0) {
        lua_pushboolean(L, 0);
        return p + 5;
    }
    if (p < d->end && (*p == '-' || kap_is_digit(*p))) {
        kap_number n;
        char *bad;

        q = kap_number_read(p, d->end, &n, &bad);
        if (q == NULL) {
            kap_decode_fail_at(d, bad, "invalid number");
            return NULL;
        }
        push_number(L, &n, p, q);
        if (mark == MARK_ID)
            take_number_id(d, p, q);
        return q;
    }
    kap_decode_fail_at(d, p, "expected a value");
    return NULL;
}

/* ---- members ---- */

/* The member name at p, unescaped; the byte where its value starts. */
static char *read_name(kap_decode *d, char *p, char **name, size_t *len,
                       bool *plain)
{
    char *q;

    p = kap_skip_blanks(p, d->end);
    if (p == d->end || *p != '"') {
        kap_decode_fail_at(d, p, "expected a member name");
        return NULL;
    }
    q = read_text(d, p, len);
    if (q == NULL)
        return NULL;
    *name = p + 1;
    *plain = (size_t)(q - p) == *len + 2;
    q = kap_skip_blanks(q, d->end);
    if (q == d->end || *q != ':') {
        kap_decode_fail_at(d, q, "expected ':'");
        return NULL;
    }
    return kap_skip_blanks(q + 1, d->end);
}

static bool is_name(const char *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

static unsigned char mark_below(unsigned mark, const char *name, size_t len)
{
    if (mark == MARK_TICKET && is_name(name, len, "task_details"))
        return MARK_DETAILS;
    if (mark == MARK_DETAILS && is_name(name, len, "ticketId"))
        return MARK_ID;
    return MARK_NONE;
}

/*
 * Reads a member name that was not guessed, and pushes it unless its field is
 * not wanted; where it leads is left in the session. From the second object
 * on, and for objects and arrays at once, it gets a place.
 */
static char *new_member(lua_State *L, kap_decode *d, kap_decode_frame *fr,
                        char *p)
{
    kap_decode_session *s = d->session;
    kap_decode_place *at;
    char *name;
    size_t len;
    bool plain;
    char *q = read_name(d, p, &name, &len, &plain);

    if (q == NULL)
        return NULL;
    s->place = PLACE_NONE;
    s->mark = mark_below(fr->mark, name, len);
    s->field = fr->field == KAP_FIELDS_ALL
                   ? KAP_FIELDS_ALL
                   : kap_fields_find(s->fields, fr->field, name, len);
    if (s->field != KAP_FIELDS_NONE)
        lua_pushlstring(L, name, len);
    if (fr->place == PLACE_NONE || !plain || q - p > GUESS_MAX || q == d->end ||
        (s->places[fr->place].objects < 2 && *q != '{' && *q != '['))
        return q;
    s->place = new_place(s);
    if (s->place == PLACE_NONE)
        return q;
    at = &s->places[s->place];
    at->name = p;
    at->name_len = (unsigned short)(q - p);
    at->field = s->field;
    at->mark = s->mark;
    at->next = *fr->link;
    *fr->link = (unsigned short)s->place;
    fr->link = &at->next;
    if (s->field != KAP_FIELDS_NONE) {
        lua_pushvalue(L, -1);
        lua_replace(L, s->keys + s->place);
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
    if (p == d->end || mark == MARK_NONE ||
        (*p != '"' && mark == MARK_ID && *p != '-' && !kap_is_digit(*p)) ||
        (mark == MARK_DETAILS && *p != '{'))
        return kap_skip_value(d, level, p);
    if (mark == MARK_ID) {
        if (*p == '"') {
            q = read_text(d, p, &len);
            if (q != NULL)
                take_id(d, p + 1, len);
        } else {
            q = kap_skip_value(d, level, p);
            if (q != NULL)
                take_number_id(d, p, q);
        }
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
                           int place, int field, unsigned mark, char *p)
{
    kap_decode_session *s = d->session;
    kap_decode_place *at = &s->places[place];
    size_t level = (size_t)(fr - s->frames);

    if (level + d->depth > KAP_DECODE_MAX_DEPTH ||
        (level % STACK_LEVELS == 0 && !lua_checkstack(L, STACK_SLOTS))) {
        d->status = KAP_JSON_DEPTH;
        return kap_decode_fail_at(d, p, "nested too deeply");
    }
    fr->count = 0;
    fr->field = field;
    fr->place = (unsigned short)place;
    fr->mark = (unsigned char)mark;
    fr->object = *p == '{';
    fr->link = &at->first;
    if (fr->object) {
        unsigned members = place != PLACE_NONE ? at->members : 0;

        if (place != PLACE_NONE && at->objects < 2 && at->objects++ == 0)
            members = field == KAP_FIELDS_ALL
                          ? kap_count_items(p, d->end)
                          : kap_fields_width(s->fields, field);
        lua_createtable(L, 0, (int)members);
    } else {
        unsigned elements = place != PLACE_NONE ? at->elements : 0;

        if (place != PLACE_NONE && at->element == PLACE_NONE) {
            at->element = (unsigned short)new_place(s);
            if (field == KAP_FIELDS_ALL)
                elements = kap_count_items(p, d->end);
        }
        lua_createtable(L, (int)elements, 0);
        lua_pushvalue(L, s->array_mt);
        lua_setmetatable(L, -2);
    }
    return true;
}

/* Pushes the value at d->p, of which `field` says what is wanted. */
static bool decode(lua_State *L, kap_decode *d, int place, int field,
                   unsigned mark)
{
    kap_decode_session *const s = d->session;
    kap_decode_frame *fr = s->frames; /* the lowest is nobody's */
    char *const end = d->end;
    char *p = kap_skip_blanks(d->p, end);
    const int top = lua_gettop(L);

    if (d->status != KAP_JSON_OK)
        return false;
    luaL_checkstack(L, STACK_SLOTS, "no room to decode");

value:
    if (p == end) {
        kap_decode_fail_at(d, p, "");
        goto failed;
    }
    if (mark != MARK_NONE)
        d->id_len = 0;
    if (*p == '"') {
        kap_decode_place *at = &s->places[place];

        if (end - p >= 2 && p[1] == '"') {
            lua_pushvalue(L, s->empty);
            p += 2;
        } else if (at->text != NULL && end - p >= GUESS_ROOM &&
                   kap_same(p, at->text, at->text_len, kap_same_mask(at->text_len))) {
            lua_pushvalue(L, s->texts + place);
            p += at->text_len;
            at->changes = 0;
        } else {
            p = push_text(L, d, place, mark, p);
            if (p == NULL)
                goto failed;
        }
    } else if (*p == '{' || *p == '[') {
        char *q = kap_skip_blanks(p + 1, end);

        if (!open_container(L, d, fr + 1, place, field, mark, p))
            goto failed;
        p = q;
        if (p < end && *p == (fr[1].object ? '}' : ']')) {
            p++;
            goto built;
        }
        fr++;
        if (fr->object)
            goto member;
        goto element;
    } else {
        p = push_scalar(L, d, mark, p);
        if (p == NULL)
            goto failed;
    }

built:
    if (fr->object) {
        lua_rawset(L, -3);
        fr->count++;
        goto after_member;
    }
    if (fr == s->frames) {
        d->p = p;
        d->dirty = false;
        return true;
    }
    lua_rawseti(L, -2, (int)++fr->count);
    goto after_element;

after_member:
    if (p < end && *p == ',') {
        p++;
        goto member;
    }
    p = kap_skip_blanks(p, end);
    if (p < end && *p == ',') {
        p++;
        goto member;
    }
    if (p == end || *p != '}') {
        kap_decode_fail_at(d, p, "expected ',' or '}'");
        goto failed;
    }
    p++;
    s->places[fr->place].members = fr->count;
    fr--;
    goto built;

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
    p++;
    s->places[fr->place].elements = fr->count;
    fr--;
    goto built;

element:
    place = s->places[fr->place].element;
    field = fr->field;
    mark = MARK_NONE;
    if (field != KAP_FIELDS_ALL && p < end && *p != '{' && *p != '[') {
        p = kap_skip_value(d, (unsigned)(fr - s->frames), p);
        if (p == NULL)
            goto failed;
        goto after_element;
    }
    goto value;

member:
    place = PLACE_NONE;
    if (end - p >= GUESS_ROOM) {
        place = *fr->link;
        for (int i = 0; i < GUESSES && place != PLACE_NONE; i++) {
            kap_decode_place *at = &s->places[place];

            if (kap_same(p, at->name, at->name_len, kap_same_mask(at->name_len))) {
                p += at->name_len;
                fr->link = &at->next;
                field = at->field;
                mark = at->mark;
                if (field != KAP_FIELDS_NONE)
                    lua_pushvalue(L, s->keys + place);
                goto known;
            }
            place = at->next;
        }
    }
    p = new_member(L, d, fr, p);
    if (p == NULL)
        goto failed;
    place = s->place;
    field = s->field;
    mark = s->mark;
known:
    if (field == KAP_FIELDS_ALL ||
        (field >= 0 && p < end && (*p == '{' || *p == '[')))
        goto value;
    if (field >= 0) {
        /* No table, so not on the way to anything; an earlier member of this
         * name loses to it all the same. */
        lua_pushnil(L);
        lua_rawset(L, -3);
    }
    p = skip_member(d, (unsigned)(fr - s->frames), mark, p);
    if (p != NULL)
        goto after_member;

failed:
    lua_settop(L, top);
    d->dirty = false;
    return false;
}

bool kapL_decode_value(lua_State *L, kap_decode *d)
{
    return decode(L, d, PLACE_VALUE, KAP_FIELDS_ALL, MARK_NONE);
}

bool kapL_decode_ticket(lua_State *L, kap_decode *d, const kap_fields *f)
{
    kap_decode_session *s = d->session;
    int field = KAP_FIELDS_ALL;

    d->id_len = 0;
    if (f != s->fields) {
        /* What was learned was learned for other fields. */
        memset(&s->places[PLACE_TICKET], 0, sizeof s->places[0]);
        s->fields = f;
    }
    if (f != NULL) {
        int c = kap_decode_peek(d);

        if (c == '{' || c == '[')
            field = 0;
    }
    return decode(L, d, PLACE_TICKET, field, MARK_TICKET);
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

/*
 * What the parts of the decoder share that push Lua values: decode.c has the
 * loop, decode_member.c names, decode_scalar.c values without parts. Names in
 * _here are the quick ways, for the usual, away from the end of the text.
 */
#ifndef KAP_DECODE_PARTS_H
#define KAP_DECODE_PARTS_H

#include "json/decode_scan.h"

/* What leads to a ticket's id. */
enum { MARK_NONE, MARK_TICKET, MARK_DETAILS, MARK_ID };

/* Guesses are made only while this much text is left, so that comparing needs
 * no other bound... */
#define GUESS_ROOM 128
/* ...and after a name of at most GUESS_MAX, this much is left. */
#define VALUE_ROOM 32
#define GUESS_MAX (GUESS_ROOM - VALUE_ROOM)
/* Longer texts are not looked up: Lua has no table of them to save. */
#define TEXT_MAX 40

/* The stack slots that are reserved every so many levels of nesting; a level
 * takes two, a key and a table. */
#define STACK_LEVELS 16
#define STACK_SLOTS (2 * STACK_LEVELS + 8)

/* Where a value is, and what of it is wanted. */
typedef struct kap_member {
    kap_decode_place *place; /* may be NULL */
    int field;
    unsigned mark;
} kap_member;

/* Which of the members below fr are wanted. */
static inline void kap_frame_field(const kap_decode_session *s,
                                   kap_decode_frame *fr, int field)
{
    fr->field = field;
    fr->filter = field >= 0 ? kap_fields_filter(s->fields, field) : 0;
}

/* A new place, NULL where there is no room. */
static inline kap_decode_place *kap_new_place(kap_decode_session *s)
{
    kap_decode_place *at;

    if (s->used == s->room)
        return NULL;
    at = &s->places[s->used];
    memset(at, 0, sizeof *at);
    at->slot = s->keys + s->used++;
    return at;
}

/* The member name at p, unescaped; *plain: nothing had to be. The byte where
 * its value starts, or NULL. */
char *kap_read_name(kap_decode *d, char *p, char **name, size_t *len,
                    bool *plain);
/* Skips the value at p, below `level` others, but not an id in it. */
char *kap_skip_member(kap_decode *d, unsigned level, unsigned mark, char *p);
/* Pushes any value without parts, whatever room there is. The byte after it,
 * or NULL. */
char *kapL_push_scalar(lua_State *L, kap_decode *d, unsigned mark, char *p);

/* Replaces all above `top` by a table of it; `fr` is the innermost frame. */
__attribute__((cold)) void kapL_put_aside(lua_State *L, kap_decode *d,
                                          const kap_decode_frame *fr, int top);
/* The reverse; the innermost frame, or NULL. What was guessed is forgotten: the
 * outermost container gets the place `at`, the others new ones. */
__attribute__((cold)) kap_decode_frame *
kapL_take_up(lua_State *L, kap_decode *d, kap_decode_place *at);

/* A member so marked begins at p: whatever an earlier one of its name said no
 * longer counts. */
static inline void kap_enter_mark(kap_decode *d, unsigned mark, const char *p)
{
    d->id_len = 0;
    if (mark == MARK_DETAILS)
        d->details = p < d->end && *p == '{';
}
/* d->id, where it is one that is usable. */
void kap_take_id(kap_decode *d, const char *text, size_t len);
/* A number serves as id when it is an integer that is not negative, however it is
 * written: its digits. */
void kap_take_number_id(kap_decode *d, const char *p, const char *end);

static inline bool kap_is_name(const char *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

/* The mark of the member `name` of an object that is marked so. */
static inline unsigned kap_mark_below(unsigned mark, const char *name,
                                      size_t len)
{
    if (mark == MARK_TICKET && kap_is_name(name, len, "task_details"))
        return MARK_DETAILS;
    if (mark == MARK_DETAILS && kap_is_name(name, len, "ticketId"))
        return MARK_ID;
    return MARK_NONE;
}

/* The text whose opening quote is at p: its length, unescaped. The byte after
 * the closing one, or NULL. */
static inline char *kap_read_text(kap_decode *d, char *p, size_t *len)
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
static inline void kapL_push_known_text(lua_State *L, kap_decode_session *s,
                                        const char *text, size_t len)
{
    uint64_t head = kap_load8(text), tail = 0, hash;
    kap_decode_text *t;

    if (len < 8)
        head &= (UINT64_C(1) << 8 * len) - 1;
    else
        tail = kap_load8(text + len - 8);
    hash = (head ^ (tail << 23 | tail >> 41) ^ len) *
               UINT64_C(0x9e3779b97f4a7c15) >>
           s->text_shift;
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

static inline void kapL_push_integer(lua_State *L, int64_t value)
{
#if KAP_LUA_INTEGERS
    lua_pushinteger(L, (lua_Integer)value);
#else
    lua_pushnumber(L, (lua_Number)value);
#endif
}

/* As kapL_push_scalar, unmarked, with VALUE_ROOM bytes to read at p. */
static inline char *kapL_push_scalar_here(lua_State *L, kap_decode *d, char *p)
{
    char *q;

    if (*p == '"') {
        size_t len;

        if (p[1] == '"') {
            lua_pushvalue(L, d->session->empty);
            return p + 2;
        }
        q = kap_read_text(d, p, &len);
        if (q == NULL)
            return NULL;
        if (len <= TEXT_MAX)
            kapL_push_known_text(L, d->session, p + 1, len);
        else
            lua_pushlstring(L, p + 1, len);
        return q;
    }
    if (kap_is_digit(*p)) {
        int64_t value;

        q = kap_scan_digits(p, &value);
        if ((*q == ',' || *q == '}' || *q == ']') && q - p <= 15 &&
            (*p != '0' || q == p + 1)) {
            kapL_push_integer(L, value);
            return q;
        }
    }
    return kapL_push_scalar(L, d, MARK_NONE, p);
}

/* As kap_skip_value, with VALUE_ROOM bytes to read at p. */
static inline char *kap_skip_here(kap_decode *d, unsigned level, char *p)
{
    if (*p == '"') {
        kap_mask m = kap_gather(kap_equal(kap_block_at(p + 1), '"'));

        if (m != 0) {
            char *quote = p + 1 + kap_mask_first(m);

            if (quote[-1] != '\\')
                return quote + 1;
        }
    } else if (kap_is_digit(*p)) {
        int64_t value;
        char *q = kap_scan_digits(p, &value);

        if (*q == ',')
            return q;
    }
    return kap_skip_value(d, level, p);
}

#endif

/*
 * What the decoder has learned from the texts it has read, and where it is in
 * the text that it reads.
 *
 * A session is a userdata. A client has one, which remembers the names of
 * members, and which of them follow each other, from one answer to the next. It
 * is "open" while one C function decodes with it. Only then does it keep values
 * on the Lua stack, so that between two slices of a large answer nothing of it
 * is in any lua_State. A Lua error may leave it open; when it is opened again,
 * it has forgotten all.
 */
#ifndef KAP_SESSION_H
#define KAP_SESSION_H

#include "compat.h"
#include "config/fields.h"
#include "config/id.h"
#include "json/scan.h"

#define KAP_SESSION_SHAPES 256
#define KAP_SESSION_TEXTS 64
#define KAP_SESSION_NAMES 8192

/* The cache is asked only while this much text is left, so that comparing needs
 * no other bound. */
#define KAP_CACHE_ROOM 128
/* So much of it is left behind a name that the cache has: its value can be read
 * a block ahead. */
#define KAP_VALUE_ROOM 32
#define KAP_CACHED_NAME_MAX (KAP_CACHE_ROOM - KAP_VALUE_ROOM)
/* Longer texts are not looked up: Lua has no table of them to save. */
#define KAP_TEXT_MAX 40

/* The shapes that are there from the start. */
enum { KAP_SHAPE_VALUE, KAP_SHAPE_TICKET, KAP_SHAPE_FREE };

/* What leads to a ticket's id. */
enum { KAP_MARK_NONE, KAP_MARK_TICKET, KAP_MARK_DETAILS, KAP_MARK_ID };

/*
 * The shape of what stands at one path in the document; all elements of an
 * array share a path. It is what stood there last, which mostly comes again.
 */
typedef struct kap_shape {
    const char *name;          /* a member's, as it stands in the text: all from
                                * the bracket or comma before it up to its value */
    struct kap_shape *next;    /* the member that came after this one */
    struct kap_shape *first;   /* the object's first member */
    struct kap_shape *element; /* the array's elements */
    unsigned name_len;
    unsigned name_mask;         /* for kap_same */
    unsigned members, elements; /* sizes of the last object and array here */
    int slot;                   /* stack index of the name */
    int field;                  /* index in kap_fields */
    unsigned char mark;
    bool plain;   /* wanted whole, and not marked... */
    bool skipped; /* ...or not wanted at all */
    bool seen;    /* an object was here before */
} kap_shape;

/* A short text met before. */
typedef struct kap_known_text {
    uint64_t head, tail; /* the first and last eight bytes */
    const char *text;
    size_t len;    /* 0: none */
    bool on_stack; /* its string is on the stack */
} kap_known_text;

/* An object or array being decoded. */
typedef struct kap_frame {
    kap_shape **link; /* where the next member's shape is noted */
    kap_shape *shape;
    unsigned count;  /* items built */
    int field;       /* index in kap_fields */
    uint64_t filter; /* of that field */
    unsigned char mark;
    bool object;
} kap_frame;

typedef struct kap_session {
    bool open;      /* in use, or left so by a Lua error */
    int array_mt;   /* stack index of the metatable for arrays */
    int names;      /* stack index of the table of names, by shape: the first of
                     * the session's slots */
    int empty;      /* stack index of "" */
    int keys;       /* stack index of the first shape's name */
    int texts;      /* stack index of the first of known[] */
    int used, room; /* shapes */
    int kept;       /* shapes whose names are in the table */
    bool full;      /* more was seen than there is room for */
    unsigned text_shift; /* how many bits of a hash not to use */
    size_t name_bytes;   /* of name[] in use */
    kap_fields *fields;  /* of which it has learned; its own reference */
    char *look;          /* from here on: at the clock */
    kap_shape *none;     /* NULL: the link of an object without a shape */
    kap_known_text known[KAP_SESSION_TEXTS];
    kap_shape shapes[KAP_SESSION_SHAPES];
    /* the shapes' names; a block is read from where any of them begins */
    char name[KAP_SESSION_NAMES + KAP_BLOCK];
    kap_frame frames[KAP_SCAN_MAX_DEPTH + 1];
} kap_session;

/* A ticket that is read as text: see json/raw.c. */
typedef struct kap_raw {
    char *start;    /* where it begins... */
    char *out;      /* ...and, without blanks, ends so far... */
    char *from;     /* ...but for what has been read since here */
    bool object;    /* the innermost container is one */
    bool details;   /* the container in the ticket is its task_details */
    unsigned depth; /* containers open, and for each whether it is an object: */
    uint64_t curly[KAP_SCAN_MAX_DEPTH / 64 + 1];
} kap_raw;

/* One text on its way into Lua values. */
typedef struct kap_decode {
    kap_scan scan;
    char id[KAP_ID_LENGTH_MAX + 1]; /* the last ticket's id... */
    size_t id_len; /* ...or 0 where it has none that is usable */
    bool details; /* its task_details is an object, built or not; without it, it
                   * is no ticket */
    kap_session *session;
    /* A ticket is put aside when kap_now() has reached this; looked at every
     * so many bytes. */
    double until;    /* INFINITY, unless the caller sets it */
    size_t stride;   /* likewise KAP_DECODE_STRIDE */
    unsigned paused; /* containers open in the ticket that was; 0: none was */
    kap_raw raw;
} kap_decode;

#define KAP_DECODE_STRIDE ((size_t)16 << 10)

/* Pushes a new session, which knows nothing yet. */
void kapL_session_new(lua_State *L);
/* Opens the session at stack index `idx` in this C function, for what is left
 * of the text: its slots are then on top of the stack. May raise. */
void kapL_session_open(lua_State *L, kap_decode *d, int idx, int array_mt);
/* Closes it and drops its slots, whatever was pushed above them included. May
 * raise: what is new is noted for the next time. */
void kapL_session_close(lua_State *L, kap_decode *d);

/* From now on only the fields `f` are wanted of tickets (NULL: all). Forgets
 * what was learned below `shape`, for it was learned for other fields. */
void kap_session_fields(kap_session *s, kap_shape *shape, kap_fields *f);

/* A new shape, or NULL where there is no room. */
static inline kap_shape *kap_session_shape(kap_session *s)
{
    kap_shape *at;

    if (s->used == s->room) {
        s->full = s->full || s->room == KAP_SESSION_SHAPES;
        return NULL;
    }
    at = &s->shapes[s->used];
    memset(at, 0, sizeof *at);
    at->slot = s->keys + s->used++;
    return at;
}

/* A new shape for the member whose name takes `len` bytes from p on, or
 * NULL. */
static inline kap_shape *kap_session_member(kap_session *s, const char *p,
                                            size_t len)
{
    kap_shape *at;

    if (len > KAP_SESSION_NAMES - s->name_bytes) {
        s->full = true;
        return NULL;
    }
    at = kap_session_shape(s);
    if (at == NULL)
        return NULL;
    at->name = memcpy(s->name + s->name_bytes, p, len);
    at->name_len = (unsigned)len;
    at->name_mask = kap_same_mask(len);
    s->name_bytes += len;
    return at;
}

/* Which of the members below fr are wanted. */
static inline void kap_session_field(const kap_session *s, kap_frame *fr,
                                     int field)
{
    fr->field = field;
    fr->filter = field >= 0 ? kap_fields_filter(s->fields, field) : 0;
}

/*
 * Pushes a text of at most KAP_TEXT_MAX bytes; KAP_VALUE_ROOM must be readable.
 * The first time it is only noted, the second time its string is kept: what
 * comes once does not cost much.
 */
static inline void kapL_session_text(lua_State *L, kap_session *s,
                                     const char *text, size_t len)
{
    uint64_t head = kap_load8(text), tail = 0, hash;
    kap_known_text *t;

    if (len < 8)
        head &= (UINT64_C(1) << 8 * len) - 1;
    else
        tail = kap_load8(text + len - 8);
    hash = (head ^ (tail << 23 | tail >> 41) ^ len) *
               UINT64_C(0x9e3779b97f4a7c15) >>
           s->text_shift;
    t = &s->known[hash];
    if (t->head != head || t->tail != tail || t->len != len ||
        (len > 16 && memcmp(t->text + 8, text + 8, len - 16) != 0)) {
        t->head = head;
        t->tail = tail;
        t->len = len;
        t->text = text;
        t->on_stack = false;
        lua_pushlstring(L, text, len);
    } else if (t->on_stack) {
        lua_pushvalue(L, s->texts + (int)hash);
    } else {
        lua_pushlstring(L, text, len);
        lua_pushvalue(L, -1);
        lua_replace(L, s->texts + (int)hash);
        t->on_stack = true;
    }
}

#endif

/*
 * JSON text to Lua values, in one pass over the receive buffer.
 *
 * A kap_decode walks one text. It may be used over several "sessions", each
 * within one C function call (its key cache lives on the Lua stack): between
 * two sessions nothing of it is left in any lua_State, so a large response can
 * be decoded in slices. A ticket that takes too long is put aside, as a table
 * of what there is of it, for another session to go on with.
 *
 * Strings with escapes are unescaped in place. A value whose decoding was cut
 * short by a Lua error (out of memory) must therefore not be decoded again
 * from the same buffer: `dirty` says so.
 *
 * Nothing here allocates C memory, so a longjmp out of any function leaks none.
 */
#ifndef KAP_DECODE_H
#define KAP_DECODE_H

#include "compat.h"
#include "config/fields.h"

#include <stdbool.h>
#include <stdint.h>

#define KAP_DECODE_MAX_DEPTH 1000
#define KAP_ID_MAX 64

typedef enum {
    KAP_JSON_OK,
    KAP_JSON_SYNTAX, /* not JSON */
    KAP_JSON_DEPTH   /* nested deeper than KAP_DECODE_MAX_DEPTH */
} kap_json_status;

typedef struct kap_decode {
    char *base, *p, *end; /* whole text, next byte, one past the last */
    kap_json_status status;
    char error[96];          /* e.g. "invalid number at byte 17" (1-based) */
    bool dirty;              /* inside a value: see above */
    char id[KAP_ID_MAX + 1]; /* kapL_decode_ticket: the last ticket's id... */
    size_t id_len;           /* ...or 0 where it has none that is usable */
    bool details; /* kapL_decode_ticket: its task_details is an object, built or
                   * not; without it, it is no ticket */
    unsigned depth; /* containers that the caller has open around the next
                     * value; they count towards KAP_DECODE_MAX_DEPTH */
    struct kap_decode_session *session;
    /* A ticket is put aside when kap_now() has reached this; looked at every
     * so many bytes. */
    double until;    /* INFINITY, unless the caller sets it */
    size_t stride;   /* likewise KAP_DECODE_STRIDE */
    unsigned paused; /* containers open in the ticket that was; 0: none was */
} kap_decode;

#define KAP_DECODE_STRIDE ((size_t)16 << 10)

/* From here to the end of kap_decode_session: private to decode.c. */

#define KAP_DECODE_PLACES 256
#define KAP_DECODE_TEXTS 64

/*
 * A place in the document: what a path leads to, all elements of an array being
 * one place. Remembers what was there last, on the guess that it comes again.
 */
typedef struct kap_decode_place {
    const char *name; /* a member's, in the text: all from the bracket or comma
                       * before it up to its value */
    struct kap_decode_place *next;    /* the member that came after this one */
    struct kap_decode_place *first;   /* the object's first member */
    struct kap_decode_place *element; /* the array's elements */
    unsigned name_len;
    unsigned name_mask;         /* for kap_same */
    unsigned members, elements; /* sizes of the last object and array here */
    int slot;                   /* stack index of the name */
    int field;                  /* place in kap_fields */
    unsigned char mark;
    bool plain;   /* wanted whole, and not marked... */
    bool skipped; /* ...or not wanted at all */
    bool seen;    /* an object was here before */
} kap_decode_place;

/* A short text met before. */
typedef struct kap_decode_text {
    uint64_t head, tail; /* the first and last eight bytes */
    const char *text;
    size_t len; /* 0: none */
    bool held;  /* its string is on the stack */
} kap_decode_text;

/* An object or array being decoded. */
typedef struct kap_decode_frame {
    kap_decode_place **link; /* where the next member's place is noted */
    kap_decode_place *place;
    unsigned count;  /* items built */
    int field;       /* place in kap_fields */
    uint64_t filter; /* of that place */
    unsigned char mark;
    bool object;
} kap_decode_frame;

/* What is guessed in one session; lives in the C frame that opens it. */
typedef struct kap_decode_session {
    int array_mt;   /* stack index of the metatable for arrays */
    int empty;      /* stack index of "", the first of the session's slots */
    int keys;       /* stack index of the first place's name */
    int texts;      /* stack index of the first of texts[] */
    int used, room; /* places */
    unsigned text_shift; /* how many bits of a hash not to use */
    const kap_fields *fields;
    char *look;             /* from here on: at the clock */
    kap_decode_place *none; /* NULL: the link of an object without a place */
    kap_decode_text text[KAP_DECODE_TEXTS];
    kap_decode_place places[KAP_DECODE_PLACES];
    kap_decode_frame frames[KAP_DECODE_MAX_DEPTH + 1];
} kap_decode_session;

void kap_decode_init(kap_decode *d, char *text, size_t len);

/* Skips blanks; the next byte, or -1 at the end of the text. */
int kap_decode_peek(kap_decode *d);
/* Consumes one byte just peeked. */
void kap_decode_take(kap_decode *d);
/* Skips one value of any kind, bracket-matched only. False: d->error is set. */
bool kap_decode_skip(kap_decode *d);
/* Sets d->error to "<what> at byte <n>", n being the next byte; returns false. */
bool kap_decode_fail(kap_decode *d, const char *what);

/* Opens a session in this C function: reserves its slots on top of the stack.
 * May raise (stack, memory). */
void kapL_decode_begin(lua_State *L, kap_decode *d, kap_decode_session *s,
                       int array_mt);
/* Closes it and drops its slots, whatever was pushed above them included. */
void kapL_decode_end(lua_State *L, kap_decode *d);

/* Each pushes one Lua value and returns true, or pushes nothing, sets d->error
 * and d->status and returns false. Each may raise "not enough memory". */
bool kapL_decode_value(lua_State *L, kap_decode *d);
/* As value, with only `f` built (NULL: all) and d->details and d->id set from the
 * ticket's task_details and its ticketId, built or not. False with d->paused: it has pushed what
 * there is of it; with that on top of the stack again, call it again, with the
 * same f, in a later session. */
bool kapL_decode_ticket(lua_State *L, kap_decode *d, const kap_fields *f);

#endif

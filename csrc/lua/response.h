/*
 * What a response means: its status and body become tickets, a failure, or
 * both. Knows nothing of calls and batches.
 *
 * The service is known to send these shapes (by its own page and related
 * pages): a JSON array of tickets; {"status": "success", "message": [tickets]}
 * and variants of it; {"message": "words", "status": "failed"} under any HTTP
 * status, also with "Message", "Status" or no message key at all. An element of
 * an array that is no ticket is read as if it were the whole response.
 */
#ifndef KAP_RESPONSE_H
#define KAP_RESPONSE_H

#include "base/failure.h"
#include "json/decode.h"
#include "lua/refusal.h"
#include "net/transfer.h"

typedef enum {
    KAP_RESPONSE_NEW,
    KAP_RESPONSE_ELEMENTS, /* inside the array of tickets */
    KAP_RESPONSE_SINGLE    /* inside the only one */
} kap_response_phase;

typedef struct kap_response {
    kap_response_phase phase;
    kap_decode decode;
    bool more;         /* an element has been read: "," or "]" comes next */
    bool success;      /* the service's own word: see verdict */
    bool faulty;       /* an element was no ticket: *f says what it was */
    char *rest;        /* where the envelope ends; NULL: the array is all */
    const char *start; /* of the ticket that is being read */
    size_t head_len;
    char head[KAP_REFUSAL_HEAD]; /* as it came: decoding changes the body */
} kap_response;

typedef enum {
    KAP_RESPONSE_AGAIN,   /* time is up: call again */
    KAP_RESPONSE_TICKETS, /* all of them have been handed over: what is not
                           * among them, the service does not know */
    KAP_RESPONSE_PARTLY,  /* what was handed over counts; *f says why the others
                           * have failed */
    KAP_RESPONSE_FAILED   /* *f says why; tickets handed over do not count */
} kap_response_result;

/* Takes the ticket that is on top of the stack, and pops it. id_len 0: it has
 * no id. */
typedef void (*kapL_ticket_sink)(lua_State *L, void *arg, const char *id,
                                 size_t id_len);

/* Stack indexes of what it needs: the metatable of arrays, a session of the
 * decoder (json/session.h), and a table where it may keep a ticket that is half
 * read, under r's address. */
typedef struct kap_response_slots {
    int array_mt, session, aside;
} kap_response_slots;

/*
 * Decodes until all is read or kap_now() reaches `until`, but at least one
 * ticket or KAP_DECODE_STRIDE bytes. `r` is zeroed before it is called first
 * for a response; once it has raised a Lua error, it is not called again for
 * that response.
 */
kap_response_result kapL_response(lua_State *L, kap_response *r,
                                  kap_transfer *t,
                                  const kap_response_slots *slots, double until,
                                  kapL_ticket_sink sink, void *arg,
                                  kap_failure *f);

#endif

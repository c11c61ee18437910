/*
 * A response that arrived whole: status and body become tickets or a failure.
 *
 * Shapes the service is known to send (service's own page and its siblings):
 * a JSON array of tickets; {"status": "success", "message": [tickets]} and
 * variants of it; {"message": "words", "status": "failed"} under any HTTP
 * status, also with "Message", "Status" or no message key at all. In an array,
 * what is no ticket is read as if it were the whole response.
 */
#ifndef KAP_RESPONSE_H
#define KAP_RESPONSE_H

#include "json/decode.h"
#include "base/kind.h"
#include "net/transfer.h"

typedef enum {
    KAP_RESPONSE_NEW,
    KAP_RESPONSE_ELEMENTS, /* inside the array of tickets */
    KAP_RESPONSE_SINGLE,   /* inside the only one */
    KAP_RESPONSE_DONE
} kap_response_phase;

/* How much of the body is kept aside for kap_failure.body: more than that, as a
 * token in it is taken out before it is cut. */
#define KAP_RESPONSE_HEAD (2 * KAP_BODY_MAX)

typedef struct kap_response {
    kap_response_phase phase;
    kap_decode decode;
    bool more;    /* an element has been read: "," or "]" comes next */
    bool success; /* the service's own word: see verdict */
    bool faulty;  /* an element was no ticket: *f says what it was */
    char *rest;   /* where the envelope ends; NULL: the array is all */
    size_t head_len;
    char head[KAP_RESPONSE_HEAD]; /* as it came: decoding changes the body */
} kap_response;

typedef enum {
    KAP_RESPONSE_AGAIN,   /* time is up: call again */
    KAP_RESPONSE_TICKETS, /* all of them have been handed over: what is not
                           * among them, the service does not know */
    KAP_RESPONSE_PARTLY,  /* what was handed over counts; *f says why the others
                           * have failed */
    KAP_RESPONSE_FAILED   /* *f says why; tickets handed over do not count */
} kap_response_result;

/* Takes the ticket on top of the stack (pops it); id_len 0: it has none. */
typedef void (*kapL_ticket_sink)(lua_State *L, void *arg, const char *id,
                                 size_t id_len);

/*
 * Decodes until all is done or kap_now() reaches `until`, at least one ticket
 * or KAP_DECODE_STRIDE bytes a call. `array_mt`: stack index of the arrays'
 * metatable; `aside`: of a table where it may keep, under r's address, a ticket
 * that it will go on with. `r` is zeroed before the first call, and `f` is the
 * same in all. May raise Lua errors; see kap_decode.dirty.
 */
kap_response_result kapL_response(lua_State *L, kap_response *r,
                                  kap_transfer *t, int array_mt, int aside,
                                  double until, kapL_ticket_sink sink,
                                  void *arg, kap_failure *f);

/* How the response began that a transfer broke off: into f->body. */
void kap_response_quote(const kap_transfer *t, kap_failure *f);

#endif

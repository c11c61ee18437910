/*
 * Makes a failure of what the service, or something before it such as a
 * gateway, says instead of tickets: its kind, its words, and how the response
 * began. Each function sets *f, which is cleared before.
 */
#ifndef KAP_REFUSAL_H
#define KAP_REFUSAL_H

#include "base/failure.h"
#include "json/decode.h"
#include "lua/envelope.h"
#include "net/transfer.h"

/* So much of a body is kept for kap_failure.body. It is more than fits in
 * there, for a token in it is taken out before it is cut. */
#define KAP_REFUSAL_HEAD (2 * KAP_BODY_MAX)

/* A piece of a response that is no ticket: all of it, its beginning, or an
 * element of a list. */
typedef struct kap_piece {
    const char *text;
    size_t len;
} kap_piece;

/* Whether it says that the token was refused, whatever the status is. */
bool kap_refusal_of_token(const kap_transfer *t, kap_piece of);

/* A failure by status or by a "failed" envelope, with the words of `e` (NULL:
 * it has none). Those are unescaped in place, as d's text. */
void kapL_refusal(lua_State *L, kap_decode *d, const kap_transfer *t,
                  kap_piece of, const kap_envelope *e, kap_failure *f);
/* JSON that is neither tickets nor a failure in the service's way; likewise. */
void kapL_refusal_unexplained(lua_State *L, kap_decode *d,
                              const kap_transfer *t, const kap_envelope *e,
                              const char *what, kap_failure *f);
/* It is no JSON, for the reason that `s` has. */
void kap_refusal_not_json(const kap_scan *s, kap_failure *f);
/* It is JSON, but not what was asked for. */
void kap_refusal_unknown(kap_failure *f, const char *what);
/* It is not the service's, but a gateway's for example; another attempt may get
 * the service's. */
void kap_refusal_no_answer(kap_failure *f, const char *what);

/* Sets everything in the failure but its message. The response began with
 * `head`; `s` is where it was found to be wrong, if it was. */
void kap_refusal_describe(const kap_scan *s, kap_piece head,
                          const kap_transfer *t, kap_failure *f);
/* Sets f->body to how the response began of a transfer that failed. */
void kap_refusal_quote(const kap_transfer *t, kap_failure *f);

#endif

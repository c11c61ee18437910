/*
 * How long an answer asks the client to wait: its Retry-After headers, reckoned
 * from its own Date. No Lua, no I/O, no clock of its own.
 */
#ifndef KAP_RETRY_AFTER_H
#define KAP_RETRY_AFTER_H

#include <stddef.h>
#include <time.h>

/* What an answer's Retry-After headers say, together with its own Date. */
typedef struct kap_retry_after {
    double seconds; /* the most of them, -1: none */
    time_t until;   /* the latest of them, -1: none */
    char date[40];  /* the server's clock as it was sent, "": not known */
} kap_retry_after;

void kap_retry_after_clear(kap_retry_after *r);
/* A Retry-After's value: a number of seconds, or an HTTP date in any of its
 * three forms; or, where a gateway has put several into one, a list of them.
 * What is none of these is passed over. */
void kap_retry_after_read(kap_retry_after *r, const char *value, size_t len);
/* A Date's value, which is kept as text: few answers have a Retry-After that
 * needs it. */
void kap_retry_after_date(kap_retry_after *r, const char *value, size_t len);
/* Seconds to wait by all of them; `now` is for an answer without a Date. < 0:
 * there was none. */
double kap_retry_after_seconds(const kap_retry_after *r, time_t now);

#endif

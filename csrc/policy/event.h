/*
 * What a hook will be told, as plain records. A record is made where something
 * happens. Hooks are told later, in order, at a point where they may do
 * anything: see lua/hook.h.
 */
#ifndef KAP_EVENT_H
#define KAP_EVENT_H

#include "base/failure.h"
#include "base/list.h"

typedef enum {
    KAP_EVENT_REQUEST,  /* a request went out */
    KAP_EVENT_RESPONSE, /* an HTTP response came */
    KAP_EVENT_RETRY,    /* a request failed and is sent again after `delay` */
    KAP_EVENT_SPLIT,    /* a request failed and is sent again in parts */
    KAP_EVENT_FAILURE,  /* a request failed for good */
    KAP_EVENT_PAUSE     /* the client is held back for `delay` seconds */
} kap_event_type;

struct kap_call;

typedef struct kap_event {
    kap_link link;
    struct kap_call *call; /* whose hook is told */
    kap_event_type type;
    unsigned number; /* of the batch */
    int attempt, status;
    kap_kind kind; /* NONE: none */
    bool answered; /* bytes and elapsed say something */
    double bytes, elapsed, delay;
    size_t ids_len;
    const char *message; /* behind the ids */
    char ids[];          /* separated by commas */
} kap_event;

/* An event with these ids and words, nothing else set. NULL: no memory. */
kap_event *kap_event_new(kap_event_type type, const char *ids, size_t ids_len,
                         const char *message);
/* The oldest, to be freed; NULL: there is none. */
kap_event *kap_event_shift(kap_list *events);
/* Frees all of this call; NULL: of all calls. */
void kap_event_free_all(kap_list *events, const struct kap_call *call);

#endif

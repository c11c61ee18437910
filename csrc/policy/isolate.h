/*
 * Finding the ids that spoil a request. What failed for good is taken apart, in
 * halves, until such an id stands alone; and where nothing works at all, that is
 * noticed early. Lua-free.
 */
#ifndef KAP_ISOLATE_H
#define KAP_ISOLATE_H

#include "policy/idset.h"
#include "base/kind.h"

struct kap_batch;
struct kap_call;

/*
 * What a call, or all calls of an iterator, have seen of requests that failed for
 * good, to tell bad ids from an outage.
 *
 * As long as nothing has succeeded nobody knows: one failed request at a time is
 * taken apart, until something works or, since anything did, some fifty requests
 * have not. Once a request has succeeded, bad ids may stand side by side by the
 * hundreds: when many in a row have failed, an id of one that did not is asked for
 * once more, in a request called the control. If that succeeds, with the ticket or
 * without, the service is well; if not, this is an outage. In an outage, what
 * fails is not taken apart; it ends with the next success, and now and then, less
 * and less often, another control is sent or, where nothing ever succeeded, one
 * request halved.
 */
typedef struct kap_evidence {
    unsigned failures; /* in a row */
    unsigned requests; /* that they took */
    unsigned probes;   /* of them, parts of what was taken apart in doubt */
    unsigned unheard;  /* whole requests, not parts, that have not ended */
    unsigned last;     /* the number of the last request when all seemed lost */
    unsigned awaited;  /* so many of the unheard are older: one may succeed */
    unsigned whole;    /* parked whole requests, of several ids */
    unsigned looked;   /* whole requests taken apart in doubt */
    unsigned quiet;    /* so many whole requests may fail before a control, or
                        * whatever stands for it, is sent in an outage... */
    unsigned gap;      /* ...and so many there were when the last was */
    bool success;      /* there was one */
    bool outage;       /* nothing works */
    bool small_next;   /* in doubt, the smallest is next, not the largest */
    bool news;         /* what the others wait to hear */
    const struct kap_call *prober; /* the one that looks, of an iterator's */
    char known[KAP_ID_LENGTH_MAX + 1]; /* an id whose ticket came or, where none
                                        * did, that was missing; "": neither */
} kap_evidence;

/* Whether the service is known to answer. */
bool kap_evidence_healthy(const kap_evidence *e);
/* A request that succeeded; `id` is the one of its ids that controls ask for from
 * now on, or NULL: the same as before. */
void kap_evidence_success(kap_evidence *e, const char *id, size_t len);
void kap_evidence_failure(kap_evidence *e, unsigned attempts, bool probe);
void kap_evidence_control_failed(kap_evidence *e);
/* A whole request begins; and ends. The second does nothing for another. */
void kap_evidence_await(kap_evidence *e, struct kap_batch *b);
void kap_evidence_heard(kap_evidence *e, struct kap_batch *b);
/* One is parked, whole or part; and is no longer, or never was. */
void kap_evidence_park(kap_evidence *e, struct kap_batch *b);
void kap_evidence_unpark(kap_evidence *e, struct kap_batch *b);

/* Whether a request of several ids that failed so may be taken apart. */
bool kap_isolates(kap_kind kind, int status);

typedef enum {
    KAP_PARKED_WAIT,  /* for what others bring, or there is none */
    KAP_PARKED_SPLIT, /* take it apart */
    KAP_PARKED_RETRY, /* a single id, asked for again after its `delay` */
    KAP_PARKED_FAIL,  /* for good */
    KAP_PARKED_ASK    /* send a control, see kap_call_ask; it stays parked */
} kap_parked;

/*
 * Decides what is to happen now, with which of the call's parked batches: whose
 * turn it is to look, that this is an outage, that a single id is tried again,
 * which is counted as a retry. Asked again before it was carried out, it says the
 * same and counts nothing twice.
 */
kap_parked kap_call_unpark(struct kap_call *c, struct kap_batch **batch);

/* Sends a control. False: no memory, and nothing has changed. */
bool kap_call_ask(struct kap_call *c);

/* In halves, in its place, without the ids that have come; one that is left stands
 * alone. False: no memory, and nothing has changed. */
bool kap_call_split(struct kap_call *c, struct kap_batch *b);

/* Another of the iterator's calls may look from now on. */
void kap_call_leave_probing(struct kap_call *c);

#endif

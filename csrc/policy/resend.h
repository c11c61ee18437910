/*
 * Requests that failed through nobody's fault and are sent again at once,
 * without costing an attempt or an event. This happens on connections that are
 * kept open: the server may close one, or answer the request before, at the
 * very moment a new request goes out. Everything that is known of how libcurl
 * reports this is in resend.c.
 */
#ifndef KAP_RESEND_H
#define KAP_RESEND_H

#include "policy/batch.h"

/* The batch has failed as b->failure says. True: it was nobody's failure, and
 * the batch is ready to be sent again. */
bool kap_resend_failed(const kap_call *c, kap_batch *b);
/* An answer has brought tickets, but none of the batch's. True: the answer may
 * be another request's, and the batch is ready to be sent again. */
bool kap_resend_disowned(const kap_call *c, kap_batch *b);

#endif

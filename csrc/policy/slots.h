/*
 * What a call knows of each of its ids: a slot says whether a ticket has come,
 * whether the service has said that there is none, or why the id failed. This
 * file changes slots; what an answer means for them is for call.h to decide.
 *
 * An iterator's call is fed ids while it goes on, and gives up those that were
 * handed out for the last time. An id is then known by its number, which stays
 * the same while its index in the call becomes less.
 *
 * Functions that return bool or a pointer say false or NULL when there is no
 * memory, where nothing else is said.
 */
#ifndef KAP_SLOTS_H
#define KAP_SLOTS_H

#include "policy/state.h"

/* Room for the slots of so many ids; new ones are pending. */
bool kap_slots_reserve(kap_call *c, uint32_t n);
void kap_slots_free(kap_call *c);

/* One more id for an iterator's call, whose number goes to *number. An id that
 * is fed again before it was handed out is asked for once. */
bool kap_slots_feed(kap_call *c, const char *id, size_t len, uint64_t *number);
/* Whether nothing more will become of the id of that number. */
bool kap_slots_final(const kap_call *c, uint64_t number);
/* Whether the i-th id (KAP_IDSET_NONE: no id of the call) is still to be handed
 * out. */
bool kap_slots_wants(const kap_call *c, uint32_t i);
/* It was handed out. True: for the last time. */
bool kap_slots_release(kap_call *c, uint64_t number);

/* How many ids of the range are pending. */
uint32_t kap_slots_pending(const kap_call *c, uint32_t first, uint32_t count);
/* These as text, separated by commas; the caller frees it. */
char *kap_slots_join_pending(const kap_call *c, uint32_t first, uint32_t count,
                             size_t *len);

/* A ticket of the i-th id has come, with whichever batch. */
void kap_slots_got(kap_call *c, uint32_t i);
/* Those of the range that are pending are missing. */
void kap_slots_missing(kap_call *c, uint32_t first, uint32_t count);
/* Those of the range that are pending have failed for good, as `why` says. */
bool kap_slots_fail(kap_call *c, uint32_t first, uint32_t count,
                    const kap_failure *why);
/* All of the range are pending again, whatever has become of them. */
void kap_slots_reset(kap_call *c, uint32_t first, uint32_t count);

#endif

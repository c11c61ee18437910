/*
 * A ticket as text: its own JSON, checked as closely as decoding checks it, with
 * the blanks between tokens taken out and nothing else changed.
 */
#ifndef KAP_RAW_H
#define KAP_RAW_H

#include "json/session.h"

/*
 * As kapL_decode_ticket, with all fields: pushes a string, and d->details and d->id
 * are set; or it returns false and has set d->scan.error, the same as decoding would.
 * False with d->paused: it has pushed nothing, what there is of the ticket being in
 * the text itself; to go on, call it again.
 */
bool kapL_raw_ticket(lua_State *L, kap_decode *d);

#endif

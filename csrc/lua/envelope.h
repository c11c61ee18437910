/*
 * What a JSON object says that stands around the tickets, or instead of them.
 * Reads its members once and changes nothing in the text. Knows no Lua.
 */
#ifndef KAP_ENVELOPE_H
#define KAP_ENVELOPE_H

#include "json/scan.h"

typedef struct kap_envelope {
    bool failed, success; /* its status; a ticket's own status is none */
    bool ticket;          /* it is itself a ticket: task_details is an object */
    char *message;        /* the value of message or Message */
    char *words;          /* the first other string value */
    char *list;           /* the first other array that holds objects */
    char *empty;          /* the first other array that holds nothing */
    char *end;            /* behind its closing brace */
} kap_envelope;

/* The first byte inside the array or object at `at`, which is the closing
 * bracket if it is empty. */
char kap_envelope_first(const char *at, const char *end);

/* s is at the "{"; false: not JSON, s->error says where. */
bool kap_envelope_read(kap_scan *s, kap_envelope *e);

#endif

/*
 * libcurl's easy handles, which are kept between transfers where that is safe,
 * and the TLS sessions that they share. Knows no Lua. The engine's driver owns
 * it.
 */
#ifndef KAP_HANDLES_H
#define KAP_HANDLES_H

#include "net/transfer.h"

#define KAP_HANDLES_KEPT 64

/* An easy handle at rest, with the settings it was last set up for. */
typedef struct kap_handle {
    CURL *easy;
    kap_settings *settings;
    char *ca_file; /* the message's: settings may leave it to the environment */
    bool secure;
} kap_handle;

typedef struct kap_handles {
    kap_handle kept[KAP_HANDLES_KEPT];
    int n;
    bool reuse;
    kap_shared shared;
} kap_handles;

bool kap_handles_init(kap_handles *h); /* false: no memory */
/* Every handle given out has been put back. */
void kap_handles_free(kap_handles *h);

/* Sets t->easy, ready to go. False: t->outcome says why. */
bool kap_handles_equip(kap_handles *h, kap_transfer *t);
/* Takes t->easy back, which is in no multi handle any more. `whole`: it may
 * serve another transfer. */
void kap_handles_return(kap_handles *h, kap_transfer *t, bool whole);

#endif

/*
 * What goes on the wire: the URL, the headers and the POST body of a call. It
 * never changes once made, and the call's transfers share it by reference
 * count. Knows no Lua.
 *
 * Source of the facts: the vendor's Get Ticket page. The body field is
 * `ticket_ids` (the page's table says `ticket_id`, its examples and its error
 * message do not), and the nine optional fields are always sent.
 */
#ifndef KAP_MESSAGE_H
#define KAP_MESSAGE_H

#include "base/failure.h"
#include "base/refs.h"
#include "config/settings.h"

#include <curl/curl.h>

#define KAP_ENDPOINT "/search-ticket-by-ticket-id.html/v.2.0"

typedef struct kap_message {
    kap_refs refs;
    char *url;
    CURLU *parsed_url; /* the same, so that libcurl need not parse it for each
                        * request; NULL where it can't, and will say why */
    bool secure;       /* https */
    /* The request's, of which the first is for large bodies alone. They hold the
     * token: wiped when freed. */
    struct curl_slist *headers;
    struct curl_slist *proxy_headers; /* the last of them: a proxy's CONNECT
                                       * has it as well */
    char *token;                      /* as sent, without "Basic " */
    char *ca_file;                    /* the settings', or the environment's */
    char *tail;                       /* the body after the ids */
    size_t tail_len;
    kap_settings *settings; /* what it was made from... */
    char *environment;      /* ...and what the environment said then */
    size_t environment_len;
} kap_message;

/*
 * From the settings and, where they leave something open, the environment
 * (KAPTURE_BASE_URL, KAPTURE_SUBDOMAIN, KAPTURE_TOKEN, KAPTURE_CA_FILE).
 * `token`: what the token function gave, or NULL. NULL: *why says what (config,
 * or nomem).
 */
kap_message *kap_message_new(kap_settings *s, const char *token,
                             size_t token_len, kap_failure *why);
/* The CA file that these settings, or the environment as it is now, name; NULL:
 * neither does. */
const char *kap_message_ca_file(const kap_settings *s);
/* Whether making it anew from these settings would give the same. */
bool kap_message_fits(const kap_message *m, const kap_settings *s);
kap_message *kap_message_ref(kap_message *m);
void kap_message_unref(kap_message *m);

/* The body for so many bytes of ids, with commas between them, to be freed;
 * `len` becomes its length. NULL: no memory. */
char *kap_message_body(const kap_message *m, const char *ids, size_t *len);

#endif

/*
 * The options of a client or a call once parsed: plain C values, owned here,
 * never changed after parsing, shared by reference count (the engine's thread
 * holds some too). Lua-free. What each option means: options.c.
 */
#ifndef KAP_SETTINGS_H
#define KAP_SETTINGS_H

#include "base/refs.h"
#include "config/fields.h"

#include <stdbool.h>
#include <stddef.h>

/* The nine documented body fields, in the vendor's order. */
#define KAP_PARAM_COUNT 9
extern const char *const kap_param_names[KAP_PARAM_COUNT];

typedef struct kap_settings {
    kap_refs refs;
    /* Where to: at most one of the two is set; neither: the environment. */
    char *base_url, *subdomain;
    /* Who: the token function, where there is one, is Lua's to keep. */
    char *token;
    bool token_function;
    char *cookie;
    char **headers;                /* "Name: value" lines, NULL-terminated */
    char *params[KAP_PARAM_COUNT]; /* NULL: "" */
    char *body;          /* members to merge, as `"k":v,...`, no braces */
    bool body_unencoded; /* `body` was given and lua-cjson not found */
    kap_fields *fields;
    double timeout, connect_timeout, deadline; /* seconds; INFINITY: none */
    double backoff, max_backoff;
    double rate; /* requests a second; INFINITY: no limit */
    int retries, batch_size, concurrency;
    size_t max_response_bytes;
    bool partial, isolate, compression, verify, hook;
    char *ca_file, *ca_path, *cert, *key, *proxy, *user_agent;
} kap_settings;

/* Defaults, or a deep copy; one reference. NULL: no memory. */
kap_settings *kap_settings_new(const kap_settings *from);
kap_settings *kap_settings_ref(kap_settings *s);
/* Whether two say the same (compiled fields: only if they are the same). */
bool kap_settings_same(const kap_settings *a, const kap_settings *b);
/* NULL is fine. The last reference wipes the secrets and frees. */
void kap_settings_unref(kap_settings *s);

/* Replaces an owned string; wipes the old one. False: no memory. */
bool kap_settings_string(char **slot, const char *value, size_t len);
void kap_settings_clear_headers(kap_settings *s);

#endif

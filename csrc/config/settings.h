/*
 * The options of a client or a call: the table that describes them, and their
 * values once parsed. A kap_settings is never changed after parsing, so the
 * engine's thread may have a reference as well. Knows nothing of where the values
 * come from: lua/options.h reads them from a Lua table.
 *
 * To add an option: a row of the table in settings.c, and the member below.
 */
#ifndef KAP_SETTINGS_H
#define KAP_SETTINGS_H

#include "base/refs.h"
#include "config/fields.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    KAP_OPTION_STRING,
    KAP_OPTION_TOKEN,   /* a string or a function */
    KAP_OPTION_SECONDS, /* a number > 0 */
    KAP_OPTION_PAUSE,   /* a number >= 0 */
    KAP_OPTION_RATE,    /* a number > 0, of all a client's calls together */
    KAP_OPTION_COUNT,   /* an integer from min to max */
    KAP_OPTION_LIMIT,   /* the same, of all a client's calls together */
    KAP_OPTION_SIZE,    /* an integer >= 1, or infinity */
    KAP_OPTION_FLAG,
    KAP_OPTION_PARAM,   /* a documented body field: string, boolean or number */
    KAP_OPTION_HEADERS, /* name = value */
    KAP_OPTION_BODY,    /* members to merge into the request's body */
    KAP_OPTION_FIELDS,  /* a list of paths */
    KAP_OPTION_HOOK     /* a function */
} kap_option_type;

typedef struct kap_option {
    const char *name;
    kap_option_type type;
    size_t at; /* the offset of its member in kap_settings */
    double initial;
    int min, max;
    const char *initial_text, *doc; /* for people: see tools/types.lua */
} kap_option;

/* The body fields are in the vendor's order, in which they are sent. */
extern const kap_option kap_settings_options[];
extern const size_t kap_settings_option_count;

typedef struct kap_settings {
    kap_refs refs;
    /* Where to: at most one of the two is set; neither: the environment. */
    char *base_url, *subdomain;
    /* Who: the token function, where there is one, is Lua's to keep. */
    char *token;
    bool token_function;
    char *cookie;
    char **headers; /* "Name: value" lines, NULL-terminated */
    /* The nine documented body fields; NULL: "". */
    char *conversation_type, *history_type, *assigned, *disposed, *response;
    char *landing_queue, *create, *resolved, *include_emailbody;
    char *body;          /* members to merge, as `"k":v,...`, no braces */
    bool body_unencoded; /* `body` was given and lua-cjson not found */
    kap_fields *fields;
    double timeout, connect_timeout, deadline; /* seconds; INFINITY: none */
    double backoff, max_backoff;
    double rate; /* requests a second; INFINITY: no limit */
    int retries, batch_size, concurrency;
    size_t max_response_bytes;
    bool raw, partial, isolate, compression, verify, hook;
    char *ca_file, *ca_path, *cert, *key, *proxy, *user_agent;
} kap_settings;

/* Where the option's value is: its type says of what kind that is. */
static inline void *kap_settings_at(kap_settings *s, const kap_option *o)
{
    return (char *)s + o->at;
}

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

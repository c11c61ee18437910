#include "config/settings.h"

#include "base/secret.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(kap_settings, member)

/* A row is an option's name, type, member, default, least and greatest value (of
 * a count), its default for people where that is no number, and what it is. */
const kap_option kap_settings_options[] = {
    {"subdomain", KAP_OPTION_STRING, AT(subdomain), 0, 0, 0,
     "$KAPTURE_SUBDOMAIN",
     "the account's subdomain of kapturecrm.com: one DNS label"},
    {"base_url", KAP_OPTION_STRING, AT(base_url), 0, 0, 0, "$KAPTURE_BASE_URL",
     "scheme, host, port and a path prefix, instead of subdomain"},
    {"token", KAP_OPTION_TOKEN, AT(token), 0, 0, 0, "$KAPTURE_TOKEN",
     "as issued, or a function that returns it, called once a call"},
    {"cookie", KAP_OPTION_STRING, AT(cookie), 0, 0, 0, "none",
     "a Cookie header's value"},
    {"headers", KAP_OPTION_HEADERS, AT(headers), 0, 0, 0, "none",
     "extra request headers"},
    {"conversation_type", KAP_OPTION_PARAM, AT(conversation_type), 0, 0, 0,
     "\"\"", "body field, passed on"},
    {"history_type", KAP_OPTION_PARAM, AT(history_type), 0, 0, 0, "\"\"",
     "body field, passed on"},
    {"assigned", KAP_OPTION_PARAM, AT(assigned), 0, 0, 0, "\"\"",
     "body field, passed on"},
    {"disposed", KAP_OPTION_PARAM, AT(disposed), 0, 0, 0, "\"\"",
     "body field, passed on"},
    {"response", KAP_OPTION_PARAM, AT(response), 0, 0, 0, "\"\"",
     "body field, passed on"},
    {"landing_queue", KAP_OPTION_PARAM, AT(landing_queue), 0, 0, 0, "\"\"",
     "body field, passed on"},
    {"create", KAP_OPTION_PARAM, AT(create), 0, 0, 0, "\"\"",
     "body field, passed on"},
    {"resolved", KAP_OPTION_PARAM, AT(resolved), 0, 0, 0, "\"\"",
     "body field, passed on"},
    {"include_emailbody", KAP_OPTION_PARAM, AT(include_emailbody), 0, 0, 0,
     "\"\"", "body field, passed on"},
    {"body", KAP_OPTION_BODY, AT(body), 0, 0, 0, "none",
     "merged into the request body, encoded with lua-cjson"},
    {"fields", KAP_OPTION_FIELDS, AT(fields), 0, 0, 0, "all",
     "paths such as \"task_details.ticketId\": only these are built"},
    {"raw", KAP_OPTION_FLAG, AT(raw), 0, 0, 0, "false",
     "each ticket is a string: its own JSON, checked, without blanks"},
    {"timeout", KAP_OPTION_SECONDS, AT(timeout), 30, 0, 0, NULL,
     "seconds for one attempt"},
    {"connect_timeout", KAP_OPTION_SECONDS, AT(connect_timeout), 10, 0, 0, NULL,
     "seconds for connecting, TLS included"},
    {"deadline", KAP_OPTION_SECONDS, AT(deadline), 120, 0, 0, NULL,
     "seconds for the whole call; in the iterator, for each batch"},
    {"retries", KAP_OPTION_COUNT, AT(retries), 2, 0, 20, NULL,
     "extra attempts for a request that failed in a way that may pass"},
    {"backoff", KAP_OPTION_PAUSE, AT(backoff), 0.5, 0, 0, NULL,
     "seconds: base of the exponential pause before a retry"},
    {"max_backoff", KAP_OPTION_PAUSE, AT(max_backoff), 20, 0, 0, NULL,
     "seconds: the longest such pause"},
    {"batch_size", KAP_OPTION_COUNT, AT(batch_size), 50, 1, 1000, NULL,
     "ids in a request"},
    {"concurrency", KAP_OPTION_LIMIT, AT(concurrency), 4, 1, 256, NULL,
     "requests in flight over the client, all its calls together"},
    {"rate", KAP_OPTION_RATE, AT(rate), INFINITY, 0, 0, "none",
     "requests a second over the client, at most, evenly spaced"},
    {"partial", KAP_OPTION_FLAG, AT(partial), false, 0, 0, NULL,
     "return what arrived, with the failed requests in info.failed"},
    {"isolate", KAP_OPTION_FLAG, AT(isolate), true, 0, 0, NULL,
     "halve a failed request until the bad id stands alone"},
    {"max_response_bytes", KAP_OPTION_SIZE, AT(max_response_bytes), 64 << 20, 0,
     0, "64 MiB", "bytes of a response after decompression, at most"},
    {"compression", KAP_OPTION_FLAG, AT(compression), true, 0, 0, NULL,
     "ask for a compressed response"},
    {"verify", KAP_OPTION_FLAG, AT(verify), true, 0, 0, NULL,
     "check the server's certificate and name"},
    {"ca_file", KAP_OPTION_STRING, AT(ca_file), 0, 0, 0, "$KAPTURE_CA_FILE",
     "a PEM file of CA certificates, instead of the system's"},
    {"ca_path", KAP_OPTION_STRING, AT(ca_path), 0, 0, 0, "none",
     "a directory of hashed CA certificates"},
    {"cert", KAP_OPTION_STRING, AT(cert), 0, 0, 0, "none",
     "a client certificate (PEM)"},
    {"key", KAP_OPTION_STRING, AT(key), 0, 0, 0, "none",
     "its private key (PEM)"},
    {"proxy", KAP_OPTION_STRING, AT(proxy), 0, 0, 0, "environment",
     "a proxy's URL; \"\" for none"},
    {"user_agent", KAP_OPTION_STRING, AT(user_agent), 0, 0, 0,
     "kapture-lua/<version>", "the User-Agent header"},
    {"hook", KAP_OPTION_HOOK, AT(hook), 0, 0, 0, "none",
     "called for every request, response, retry, pause, split and failure"},
};
const size_t kap_settings_option_count =
    sizeof kap_settings_options / sizeof *kap_settings_options;

bool kap_settings_string(char **slot, const char *value, size_t len)
{
    char *copy = malloc(len + 1);
    if (copy == NULL)
        return false;
    memcpy(copy, value, len);
    copy[len] = '\0';
    kap_secret_free(*slot);
    *slot = copy;
    return true;
}

void kap_settings_clear_headers(kap_settings *s)
{
    if (s->headers != NULL)
        for (char **h = s->headers; *h != NULL; h++)
            kap_secret_free(*h);
    free(s->headers);
    s->headers = NULL;
}

static bool copy_string(char **to, const char *from)
{
    return from == NULL || kap_settings_string(to, from, strlen(from));
}

static bool copy_headers(char ***to, char **from)
{
    size_t n = 0;
    if (from == NULL)
        return true;
    while (from[n] != NULL)
        n++;
    *to = calloc(n + 1, sizeof **to);
    if (*to == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!copy_string(&(*to)[i], from[i]))
            return false;
    return true;
}

static bool same_string(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_headers(char **a, char **b)
{
    if (a == NULL || b == NULL)
        return a == b;
    while (*a != NULL && *b != NULL)
        if (strcmp(*a++, *b++) != 0)
            return false;
    return *a == *b;
}

/* The value of an option, as its type has it. */
typedef union value {
    double *number;
    int *count;
    size_t *size;
    bool *flag;
    char **string;
    char ***headers;
    kap_fields **fields;
} value;

static value value_of(const kap_settings *s, const kap_option *o)
{
    return (value){.number = kap_settings_at((kap_settings *)s, o)};
}

static void set_default(kap_settings *s, const kap_option *o)
{
    value v = value_of(s, o);
    switch (o->type) {
    case KAP_OPTION_SECONDS:
    case KAP_OPTION_PAUSE:
    case KAP_OPTION_RATE: *v.number = o->initial; break;
    case KAP_OPTION_COUNT:
    case KAP_OPTION_LIMIT: *v.count = (int)o->initial; break;
    case KAP_OPTION_SIZE: *v.size = (size_t)o->initial; break;
    case KAP_OPTION_FLAG: *v.flag = o->initial != 0; break;
    default: break; /* nothing */
    }
}

static bool copy(kap_settings *s, const kap_settings *other,
                 const kap_option *o)
{
    value to = value_of(s, o), from = value_of(other, o);
    switch (o->type) {
    case KAP_OPTION_SECONDS:
    case KAP_OPTION_PAUSE:
    case KAP_OPTION_RATE: *to.number = *from.number; return true;
    case KAP_OPTION_COUNT:
    case KAP_OPTION_LIMIT: *to.count = *from.count; return true;
    case KAP_OPTION_SIZE: *to.size = *from.size; return true;
    case KAP_OPTION_FLAG:
    case KAP_OPTION_HOOK: *to.flag = *from.flag; return true;
    case KAP_OPTION_HEADERS: return copy_headers(to.headers, *from.headers);
    case KAP_OPTION_FIELDS:
        if (*from.fields != NULL)
            *to.fields = kap_fields_ref(*from.fields);
        return true;
    case KAP_OPTION_STRING:
    case KAP_OPTION_TOKEN:
    case KAP_OPTION_PARAM:
    case KAP_OPTION_BODY: return copy_string(to.string, *from.string);
    }
    return true;
}

static bool same(const kap_settings *s, const kap_settings *other,
                 const kap_option *o)
{
    value a = value_of(s, o), b = value_of(other, o);
    switch (o->type) {
    case KAP_OPTION_SECONDS:
    case KAP_OPTION_PAUSE:
    case KAP_OPTION_RATE: return *a.number == *b.number;
    case KAP_OPTION_COUNT:
    case KAP_OPTION_LIMIT: return *a.count == *b.count;
    case KAP_OPTION_SIZE: return *a.size == *b.size;
    case KAP_OPTION_FLAG:
    case KAP_OPTION_HOOK: return *a.flag == *b.flag;
    case KAP_OPTION_HEADERS: return same_headers(*a.headers, *b.headers);
    case KAP_OPTION_FIELDS: return *a.fields == *b.fields;
    case KAP_OPTION_STRING:
    case KAP_OPTION_TOKEN:
    case KAP_OPTION_PARAM:
    case KAP_OPTION_BODY: return same_string(*a.string, *b.string);
    }
    return true;
}

static void clear(kap_settings *s, const kap_option *o)
{
    value v = value_of(s, o);
    switch (o->type) {
    case KAP_OPTION_STRING:
    case KAP_OPTION_TOKEN:
    case KAP_OPTION_PARAM:
    case KAP_OPTION_BODY: kap_secret_free(*v.string); break;
    case KAP_OPTION_HEADERS: kap_settings_clear_headers(s); break;
    case KAP_OPTION_FIELDS: kap_fields_free(*v.fields); break;
    default: break; /* owns nothing */
    }
}

kap_settings *kap_settings_new(const kap_settings *from)
{
    kap_settings *s = calloc(1, sizeof *s);
    bool ok = true;
    if (s == NULL)
        return NULL;
    kap_refs_init(&s->refs);
    for (size_t i = 0; ok && i < kap_settings_option_count; i++) {
        if (from == NULL)
            set_default(s, &kap_settings_options[i]);
        else
            ok = copy(s, from, &kap_settings_options[i]);
    }
    if (from != NULL) {
        s->token_function = from->token_function;
        s->body_unencoded = from->body_unencoded;
    }
    if (ok)
        return s;
    kap_settings_unref(s);
    return NULL;
}

bool kap_settings_same(const kap_settings *a, const kap_settings *b)
{
    if (a == b)
        return true;
    for (size_t i = 0; i < kap_settings_option_count; i++)
        if (!same(a, b, &kap_settings_options[i]))
            return false;
    return a->token_function == b->token_function &&
           a->body_unencoded == b->body_unencoded;
}

kap_settings *kap_settings_ref(kap_settings *s)
{
    kap_refs_add(&s->refs);
    return s;
}

void kap_settings_unref(kap_settings *s)
{
    if (s == NULL || !kap_refs_drop(&s->refs))
        return;
    for (size_t i = 0; i < kap_settings_option_count; i++)
        clear(s, &kap_settings_options[i]);
    free(s);
}

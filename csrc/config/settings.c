#include "config/settings.h"

#include "base/secret.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const kap_param_names[KAP_PARAM_COUNT] = {
    "conversation_type", "history_type",  "assigned", "disposed",
    "response",          "landing_queue", "create",   "resolved",
    "include_emailbody",
};

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

/* The string options, for copying and freeing alike. */
/* clang-format off */
#define STRINGS(X)                                                            \
    X(base_url) X(subdomain) X(token) X(cookie) X(body) X(ca_file) X(ca_path) \
    X(cert) X(key) X(proxy) X(user_agent)
/* clang-format on */

static void release(kap_settings *s)
{
#define FREE(name) kap_secret_free(s->name);
    STRINGS(FREE)
#undef FREE
    for (int i = 0; i < KAP_PARAM_COUNT; i++)
        kap_secret_free(s->params[i]);
    kap_settings_clear_headers(s);
    kap_fields_free(s->fields);
    free(s);
}

static bool copy_string(char **to, const char *from)
{
    return from == NULL || kap_settings_string(to, from, strlen(from));
}

static bool copy_headers(kap_settings *s, char **from)
{
    size_t n = 0;
    if (from == NULL)
        return true;
    while (from[n] != NULL)
        n++;
    s->headers = calloc(n + 1, sizeof *s->headers);
    if (s->headers == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!copy_string(&s->headers[i], from[i]))
            return false;
    return true;
}

kap_settings *kap_settings_new(const kap_settings *from)
{
    kap_settings *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    kap_refs_init(&s->refs);
    if (from == NULL) {
        s->timeout = 30;
        s->connect_timeout = 10;
        s->deadline = 120;
        s->retries = 2;
        s->backoff = 0.5;
        s->max_backoff = 20;
        s->batch_size = 50;
        s->concurrency = 4;
        s->rate = INFINITY;
        s->isolate = s->compression = s->verify = true;
        s->max_response_bytes = (size_t)64 << 20;
        return s;
    }
    s->token_function = from->token_function;
    s->body_unencoded = from->body_unencoded;
    s->timeout = from->timeout;
    s->connect_timeout = from->connect_timeout;
    s->deadline = from->deadline;
    s->backoff = from->backoff;
    s->max_backoff = from->max_backoff;
    s->rate = from->rate;
    s->retries = from->retries;
    s->batch_size = from->batch_size;
    s->concurrency = from->concurrency;
    s->max_response_bytes = from->max_response_bytes;
    s->partial = from->partial;
    s->isolate = from->isolate;
    s->compression = from->compression;
    s->verify = from->verify;
    s->hook = from->hook;
    bool ok = true;
#define COPY(name) ok = ok && copy_string(&s->name, from->name);
    STRINGS(COPY)
#undef COPY
    for (int i = 0; i < KAP_PARAM_COUNT; i++)
        ok = ok && copy_string(&s->params[i], from->params[i]);
    ok = ok && copy_headers(s, from->headers);
    if (from->fields != NULL)
        s->fields = kap_fields_ref(from->fields);
    if (!ok) {
        release(s);
        return NULL;
    }
    return s;
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

bool kap_settings_same(const kap_settings *a, const kap_settings *b)
{
    bool same = a->token_function == b->token_function &&
                a->body_unencoded == b->body_unencoded &&
                a->fields == b->fields && a->timeout == b->timeout &&
                a->connect_timeout == b->connect_timeout &&
                a->deadline == b->deadline && a->backoff == b->backoff &&
                a->max_backoff == b->max_backoff && a->rate == b->rate &&
                a->retries == b->retries && a->batch_size == b->batch_size &&
                a->concurrency == b->concurrency &&
                a->max_response_bytes == b->max_response_bytes &&
                a->partial == b->partial && a->isolate == b->isolate &&
                a->compression == b->compression && a->verify == b->verify &&
                a->hook == b->hook;
#define SAME(name) same = same && same_string(a->name, b->name);
    STRINGS(SAME)
#undef SAME
    for (int i = 0; i < KAP_PARAM_COUNT; i++)
        same = same && same_string(a->params[i], b->params[i]);
    return same && same_headers(a->headers, b->headers);
}

kap_settings *kap_settings_ref(kap_settings *s)
{
    kap_refs_add(&s->refs);
    return s;
}

void kap_settings_unref(kap_settings *s)
{
    if (s != NULL && kap_refs_drop(&s->refs))
        release(s);
}

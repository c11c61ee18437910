#include "config/message.h"

#include "base/ascii.h"
#include "base/secret.h"
#include "config/target.h"
#include "kapture.h"

#include <stdlib.h>
#include <string.h>

static const char body_head[] = "{\"ticket_ids\":\"";

/* A growing string; after one failed allocation it stays failed. */
typedef struct text {
    char *data;
    size_t len, cap;
    bool failed;
} text;

static void add(text *t, const char *s, size_t n)
{
    if (t->failed)
        return;
    if (t->len + n + 1 > t->cap) {
        size_t cap = (t->len + n + 1) * 2;
        char *data = malloc(cap); /* not realloc: the old copy is wiped */
        if (data == NULL) {
            t->failed = true;
            return;
        }
        if (t->data != NULL) {
            memcpy(data, t->data, t->len);
            kap_secret_wipe(t->data, t->len);
            free(t->data);
        }
        t->data = data;
        t->cap = cap;
    }
    memcpy(t->data + t->len, s, n);
    t->len += n;
    t->data[t->len] = '\0';
}

static void add_string(text *t, const char *s)
{
    add(t, s, strlen(s));
}

/* As a JSON string, without its quotes. Bytes beyond ASCII pass unchanged. */
static void add_json(text *t, const char *s)
{
    static const char hex[] = "0123456789abcdef";
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            char esc[2] = {'\\', (char)c};
            add(t, esc, 2);
        } else if (c < 0x20 || c == 0x7f) {
            char esc[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            add(t, esc, 6);
        } else {
            add(t, s, 1);
        }
    }
}

static bool build_tail(kap_message *m, kap_settings *s)
{
    text t = {0};
    add_string(&t, "\"");
    for (size_t i = 0; i < kap_settings_option_count; i++) {
        const kap_option *o = &kap_settings_options[i];
        if (o->type != KAP_OPTION_PARAM)
            continue;
        const char *value = *(char **)kap_settings_at(s, o);
        add_string(&t, ",\"");
        add_string(&t, o->name);
        add_string(&t, "\":\"");
        add_json(&t, value != NULL ? value : "");
        add_string(&t, "\"");
    }
    if (s->body != NULL && *s->body != '\0') {
        add_string(&t, ",");
        add_string(&t, s->body);
    }
    add_string(&t, "}");
    if (t.failed) {
        kap_secret_free(t.data);
        return false;
    }
    m->tail = t.data;
    m->tail_len = t.len;
    return true;
}

static bool add_header(kap_message *m, const char *name, const char *value)
{
    text t = {0};
    add_string(&t, name);
    add_string(&t, value);
    if (!t.failed) {
        struct curl_slist *more = curl_slist_append(m->headers, t.data);
        if (more == NULL)
            t.failed = true;
        else
            m->headers = more;
    }
    kap_secret_free(t.data);
    return !t.failed;
}

/* The token as it goes after "Basic ": some users paste it with the prefix. */
static bool take_token(kap_message *m, const char *token, size_t len,
                       kap_failure *why)
{
    if (kap_has_control(token, len)) {
        kap_failure_set(why, KAP_KIND_CONFIG,
                        "token: it holds a control character (a line break at "
                        "its end?)");
        return false;
    }
    while (len > 0 && *token == ' ')
        token++, len--;
    if (len >= 6 && curl_strnequal(token, "Basic ", 6))
        token += 6, len -= 6;
    while (len > 0 && *token == ' ')
        token++, len--;
    while (len > 0 && token[len - 1] == ' ')
        len--;
    if (len == 0) {
        kap_failure_set(why, KAP_KIND_CONFIG,
                        "no token: set the option 'token' or the environment "
                        "variable KAPTURE_TOKEN");
        return false;
    }
    if (!kap_settings_string(&m->token, token, len)) {
        kap_failure_set(why, KAP_KIND_NOMEM, "not enough memory");
        return false;
    }
    return true;
}

/* False: no memory. */
static bool build_url(kap_message *m, const char *base)
{
    text url = {0};
    add_string(&url, base);
    add_string(&url, KAP_ENDPOINT);
    m->url = url.data;
    m->parsed_url = curl_url();
    if (url.failed || m->parsed_url == NULL)
        return false;
    CURLUcode rc =
        curl_url_set(m->parsed_url, CURLUPART_URL, m->url, CURLU_PATH_AS_IS);
    if (rc != CURLUE_OK) {
        curl_url_cleanup(m->parsed_url);
        m->parsed_url = NULL;
    }
    return rc != CURLUE_OUT_OF_MEMORY;
}

/* libcurl has an option for User-Agent, too; but then it composes that header
 * twice for each request, byte by byte. */
static bool add_user_agent(kap_message *m, const char *name)
{
    if (name == NULL)
        name = "kapture-lua/" KAPTURE_VERSION;
    bool blank = name[strspn(name, " ")] == '\0';
    if (!(blank ? add_header(m, "User-Agent;", "") /* libcurl's "no value" */
                : add_header(m, "User-Agent: ", name)))
        return false;
    m->proxy_headers = m->headers;
    while (m->proxy_headers->next != NULL)
        m->proxy_headers = m->proxy_headers->next;
    return true;
}

static bool build_headers(kap_message *m, const kap_settings *s)
{
    /* never wait for a 100-continue: one more round trip */
    bool ok = add_header(m, "Expect:", "") &&
              add_header(m, "Authorization: Basic ", m->token) &&
              add_header(m, "Content-Type: application/json", "");
    if (ok && s->cookie != NULL && *s->cookie != '\0')
        ok = add_header(m, "Cookie: ", s->cookie);
    for (char **h = s->headers; ok && h != NULL && *h != NULL; h++)
        ok = add_header(m, *h, "");
    return ok && add_user_agent(m, s->user_agent);
}

static bool usable(const char *name, const char *value, kap_failure *why)
{
    if (value == NULL || !kap_has_control(value, strlen(value)))
        return true;
    kap_failure_set(why, KAP_KIND_CONFIG, "%s: it holds a control character",
                    name);
    return false;
}

/* Of one that is not, the settings have the name alone, if it can be shown. */
static bool usable_header(const char *line, kap_failure *why)
{
    int n = 0;
    if (!kap_has_control(line, strlen(line)))
        return true;
    while (n < 40 && !kap_is_control(line[n]))
        n++;
    if (n > 0)
        kap_failure_set(why, KAP_KIND_CONFIG,
                        "headers: '%.*s' holds a control character", n, line);
    else
        kap_failure_set(why, KAP_KIND_CONFIG,
                        "headers: a name holds a control character");
    return false;
}

static bool check(kap_settings *s, kap_failure *why)
{
    for (size_t i = 0; i < kap_settings_option_count; i++) {
        const kap_option *o = &kap_settings_options[i];
        if (o->type == KAP_OPTION_STRING &&
            !usable(o->name, *(char **)kap_settings_at(s, o), why))
            return false;
    }
    if (!usable("ca_file", kap_message_ca_file(s), why))
        return false; /* the environment's */
    for (char **h = s->headers; h != NULL && *h != NULL; h++)
        if (!usable_header(*h, why))
            return false;
    if (s->body_unencoded) {
        kap_failure_set(why, KAP_KIND_CONFIG,
                        "body: the module lua-cjson, which encodes it, was "
                        "not found");
        return false;
    }
    return true;
}

/* The environment variables that these settings leave something to. */
enum { BASE_URL, SUBDOMAIN, TOKEN, CA_FILE, VARIABLES };
static const char *const environment[VARIABLES] = {"KAPTURE_BASE_URL",
                                                   "KAPTURE_SUBDOMAIN",
                                                   "KAPTURE_TOKEN",
                                                   "KAPTURE_CA_FILE"};

static const char *from_environment(const kap_settings *s, int i)
{
    bool open = i == TOKEN     ? s->token == NULL
                : i == CA_FILE ? s->ca_file == NULL
                               : s->base_url == NULL && s->subdomain == NULL;
    const char *value = open ? getenv(environment[i]) : NULL;
    return value != NULL ? value : "";
}

const char *kap_message_ca_file(const kap_settings *s)
{
    const char *value = from_environment(s, CA_FILE);
    return *value != '\0' ? value : s->ca_file;
}

static bool remember_source(kap_message *m, kap_settings *s)
{
    text t = {0};
    for (int i = 0; i < VARIABLES; i++) {
        const char *value = from_environment(s, i);
        add(&t, value, strlen(value) + 1);
    }
    m->environment = t.data;
    m->environment_len = t.len;
    m->settings = kap_settings_ref(s);
    return !t.failed;
}

bool kap_message_fits(const kap_message *m, const kap_settings *s)
{
    const char *then = m->environment;
    if (m->settings != s || s->token_function)
        return false;
    for (int i = 0; i < VARIABLES; i++) {
        if (strcmp(then, from_environment(s, i)) != 0)
            return false;
        then += strlen(then) + 1;
    }
    return true;
}

kap_message *kap_message_new(kap_settings *s, const char *token,
                             size_t token_len, kap_failure *why)
{
    if (!check(s, why))
        return NULL;
    char *base = kap_target(s, why);
    if (base == NULL)
        return NULL;
    kap_message *m = calloc(1, sizeof *m);
    bool ok = m != NULL;
    if (ok) {
        kap_refs_init(&m->refs);
        m->secure = kap_target_secure(base);
        ok = build_url(m, base);
    }
    free(base);
    if (!ok) {
        kap_failure_set(why, KAP_KIND_NOMEM, "not enough memory");
        goto fail;
    }
    if (!m->secure && s->proxy != NULL && *s->proxy != '\0' &&
        !kap_target_loopback_proxy(s->proxy)) {
        kap_failure_set(why, KAP_KIND_CONFIG,
                        "proxy: a plain http base_url would send the token "
                        "through it in the clear");
        goto fail;
    }
    if (token == NULL) {
        token = s->token;
        if (token == NULL && !s->token_function)
            token = getenv(environment[TOKEN]);
        token_len = token != NULL ? strlen(token) : 0;
    }
    if (!take_token(m, token != NULL ? token : "", token_len, why))
        goto fail;
    const char *ca_file = kap_message_ca_file(s);
    if ((ca_file != NULL &&
         !kap_settings_string(&m->ca_file, ca_file, strlen(ca_file))) ||
        !build_headers(m, s) || !build_tail(m, s) || !remember_source(m, s)) {
        kap_failure_set(why, KAP_KIND_NOMEM, "not enough memory");
        goto fail;
    }
    return m;
fail:
    kap_message_unref(m);
    return NULL;
}

kap_message *kap_message_ref(kap_message *m)
{
    kap_refs_add(&m->refs);
    return m;
}

void kap_message_unref(kap_message *m)
{
    if (m == NULL || !kap_refs_drop(&m->refs))
        return;
    for (struct curl_slist *h = m->headers; h != NULL; h = h->next)
        kap_secret_wipe(h->data, strlen(h->data));
    curl_slist_free_all(m->headers);
    free(m->url);
    curl_url_cleanup(m->parsed_url);
    kap_secret_free(m->token);
    free(m->ca_file);
    kap_secret_free(m->tail);
    kap_secret_wipe(m->environment, m->environment_len); /* a token, maybe */
    free(m->environment);
    kap_settings_unref(m->settings);
    free(m);
}

char *kap_message_body(const kap_message *m, const char *ids, size_t *len)
{
    size_t span = *len, head = sizeof body_head - 1;
    char *body = malloc(head + span + m->tail_len + 1);
    if (body == NULL)
        return NULL;
    memcpy(body, body_head, head);
    memcpy(body + head, ids, span);
    memcpy(body + head + span, m->tail, m->tail_len);
    *len = head + span + m->tail_len;
    body[*len] = '\0';
    return body;
}

#include "net/handles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Before 8.1.1, libcurl keeps a pointer to the last response's last header in a
 * handle that is used again (curl's pull request 11103): a response whose first
 * header line is folded then reads freed memory. There, each transfer gets a
 * handle of its own; connections and TLS sessions are kept all the same.
 */
#define REUSE_SINCE 0x080101

static void set_encodings(kap_shared *shared, int features)
{
    static const struct {
        int feature;
        const char *names;
    } known[] = {{CURL_VERSION_LIBZ, "deflate, gzip"},
                 {CURL_VERSION_BROTLI, "br"},
                 {CURL_VERSION_ZSTD, "zstd"}};
    size_t n = 0, size = sizeof shared->encodings;
    shared->encodings[0] = '\0';
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if ((features & known[i].feature) != 0)
            n += (size_t)snprintf(shared->encodings + n, size - n, "%s%s",
                                  n == 0 ? "Accept-Encoding: " : ", ",
                                  known[i].names);
}

bool kap_handles_init(kap_handles *h)
{
    /* asked once: it composes strings */
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
    h->n = 0;
    h->reuse = v->version_num >= REUSE_SINCE;
    h->shared.ca_file = v->cainfo != NULL;
    set_encodings(&h->shared, v->features);
    h->shared.sessions = curl_share_init();
    if (h->shared.sessions == NULL)
        return false;
    /* one thread at a time drives all of them: no lock functions are needed */
    if (curl_share_setopt(h->shared.sessions, CURLSHOPT_SHARE,
                          CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK)
        return true;
    curl_share_cleanup(h->shared.sessions);
    h->shared.sessions = NULL;
    return false;
}

static void drop(kap_handle *h)
{
    curl_easy_cleanup(h->easy);
    kap_settings_unref(h->settings);
    free(h->ca_file);
}

void kap_handles_free(kap_handles *h)
{
    while (h->n > 0)
        drop(&h->kept[--h->n]);
    if (h->shared.sessions != NULL)
        curl_share_cleanup(h->shared.sessions);
    h->shared.sessions = NULL;
}

static bool serves(const kap_handle *h, const kap_transfer *t)
{
    const char *a = h->ca_file, *b = t->message->ca_file;
    return h->settings == t->settings && h->secure == t->message->secure &&
           (a == b || (a != NULL && b != NULL && strcmp(a, b) == 0));
}

/* One that served these settings before, if there is one. */
static kap_handle pick(kap_handles *h, const kap_transfer *t)
{
    kap_handle one = {0};
    if (h->n == 0) {
        one.easy = curl_easy_init();
        return one;
    }
    int i = h->n - 1;
    while (i > 0 && !serves(&h->kept[i], t))
        i--;
    one = h->kept[i];
    h->kept[i] = h->kept[--h->n];
    if (!serves(&one, t)) {
        curl_easy_reset(one.easy);
        kap_settings_unref(one.settings);
        one.settings = NULL;
    }
    return one;
}

bool kap_handles_equip(kap_handles *h, kap_transfer *t)
{
    kap_handle one = pick(h, t);
    if (one.easy == NULL) {
        t->outcome = KAP_OUTCOME_NOMEM;
        return false;
    }
    bool ready = kap_transfer_prepare(t, one.easy, one.settings, &h->shared);
    if (ready) {
        kap_settings_unref(one.settings);
        free(one.ca_file);
    } else {
        t->easy = NULL;
        drop(&one);
    }
    return ready;
}

void kap_handles_return(kap_handles *h, kap_transfer *t, bool whole)
{
    kap_handle one = {t->easy, NULL, NULL, t->message->secure};
    const char *ca_file = t->message->ca_file;
    t->easy = NULL;
    if (!whole || !h->reuse || h->n == KAP_HANDLES_KEPT ||
        curl_easy_setopt(one.easy, CURLOPT_ERRORBUFFER, NULL) != CURLE_OK ||
        curl_easy_setopt(one.easy, CURLOPT_HTTPHEADER, NULL) != CURLE_OK ||
        curl_easy_setopt(one.easy, CURLOPT_PROXYHEADER, NULL) != CURLE_OK ||
        curl_easy_setopt(one.easy, CURLOPT_CURLU, NULL) != CURLE_OK ||
        curl_easy_setopt(one.easy, CURLOPT_POSTFIELDS, NULL) != CURLE_OK ||
        (ca_file != NULL &&
         !kap_settings_string(&one.ca_file, ca_file, strlen(ca_file)))) {
        drop(&one);
    } else {
        one.settings = kap_settings_ref(t->settings);
        h->kept[h->n++] = one;
    }
}

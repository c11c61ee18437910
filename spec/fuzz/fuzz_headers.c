/* Retry-After, base_url, ids and redaction: small parsers of foreign text. */
#include "net/retry_after.h"
#include "fuzz.h"
#include "policy/idset.h"
#include "base/failure.h"
#include "base/secret.h"
#include "config/target.h"

#include <math.h>
#include <string.h>

static void check_target(char *text)
{
    kap_failure why;
    kap_settings *s = kap_settings_new(NULL);
    kap_settings_string(&s->base_url, text, strlen(text));
    kap_failure_clear(&why);
    char *url = kap_target(s, &why);
    if (url == NULL && why.kind != KAP_KIND_CONFIG)
        FUZZ_FAIL("base_url refused with kind %s", kap_failure_name(why.kind));
    if (url != NULL) {
        bool secure = strncasecmp(url, "https://", 8) == 0;
        if (strpbrk(url, "@?#\r\n\t ") != NULL)
            FUZZ_FAIL("base_url '%s' taken", url);
        if (!secure && strncasecmp(url, "http://localhost", 16) != 0 &&
            strncasecmp(url, "http://127.", 11) != 0 &&
            strncasecmp(url, "http://[::1]", 12) != 0)
            FUZZ_FAIL("plain http taken to '%s'", url);
    }
    free(url);
    kap_settings_unref(s);
}

static void check_ids(const uint8_t *data, size_t size)
{
    kap_idset set = {0};
    size_t start = 0, len;
    for (size_t i = 0; i <= size; i++) {
        if (i < size && data[i] != ',')
            continue;
        const char *id = (const char *)data + start;
        if (kap_idset_valid(id, i - start)) {
            uint32_t at = kap_idset_add(&set, id, i - start);
            const char *kept = kap_idset_get(&set, at, &len);
            if (len != i - start || memcmp(kept, id, len) != 0 ||
                kap_idset_find(&set, id, len, 0) != at)
                FUZZ_FAIL("an id is not found again");
        }
        start = i + 1;
    }
    if (set.n > 0) {
        const char *span = kap_idset_span(&set, 0, set.n, &len);
        size_t commas = 0;
        for (size_t i = 0; i < len; i++)
            commas += span[i] == ',';
        if (commas != set.n - 1)
            FUZZ_FAIL("%zu commas between %u ids", commas, set.n);
    }
    kap_idset_free(&set);
}

static void check_redaction(char *text, size_t size)
{
    static const char secret[] = "ab/c";
    /* as a text that went on is, every other time */
    size_t n = kap_secret_redact(text, size, secret, size % 2 != 0);
    if (n > size)
        FUZZ_FAIL("redaction made the text longer");
    if (n >= 4 && memmem(text, n, secret, 4) != NULL)
        FUZZ_FAIL("the secret is still there");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    kap_retry_after after;
    kap_retry_after_clear(&after);
    kap_retry_after_read(&after, text, size / 2);
    kap_retry_after_read(&after, text + size / 2, size - size / 2);
    kap_retry_after_date(&after, text, size);
    double seconds = kap_retry_after_seconds(&after, 1700000000);
    if (isnan(seconds) || (seconds < 0 && seconds != -1))
        FUZZ_FAIL("Retry-After '%s' is %g", text, seconds);
    check_target(text);
    check_ids(data, size);
    check_redaction(text, size);
    free(text);
    return 0;
}

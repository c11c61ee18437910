#include "net/retry_after.h"

#include "base/ascii.h"

#include <curl/curl.h>
#include <string.h>

void kap_retry_after_clear(kap_retry_after *r)
{
    r->seconds = -1;
    r->until = -1;
    r->date[0] = '\0';
}

/* An HTTP date begins with a weekday; -1: this is none. */
static time_t date_of(const char *text, size_t len)
{
    char copy[64];
    if (len == 0 || len >= sizeof copy || !kap_is_letter(*text))
        return -1;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return curl_getdate(copy, NULL);
}

/* Digits, and maybe a fraction, rounded up; -1: this is no such number. */
static double seconds_of(const char *text, size_t len)
{
    double seconds = 0;
    bool more = false;
    size_t i = 0;
    for (; i < len && kap_is_digit(text[i]); i++)
        seconds = seconds * 10 + (text[i] - '0');
    if (i == 0)
        return -1;
    if (i + 1 < len && text[i] == '.')
        for (i++; i < len && kap_is_digit(text[i]); i++)
            more = more || text[i] != '0';
    return i < len ? -1 : seconds + more;
}

static const char *comma_or(const char *p, const char *end)
{
    const char *comma = memchr(p, ',', (size_t)(end - p));
    return comma != NULL ? comma : end;
}

void kap_retry_after_read(kap_retry_after *r, const char *value, size_t len)
{
    const char *p = value, *end = value + len;
    while (p < end) {
        const char *stop = comma_or(p, end);
        size_t n = (size_t)(stop - p);
        while (n > 0 && (*p == ' ' || *p == '\t'))
            p++, n--;
        while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
            n--;
        double seconds = seconds_of(p, n);
        if (seconds > r->seconds)
            r->seconds = seconds;
        if (n > 0 && kap_is_letter(*p)) {
            time_t when = date_of(p, n);
            if (stop < end) { /* most have a comma behind the weekday */
                const char *next = comma_or(stop + 1, end);
                time_t longer = date_of(p, (size_t)(next - p));
                if (longer != -1) {
                    when = longer;
                    stop = next;
                }
            }
            if (when > r->until)
                r->until = when;
        }
        p = stop < end ? stop + 1 : end;
    }
}

void kap_retry_after_date(kap_retry_after *r, const char *value, size_t len)
{
    /* a valid one has 29 characters, in its longest form 33 */
    if (len >= sizeof r->date)
        len = 0;
    memcpy(r->date, value, len);
    r->date[len] = '\0';
}

double kap_retry_after_seconds(const kap_retry_after *r, time_t now)
{
    double seconds = r->seconds;
    if (r->until != -1) {
        time_t date = date_of(r->date, strlen(r->date));
        double left = difftime(r->until, date != -1 ? date : now);
        if (left < 0)
            left = 0;
        if (left > seconds)
            seconds = left;
    }
    return seconds;
}

/*
 * The floor under a call: the same request on bare libcurl, with a handle and a
 * connection that are kept, and nothing done with the answer.
 *
 *     floor URL CA_FILE TOKEN BODY N ENCODING
 *
 * ENCODING is what CURLOPT_ACCEPT_ENCODING gets, "-" for nothing. After a first
 * call it makes N more and prints their CPU time and wall time in seconds, and
 * the bytes of one answer's headers and body as they came.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

typedef struct answer {
    char *data;
    size_t len, cap;
} answer;

static size_t on_body(char *data, size_t one, size_t n, void *arg)
{
    answer *a = arg;
    n *= one;
    if (a->len + n > a->cap) {
        char *more = realloc(a->data, (a->len + n) * 2);
        if (more == NULL)
            return 0;
        a->data = more;
        a->cap = (a->len + n) * 2;
    }
    memcpy(a->data + a->len, data, n);
    a->len += n;
    return n;
}

static void call(CURL *easy, answer *a)
{
    long status = 0;
    a->len = 0;
    CURLcode rc = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (rc != CURLE_OK || status != 200 || a->len == 0) {
        fprintf(stderr, "floor: %s, HTTP %ld\n", curl_easy_strerror(rc),
                status);
        exit(1);
    }
}

static double cpu(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

static double wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    answer a = {NULL, 0, 0};
    struct curl_slist *headers = NULL;
    char authorization[512];
    if (argc != 7)
        return 2;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURL *easy = curl_easy_init();
    snprintf(authorization, sizeof authorization, "Authorization: Basic %s",
             argv[3]);
    headers = curl_slist_append(headers, authorization);
    headers = curl_slist_append(headers, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
    curl_easy_setopt(easy, CURLOPT_CAINFO, argv[2]);
    /* else it reads the file anew for each connection */
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, argv[4]);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    if (strcmp(argv[6], "-") != 0)
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, argv[6]);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &a);

    call(easy, &a);
    long n = strtol(argv[5], NULL, 10), header_bytes = 0;
    curl_off_t body_bytes = 0;
    double cpu_before = cpu(), wall_before = wall();
    for (long i = 0; i < n; i++)
        call(easy, &a);
    double cpu_used = cpu() - cpu_before, wall_used = wall() - wall_before;
    curl_easy_getinfo(easy, CURLINFO_HEADER_SIZE, &header_bytes);
    curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &body_bytes);
    printf("%.6f %.6f %ld\n", cpu_used, wall_used,
           header_bytes + (long)body_bytes);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    curl_global_cleanup();
    free(a.data);
    return 0;
}

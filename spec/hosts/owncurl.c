/* A host that uses libcurl itself, and says when it begins and ends. */
#include "host.h"

#include <curl/curl.h>
#include <string.h>

static size_t drop(char *data, size_t one, size_t n, void *arg)
{
    (void)data;
    *(size_t *)arg += one * n;
    return one * n;
}

static void own_request(CURL *easy)
{
    size_t bytes = 0;
    long status = 0;
    char url[600];

    snprintf(url, sizeof url, "%s/sandbox/stats", getenv("KAPTURE_BASE_URL"));
    HOST_CHECK(curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK);
    HOST_CHECK(curl_easy_setopt(easy, CURLOPT_CAINFO,
                                getenv("KAPTURE_CA_FILE")) == CURLE_OK);
    HOST_CHECK(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop) == CURLE_OK);
    HOST_CHECK(curl_easy_setopt(easy, CURLOPT_WRITEDATA, &bytes) == CURLE_OK);
    CURLcode rc = curl_easy_perform(easy);
    if (rc != CURLE_OK)
        HOST_FAIL("%s", curl_easy_strerror(rc));
    HOST_CHECK(curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) ==
               CURLE_OK);
    HOST_CHECK(status > 0 && bytes > 0);
}

int main(void)
{
    HOST_CHECK(curl_global_init(CURL_GLOBAL_ALL) == CURLE_OK);
    CURL *easy = curl_easy_init();
    HOST_CHECK(easy != NULL);
    own_request(easy);

    lua_State *L = host_new();
    host_run(L, "fetch '713000000001'", "");
    own_request(easy); /* on the connection from before */
    lua_close(L);
    own_request(easy); /* the module's end is not libcurl's */

    L = host_new();
    host_run(L, "check('713000000002', client:submit('713000000002'):wait(30))",
             "");
    curl_easy_cleanup(easy);
    curl_global_cleanup(); /* nor is the host's end the module's */
    host_run(L, "fetch '713000000003'", "");
    lua_close(L);
    puts("fine");
    return 0;
}

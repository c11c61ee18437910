/* Loads libcurl and makes it ready, or, with an argument, only starts. */
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    CURLcode (*init)(long);
    (void)argv;
    if (argc > 1)
        return 0;
    void *lib = dlopen("libcurl.so.4", RTLD_NOW);
    if (lib == NULL)
        return 1;
    *(void **)&init = dlsym(lib, "curl_global_init");
    return init == NULL || init(CURL_GLOBAL_DEFAULT) != CURLE_OK;
}

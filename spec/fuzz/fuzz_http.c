/*
 * A byte-level conversation: a server on a loopback socket answers whatever is
 * asked with the input, byte for byte, and closes. The engine must come back
 * with a response or a failure, in time, and be good for the next one.
 */
#include "base/clock.h"
#include "net/engine.h"
#include "fuzz.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t answer[8192];
static size_t answer_len;

static void reply(int fd)
{
    uint8_t copy[sizeof answer];
    pthread_mutex_lock(&lock);
    size_t n = answer_len;
    memcpy(copy, answer, n);
    pthread_mutex_unlock(&lock);
    send(fd, copy, n, MSG_NOSIGNAL);
}

static void *serve(void *arg)
{
    char request[4096];
    (void)arg;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        if (recv(fd, request, sizeof request, 0) > 0)
            reply(fd);
        shutdown(fd, SHUT_WR);
        while (recv(fd, request, sizeof request, 0) > 0)
            ;
        close(fd);
    }
    return NULL;
}

static kap_message *message;
static kap_settings *settings;
static kap_engine *engine;
static kap_lane *lane;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    pthread_t thread;
    kap_failure why;
    char url[64];
    (void)argc;
    (void)argv;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&a, len) != 0 ||
        listen(listener, 16) != 0 ||
        getsockname(listener, (struct sockaddr *)&a, &len) != 0)
        FUZZ_FAIL("no server");
    pthread_create(&thread, NULL, serve, NULL);
    curl_global_init(CURL_GLOBAL_ALL);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(a.sin_port));
    settings = kap_settings_new(NULL);
    kap_settings_string(&settings->base_url, url, strlen(url));
    kap_settings_string(&settings->token, "dG9rZW4=", 8);
    settings->timeout = 2;
    settings->max_response_bytes = 1 << 20;
    message = kap_message_new(settings, NULL, 0, &why);
    lane = kap_lane_new(false);
    engine = kap_engine_new(1, HUGE_VAL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kap_failure f;
    if (size > sizeof answer)
        return 0;
    pthread_mutex_lock(&lock);
    memcpy(answer, data, size);
    answer_len = size;
    pthread_mutex_unlock(&lock);
    kap_transfer *t = kap_transfer_new(message, settings, strdup("{}"), 2),
                 *got;
    double until = kap_now() + 5;
    kap_engine_submit(engine, t, lane);
    while ((got = kap_engine_take(engine)) == NULL && kap_now() < until)
        kap_engine_wait(engine, 1);
    if (got != t)
        FUZZ_FAIL("no end after 5 s");
    if (t->outcome != KAP_OUTCOME_RESPONSE) {
        kap_transfer_failure(t, &f);
        if (f.kind == KAP_KIND_NONE || f.message[0] == '\0')
            FUZZ_FAIL("a failure without kind or words");
    }
    kap_lane_detach(t); /* the answer has been looked at: others may go on */
    kap_transfer_free(t);
    return 0;
}

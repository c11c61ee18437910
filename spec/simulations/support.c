#include "support.h"

#include "policy/slots.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What csrc/policy asks of csrc/net and csrc/config ------------------------- */

static sim *current;
#define ENGINE ((kap_engine *)(void *)current) /* only ever handed back */

kap_transfer *kap_transfer_new(kap_message *m, kap_settings *s, char *post,
                               size_t post_len)
{
    kap_transfer *t = calloc(1, sizeof *t);
    (void)m;
    (void)s;
    t->post = post;
    t->post_len = post_len;
    t->status = 200;
    return t;
}

void kap_transfer_free(kap_transfer *t)
{
    if (t != NULL)
        free(t->post);
    free(t);
}

void kap_transfer_failure(const kap_transfer *t, kap_failure *f)
{
    (void)t;
    kap_failure_set(f, KAP_KIND_NETWORK, "of the simulation");
}

char *kap_message_body(const kap_message *m, const char *ids, size_t *len)
{
    char *body = malloc(*len + 1);
    (void)m;
    memcpy(body, ids, *len);
    body[*len] = '\0';
    return body;
}

void kap_message_unref(kap_message *m)
{
    (void)m;
}

void kap_settings_unref(kap_settings *s)
{
    (void)s;
}

void kap_lane_unref(kap_lane *l)
{
    (void)l;
}

void kap_lane_detach(kap_transfer *t)
{
    (void)t;
}

void kap_engine_wake(kap_engine *e)
{
    (void)e;
}

void kap_engine_submit(kap_engine *e, kap_transfer *t, kap_lane *lane)
{
    (void)e;
    (void)lane;
    current->queue[current->n++] = t;
}

static void take(size_t i)
{
    memmove(current->queue + i, current->queue + i + 1,
            (--current->n - i) * sizeof *current->queue);
}

void kap_engine_cancel(kap_engine *e, kap_transfer *t)
{
    (void)e;
    for (size_t i = 0; i < current->n; i++)
        if (current->queue[i] == t) {
            take(i);
            kap_transfer_free(t);
            return;
        }
}

/* A run ---------------------------------------------------------------------- */

unsigned sim_random(sim *s, unsigned below)
{
    return (unsigned)(kap_random(&s->random) * below);
}

unsigned sim_count(const sim *s, kap_id_state state)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < s->call.ids.n; i++)
        n += s->call.slots[i].state == state;
    return n;
}

void sim_begin(sim *s, unsigned ids, unsigned batch_size, unsigned concurrency,
               unsigned retries, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->random = seed;
    s->settings.batch_size = (int)batch_size;
    s->settings.concurrency = (int)concurrency;
    s->settings.retries = (int)retries;
    s->settings.isolate = true;
    s->settings.deadline = INFINITY;
    kap_retry_budget_init(&s->budget);
    kap_failure_clear(&s->call.stop);
    s->call.settings = &s->settings;
    s->call.numbers = &s->numbers;
    s->call.budget = &s->budget;
    s->call.random = &s->random;
    s->call.events = &s->events;
    for (unsigned i = 0; i < ids; i++) {
        char id[20];
        kap_idset_add(&s->call.ids, id, (size_t)sprintf(id, "%u", i));
    }
    current = s;
    if (!kap_call_begin(&s->call) || !kap_call_settle(&s->call, ENGINE))
        abort();
}

static void answer_one(sim *s, service *answer)
{
    static uint32_t asked[100000];
    uint32_t n = 0, read = 0;
    /* as many as may are in flight: which of them ends next is chance */
    size_t flying = s->n < (size_t)s->settings.concurrency
                        ? s->n
                        : (size_t)s->settings.concurrency;
    size_t at = sim_random(s, (unsigned)flying);
    kap_transfer *t = s->queue[at];
    kap_batch *b = t->owner;
    kap_call *c = &s->call;
    for (size_t i = 0; i < flying; i++)
        atomic_store(&s->queue[i]->started, true);
    take(at);
    s->requests++;
    for (char *p = t->post; *p != '\0';) {
        char *end;
        asked[n++] = (uint32_t)strtoul(p, &end, 10);
        p = *end == ',' ? end + 1 : end;
    }
    verdict v = answer(s, asked, n, &read);
    t->outcome = KAP_OUTCOME_RESPONSE;
    kap_call_arrived(b);
    if (v == ANSWERS)
        read = n;
    for (uint32_t i = 0; i < read && !b->canary; i++)
        kap_slots_got(c, asked[i]);
    b->brought_own = read > 0;
    kap_failure_clear(&b->failure);
    b->failure.attempts = b->attempts;
    if (v == REFUSES)
        kap_failure_set(&b->failure, KAP_KIND_NOT_FOUND, "refused");
    else if (v == BREAKS)
        kap_failure_set(&b->failure, KAP_KIND_PROTOCOL, "broken");
    else if (v == FAILS)
        kap_failure_set(&b->failure, KAP_KIND_SERVER, "failed");
    b->failure.retryable = v == FAILS;
    bool ok = v == ANSWERS ? kap_call_succeed(c, b, ENGINE)
                           : kap_call_fail(c, b, ENGINE);
    if (!ok || !kap_call_settle(c, ENGINE))
        abort();
}

void sim_run(sim *s, service *answer)
{
    current = s;
    while (!s->call.done) {
        if (s->n == 0) {
            fprintf(stderr, "nothing is in flight, and the call has not "
                            "ended\n");
            abort();
        }
        answer_one(s, answer);
    }
}

void sim_end(sim *s)
{
    kap_call_free(&s->call, NULL);
}

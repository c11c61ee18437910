#include "policy/event.h"

#include <stdlib.h>
#include <string.h>

kap_event *kap_event_new(kap_event_type type, const char *ids, size_t ids_len,
                         const char *message)
{
    size_t len = strlen(message);
    kap_event *e = calloc(1, sizeof *e + ids_len + len + 2);
    if (e == NULL)
        return NULL;
    e->type = type;
    e->ids_len = ids_len;
    memcpy(e->ids, ids, ids_len);
    e->message = memcpy(e->ids + ids_len + 1, message, len);
    return e;
}

void kap_events_push(kap_events *events, kap_event *e)
{
    if (events->last != NULL)
        events->last->next = e;
    else
        events->first = e;
    events->last = e;
}

kap_event *kap_events_shift(kap_events *events)
{
    kap_event *e = events->first;
    if (e == NULL)
        return NULL;
    events->first = e->next;
    if (events->first == NULL)
        events->last = NULL;
    return e;
}

void kap_events_drop(kap_events *events, const struct kap_call *call)
{
    kap_events kept = {NULL, NULL};
    kap_event *e;
    while ((e = kap_events_shift(events)) != NULL) {
        e->next = NULL;
        if (call == NULL || e->call == call)
            free(e);
        else
            kap_events_push(&kept, e);
    }
    *events = kept;
}

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
    e->message = memcpy(e->ids + ids_len + 1, message, len + 1);
    return e;
}

kap_event *kap_event_shift(kap_list *events)
{
    return KAP_ITEM(kap_list_shift(events), kap_event, link);
}

void kap_event_free_all(kap_list *events, const struct kap_call *call)
{
    KAP_EACH(kap_event, e, events, link)
        if (call == NULL || e->call == call) {
            kap_list_remove(events, &e->link);
            free(e);
        }
}

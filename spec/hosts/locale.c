/*
 * A host whose locale writes a decimal comma, and may be Turkish. Arguments: the locale's name, a
 * base_url whose tickets have a field `half` = 1.5.
 */
#include "host.h"

#include <locale.h>
#include <string.h>

/* What is decoded is compared as values: tostring follows the locale. */
static const char script[] =
    "kapture.new(options { timeout = 30.5, backoff = 0.25 })\n"
    "fetch '713000000001'\n"
    "local tickets = assert(kapture.get_ticket('713000000002', options {\n"
    "  base_url = ..., assigned = 1.5, disposed = 3, timeout = 12.5 }))\n"
    "local half = tickets[1].task_details.half\n"
    "assert(half == 3 / 2, tostring(half))\n"
    /* in Turkish, this I is no capital of "Basic"'s */
    "assert(kapture.get_ticket('713000000003', options {\n"
    "  token = 'BASIC ' .. os.getenv 'KAPTURE_TOKEN' }))\n"
    "local e = tickets[1].task_details.taskId\n"
    "assert(type(e) == 'number' and e % 1 == 0)\n";

int main(int argc, char **argv)
{
    HOST_CHECK(argc == 3);
    if (setlocale(LC_ALL, argv[1]) == NULL)
        HOST_FAIL("no locale %s", argv[1]);
    HOST_CHECK(strcmp(localeconv()->decimal_point, ",") == 0);
    lua_State *L = host_new();
    host_run(L, script, argv[2]);
    HOST_CHECK(strcmp(localeconv()->decimal_point, ",") == 0);
    lua_close(L);
    puts("fine");
    return 0;
}

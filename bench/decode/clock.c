/*
 * Preloaded while counting: Lua 5.4 seeds its string hash with the time of day,
 * and how many names collide would differ from run to run.
 */
#include <time.h>

time_t time(time_t *t)
{
    if (t != NULL)
        *t = 0;
    return 0;
}

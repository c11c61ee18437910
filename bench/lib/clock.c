/*
 * Preloaded while counting: Lua 5.4 seeds its string hash with the time of day,
 * and how many names collide would differ from run to run. That is the first
 * time anybody asks; later a certificate's dates are compared with it.
 */
#include <stddef.h>
#include <sys/time.h>
#include <time.h>

time_t time(time_t *t)
{
    static int asked;
    struct timeval now = {0, 0};
    if (asked++ > 0)
        gettimeofday(&now, NULL);
    if (t != NULL)
        *t = now.tv_sec;
    return now.tv_sec;
}

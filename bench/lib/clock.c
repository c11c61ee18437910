/*
 * Preloaded while counting: Lua 5.4 seeds its string hash with the time of day,
 * LuaJIT its hash and its search for memory with random bytes, and what that
 * costs would differ from run to run. It is the first time that anybody asks for
 * the time; later a certificate's dates are compared with it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
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

/* LuaJIT's way to getrandom; libcurl's and OpenSSL's is another. */
long syscall(long number, ...)
{
    static long (*next)(long, ...);
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_getrandom) {
        memset((void *)a[0], 0x5a, (size_t)a[1]);
        return a[1];
    }
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "syscall");
    return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

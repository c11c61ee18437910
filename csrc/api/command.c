/*
 * Descriptors, display width and one decoded line for bin/kapture.
 *
 *   open(path)             a descriptor to read from; nil, message, errno
 *   file(path or fd)       a string that is the same for what is one file, and
 *                          "file", "pipe" (sockets, too) or "other"; nil where
 *                          there is none
 *   is_terminal(fd)
 *   read(fd [, seconds])   what is there, as soon as anything is; "" at the end;
 *                          false where nothing came in that time, or a signal
 *                          did; nil, message on failure
 *   writer(fd)             a function: given a string it writes all of it, in
 *                          one write(2) where the system takes it at once, and
 *                          returns true, or nil, message, errno; called without
 *                          one it returns how many strings it has written
 *   fit(text, columns)     bytes of the longest beginning that is no wider, and
 *                          its width
 *   ticket_id(text)        task_details.ticketId of one ticket in JSON; nil
 *                          where the text is none, or not whole
 *
 * The descriptors belong to the caller.
 */
#include "api/command.h"

#include "api/client.h"
#include "json/decode.h"
#include "lua/value.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>
#if defined(__has_include)
#if __has_include(<xlocale.h>) /* where newlocale is not in locale.h */
#include <xlocale.h>
#endif
#endif

#define READ_SIZE 16384

static int failure(lua_State *L, int number)
{
    lua_pushnil(L);
    lua_pushstring(L, strerror(number));
    lua_pushinteger(L, number);
    return 3;
}

static int command_open(lua_State *L)
{
    int fd = open(luaL_checkstring(L, 1), O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (fd < 0)
        return failure(L, errno);
    if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
        close(fd);
        return failure(L, EISDIR);
    }
    lua_pushinteger(L, fd);
    return 1;
}

static int command_file(lua_State *L)
{
    struct stat info;
    bool number = lua_type(L, 1) == LUA_TNUMBER;
    int rc = number ? fstat((int)lua_tointeger(L, 1), &info)
                    : stat(luaL_checkstring(L, 1), &info);
    if (rc != 0)
        return 0;
    char name[64];
    snprintf(name, sizeof name, "%ju:%ju", (uintmax_t)info.st_dev,
             (uintmax_t)info.st_ino);
    lua_pushstring(L, name);
    lua_pushstring(L, S_ISREG(info.st_mode) ? "file"
                      : S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode)
                          ? "pipe"
                          : "other");
    return 2;
}

static int command_is_terminal(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

static int command_read(lua_State *L)
{
    int fd = (int)luaL_checkinteger(L, 1);
    double seconds = luaL_optnumber(L, 2, -1);
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    int n = poll(&pfd, 1, seconds < 0 ? -1 : (int)ceil(seconds * 1000));
    if (n == 0 || (n < 0 && errno == EINTR)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    if (n < 0)
        return failure(L, errno);
    char text[READ_SIZE];
    ssize_t got = read(fd, text, sizeof text);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    if (got < 0)
        return failure(L, errno);
    lua_pushlstring(L, text, (size_t)got);
    return 1;
}

/* 0, or errno. A descriptor that does not block may be one we were given. */
static int write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, text, len);
        if (done >= 0) {
            text += done;
            len -= (size_t)done;
        } else if (errno == EAGAIN) {
            struct pollfd pfd = {.fd = fd, .events = POLLOUT};
            poll(&pfd, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* The kernel leaves a write to a file half done for a signal that ends the
 * process, so these wait until the line is whole. That is soon. A pipe's reader
 * may take its time: nothing waits for that. */
static int command_write(lua_State *L)
{
    int fd = (int)lua_tointeger(L, lua_upvalueindex(1));
    if (lua_isnoneornil(L, 1)) {
        lua_pushvalue(L, lua_upvalueindex(2));
        return 1;
    }
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    struct stat info;
    bool file = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    sigset_t all, before;
    if (file) {
        sigfillset(&all);
        file = pthread_sigmask(SIG_SETMASK, &all, &before) == 0;
    }
    int failed = write_all(fd, text, len);
    if (file)
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        return failure(L, failed);
    lua_pushinteger(L, lua_tointeger(L, lua_upvalueindex(2)) + 1);
    lua_replace(L, lua_upvalueindex(2));
    lua_pushboolean(L, 1);
    return 1;
}

static int command_writer(lua_State *L)
{
    lua_pushinteger(L, luaL_checkinteger(L, 1));
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, command_write, 2);
    return 1;
}

/* The length of the UTF-8 sequence at text, at most len; 1 for a stray byte. */
static size_t sequence(const char *text, size_t len)
{
    size_t n = 1;
    while (n < len && n < 4 && ((unsigned char)text[n] & 0xC0) == 0x80)
        n++;
    return n;
}

/* Columns of what the C library's tables know; where there is no UTF-8 locale
 * to ask them through, or a character is unknown to them, one each. */
static int columns_of(const char *text, size_t len, bool utf8)
{
    if ((unsigned char)*text < 0x80 || !utf8)
        return 1;
    wchar_t c;
    mbstate_t state;
    memset(&state, 0, sizeof state);
    size_t used = mbrtowc(&c, text, len, &state);
    if (used == 0 || used == (size_t)-1 || used == (size_t)-2)
        return 1;
    int width = wcwidth(c);
    return width < 0 ? 1 : width;
}

/* Where the longest beginning no wider than `room` ends; its width is put into
 * room. The locale is this thread's for as long as that takes. */
static size_t fit(const char *text, size_t len, double *room)
{
    static const char *const names[] = {"C.UTF-8", "C.utf8", "en_US.UTF-8",
                                        "UTF-8"};
    locale_t locale = (locale_t)0;
    for (size_t i = 0; i < sizeof names / sizeof *names && locale == 0; i++)
        locale = newlocale(LC_CTYPE_MASK, names[i], (locale_t)0);
    locale_t before = locale != 0 ? uselocale(locale) : locale;
    double width = 0;
    size_t at = 0;
    while (at < len) {
        size_t n = sequence(text + at, len - at);
        int columns = columns_of(text + at, n, locale != 0);
        if (width + columns > *room)
            break;
        width += columns;
        at += n;
    }
    if (locale != 0) {
        uselocale(before);
        freelocale(locale);
    }
    *room = width;
    return at;
}

static int command_fit(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    double room = luaL_checknumber(L, 2);
    size_t bytes = fit(text, len, &room);
    lua_pushinteger(L, (lua_Integer)bytes);
    lua_pushinteger(L, (lua_Integer)room);
    return 2;
}

static int command_ticket_id(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_settop(L, 1);
    char *copy = lua_newuserdata(L, len > 0 ? len : 1); /* it is unescaped */
    memcpy(copy, text, len);                            /* in place        */
    kapL_value_array_mt(L);
    kap_decode d;
    kap_decode_session session;
    kap_decode_init(&d, copy, len);
    kapL_decode_begin(L, &d, &session, 3);
    if (kap_decode_peek(&d) != '{' || !kapL_decode_ticket(L, &d, NULL) ||
        kap_decode_peek(&d) >= 0 || d.id_len == 0)
        return 0;
    lua_pushlstring(L, d.id, d.id_len);
    return 1;
}

void kapL_command_register(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"open", command_open},
        {"file", command_file},
        {"is_terminal", command_is_terminal},
        {"read", command_read},
        {"writer", command_writer},
        {"fit", command_fit},
        {"ticket_id", command_ticket_id},
        {NULL, NULL},
    };
    lua_createtable(L, 0, 7);
    kapL_setfuncs(L, functions, 0);
    lua_setfield(L, LUA_REGISTRYINDEX, "kapture.command");
}

/*
 * What options.c, options_plain.c and options_tables.c have in common, for
 * these three alone: the first walks over an opts table, the second takes
 * options that are one value, the third those that are tables.
 */
#ifndef KAP_OPTIONS_PARTS_H
#define KAP_OPTIONS_PARTS_H

#include "lua/error.h"
#include "config/settings.h"

/* An opts table that is being read into `s`. */
typedef struct parse {
    lua_State *L;
    kap_settings *s;
    int functions, arg;
    const char *func;
} parse;

#define FAIL(p, ...) \
    kapL_error_argument((p)->L, (p)->arg, (p)->func, __VA_ARGS__)

/* Stands in the place of a value with control characters, which can't be sent.
 * It makes the call fail with `config`, unless the options of the call replace
 * what the client's have. */
#define UNUSABLE "\1"

/* Raises that the value at `idx` is not what option `o` takes. */
_Noreturn void kapL_options_wrong(parse *p, const kap_option *o, int idx,
                                  const char *expected);

/* Writes the number at `idx`: as an integer if it is one, also where Lua has
 * only floats (3 as "3"); with a point, whatever the locale. The number of
 * bytes. */
size_t kapL_options_number_text(lua_State *L, int idx, char *out, size_t size);

/* Each takes the value at `idx` for option `o`, or raises. */
typedef void option_parser(parse *p, const kap_option *o, int idx);
option_parser kapL_options_string;
option_parser kapL_options_token;
option_parser kapL_options_number;
option_parser kapL_options_count;
option_parser kapL_options_size;
option_parser kapL_options_flag;
option_parser kapL_options_param;
option_parser kapL_options_hook;
option_parser kapL_options_headers;
option_parser kapL_options_fields;
option_parser kapL_options_body;

#endif

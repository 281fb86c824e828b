/* Read before every file of the Lua library (see build.rs): makes Lua write numbers as gopher-lua does.
 *
 * Whole numbers keep all their digits, others get the shortest digits that read back, as Go's %v has them: an
 * identifier such as 123456789012345 stays what it is where a script puts it into a text.
 */

/* luaconf.h asks who includes it and is read only once, here: so all of it is wanted. */
#define LUA_CORE
#define lua_c
#define loslib_c
#include <luaconf.h>
#undef LUA_CORE
#undef lua_c
#undef loslib_c

#include <stdio.h>
#include <stdlib.h>

/* Room is LUAI_MAXNUMBER2STR, 32 bytes; the longest text, "-2.2250738585072014e-308", has 24. */
static inline void shoal_number_to_text(char *text, double number)
{
    int digits = 0, exponent;
    const char *mark;

    if (number >= -9223372036854775808.0 && number < 9223372036854775808.0 && number == (double)(long long)number) {
        sprintf(text, "%lld", (long long)number);
        return;
    }
    if (number != number) {
        sprintf(text, "NaN");
        return;
    }
    if (number - number != 0) {
        sprintf(text, number > 0 ? "+Inf" : "-Inf");
        return;
    }
    /* Seventeen digits always read back. */
    do {
        sprintf(text, "%.*e", digits, number);
    } while (digits < 16 && strtod(text, NULL) != number && ++digits);
    for (mark = text; *mark != 'e'; mark++) {
    }
    exponent = atoi(mark + 1);
    if (exponent >= -4 && exponent < 6)
        sprintf(text, "%.*f", digits > exponent ? digits - exponent : 0, number);
}

#undef lua_number2str
#define lua_number2str(text, number) shoal_number_to_text((text), (number))

/* Where requests go: checks base_url and subdomain. Knows no Lua. */
#ifndef KAP_TARGET_H
#define KAP_TARGET_H

#include "base/failure.h"
#include "config/settings.h"

/*
 * The base url of a call, without a trailing slash, to be freed: the nearest
 * of base_url and subdomain, else the environment's. NULL: *why says why.
 */
char *kap_target(const kap_settings *s, kap_failure *why);
bool kap_target_secure(const char *base_url);
/* Whether a proxy setting names this machine itself. */
bool kap_target_loopback_proxy(const char *proxy);

#endif

/*
 * What keeps a token from being seen: memory that had one is overwritten before
 * it is freed, and text that repeats one is redacted before anybody reads it.
 */
#ifndef KAP_SECRET_H
#define KAP_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Overwrites; the compiler does not leave it out. */
void kap_secret_wipe(void *p, size_t len);
/* Overwrites the string and frees it; NULL is fine. */
void kap_secret_free(char *s);

/* Replaces every `secret` in text[0..len) by asterisks, also one with escapes
 * in it as writers of JSON, URLs and HTML like to put them. `cut`: the text went
 * on, so what its end has in common with the secret is taken for it, too.
 * Returns the new length. */
size_t kap_secret_redact(char *text, size_t len, const char *secret, bool cut);

#endif

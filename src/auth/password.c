#include "auth/password.h"

#include <crypt.h>
#include <errno.h>
#include <stdlib.h>

_Static_assert(PASSWORD_MAX < CRYPT_MAX_PASSPHRASE_SIZE, "crypt refuses longer ones");

#define BCRYPT_MAX 72

/* Runs crypt in memory of its own, since its working state tells the password, and wipes that. */
static int run_crypt(const struct password *password, const char *setting, struct buf *out)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    if (!data)
        return -ENOMEM;
    errno = 0;
    const char *hash = crypt_rn(password->text, setting, data, (int)sizeof *data);
    int error = 0;
    if (hash)
        buf_add_text(out, hash);
    else
        error = errno == ENOMEM ? -ENOMEM : -EINVAL;
    explicit_bzero(data, sizeof *data);
    free(data);
    return error ? error : buf_failed(out) ? -ENOMEM : 0;
}

/* A method with its cost and a fresh salt. 0 or -EINVAL. The empty prefix means traditional DES, which cuts at eight
 * bytes. */
static int make_setting(const char *prefix, unsigned cost, char setting[CRYPT_GENSALT_OUTPUT_SIZE])
{
    bool made = *prefix && crypt_gensalt_rn(prefix, cost, NULL, 0, setting, CRYPT_GENSALT_OUTPUT_SIZE);
    return made ? 0 : -EINVAL;
}

int password_hash(const struct password *password, const char *prefix, unsigned cost, struct buf *out)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (strncmp(prefix, "$2", 2) == 0 && password->size > BCRYPT_MAX)
        return -EINVAL;
    if (password->size == 0 || make_setting(prefix, cost, setting))
        return -EINVAL;
    return run_crypt(password, setting, out);
}

int password_nobodys(const char *prefix, unsigned cost, struct buf *out)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (make_setting(prefix, cost, setting))
        return -EINVAL;
    buf_add_text(out, setting);
    return buf_failed(out) ? -ENOMEM : 0;
}

int password_verify(const struct password *password, struct span hash)
{
    char setting[CRYPT_OUTPUT_SIZE];
    if (password->size == 0)
        return -EACCES;
    if (hash.size == 0 || hash.size >= sizeof setting || memchr(hash.data, '\0', hash.size))
        return -EINVAL;
    memcpy(setting, hash.data, hash.size);
    setting[hash.size] = '\0';
    struct buf made;
    buf_init(&made, CRYPT_OUTPUT_SIZE);
    int error = run_crypt(password, setting, &made);
    if (!error && !span_equal_secret(buf_span(&made), hash))
        error = -EACCES;
    if (made.data)
        explicit_bzero(made.data, made.size);
    buf_release(&made);
    return error;
}

#include "fetch/scram_client.h"

#include "format/base64.h"

#define MESSAGE_MAX 2048
#define EXCHANGE_MAX (4 * MESSAGE_MAX)
#define SALT_MAX 256

void scram_client_init(struct scram_client *s)
{
    *s = (struct scram_client){0};
    buf_init(&s->exchange, EXCHANGE_MAX);
}

void scram_client_release(struct scram_client *s)
{
    buf_release(&s->exchange);
    explicit_bzero(s->server_signature, sizeof s->server_signature);
}

/* RFC 5802 section 5.1: "," and "=" of a name. */
static void write_name(struct span name, struct buf *out)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == ',')
            buf_add_text(out, "=2C");
        else if (name.data[i] == '=')
            buf_add_text(out, "=3D");
        else
            buf_add_char(out, name.data[i]);
    }
}

void scram_client_open(struct scram_client *s, struct span login, struct span nonce, struct buf *out)
{
    buf_add_text(&s->exchange, "n=");
    write_name(login, &s->exchange);
    buf_add_text(&s->exchange, ",r=");
    buf_add_span(&s->exchange, nonce);
    buf_add_text(out, "n,,");
    buf_add_span(out, buf_span(&s->exchange));
}

static bool take_attribute(struct span *rest, char name, struct span *value)
{
    struct span field = span_cut(rest, ',');
    if (field.size < 3 || field.data[0] != name || field.data[1] != '=')
        return false;
    *value = span_skip(field, 2);
    return true;
}

static void make_proof(struct scram_client *s, struct span salt, unsigned iterations, struct span password,
                       unsigned char proof[SHA256_SIZE])
{
    unsigned char salted[SHA256_SIZE], client_key[SHA256_SIZE], stored[SHA256_SIZE], signature[SHA256_SIZE],
        server_key[SHA256_SIZE];
    struct span key = span_from(salted, sizeof salted), exchange = buf_span(&s->exchange);
    digest_pbkdf2_sha256(password, salt, iterations, salted);
    digest_hmac_sha256(key, (struct span)SPAN("Client Key"), client_key);
    digest_sha256(span_from(client_key, sizeof client_key), stored);
    digest_hmac_sha256(span_from(stored, sizeof stored), exchange, signature);
    for (size_t i = 0; i < SHA256_SIZE; i++)
        proof[i] = client_key[i] ^ signature[i];
    digest_hmac_sha256(key, (struct span)SPAN("Server Key"), server_key);
    digest_hmac_sha256(span_from(server_key, sizeof server_key), exchange, s->server_signature);
    explicit_bzero(salted, sizeof salted);
    explicit_bzero(client_key, sizeof client_key);
    explicit_bzero(server_key, sizeof server_key);
}

bool scram_client_prove(struct scram_client *s, struct span nonce, struct span password, struct span message,
                        struct buf *out)
{
    struct span rest = message, both, salt_text, count;
    uint64_t iterations = 0;
    struct buf salt;
    unsigned char proof[SHA256_SIZE];
    /* "m=" would be an extension that has to be understood. */
    if (message.size > MESSAGE_MAX || !take_attribute(&rest, 'r', &both) || !take_attribute(&rest, 's', &salt_text) ||
        !take_attribute(&rest, 'i', &count) || !span_parse_u64(count, SCRAM_CLIENT_ITERATIONS_MOST, &iterations))
        return false;
    if (both.size <= nonce.size || !span_equal(span_head(both, nonce.size), nonce) ||
        iterations < SCRAM_CLIENT_ITERATIONS_LEAST)
        return false;
    buf_init(&salt, SALT_MAX);
    bool good = base64_parse(salt_text, &salt) && salt.size > 0;
    buf_add_char(&s->exchange, ',');
    buf_add_span(&s->exchange, message);
    buf_add_text(&s->exchange, ",c=biws,r=");
    buf_add_span(&s->exchange, both);
    good = good && !buf_failed(&s->exchange);
    if (good) {
        make_proof(s, buf_span(&salt), (unsigned)iterations, password, proof);
        buf_add_text(out, "c=biws,r=");
        buf_add_span(out, both);
        buf_add_text(out, ",p=");
        base64_write(span_from(proof, sizeof proof), out);
    }
    buf_release(&salt);
    return good;
}

bool scram_client_verify(const struct scram_client *s, struct span message)
{
    struct span value;
    struct buf signature;
    buf_init(&signature, SHA256_SIZE + 4);
    bool good = take_attribute(&message, 'v', &value) && base64_parse(value, &signature) &&
                span_equal_secret(buf_span(&signature), span_from(s->server_signature, SHA256_SIZE));
    buf_release(&signature);
    return good;
}

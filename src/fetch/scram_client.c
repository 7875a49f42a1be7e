#include "fetch/scram_client.h"

#include "format/base64.h"

#define MESSAGE_MAX 2048
#define EXCHANGE_MAX (4 * MESSAGE_MAX)
#define SALT_MAX 256
#define ITERATIONS_SLICE 1000

void scram_client_init(struct scram_client *s)
{
    *s = (struct scram_client){0};
    buf_init(&s->exchange, EXCHANGE_MAX);
}

void scram_client_release(struct scram_client *s)
{
    buf_release(&s->exchange);
    digest_hi_release(&s->hi);
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

bool scram_client_take(struct scram_client *s, struct span nonce, struct span password, struct span message)
{
    struct span rest = message, both, salt_text, count;
    uint64_t iterations = 0;
    struct buf salt;
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
        s->both = span_skip(buf_span(&s->exchange), s->exchange.size - both.size);
        digest_hi_begin(&s->hi, password, buf_span(&salt), (unsigned)iterations);
    }
    buf_release(&salt);
    return good;
}

bool scram_client_work(struct scram_client *s)
{
    return digest_hi_work(&s->hi, ITERATIONS_SLICE);
}

void scram_client_prove(struct scram_client *s, struct buf *out)
{
    unsigned char client_key[SHA256_SIZE], stored[SHA256_SIZE], signature[SHA256_SIZE], server_key[SHA256_SIZE],
        proof[SHA256_SIZE];
    struct span key = span_from(s->hi.sum, SHA256_SIZE), exchange = buf_span(&s->exchange);
    digest_hmac_sha256(key, (struct span)SPAN("Client Key"), client_key);
    digest_sha256(span_from(client_key, sizeof client_key), stored);
    digest_hmac_sha256(span_from(stored, sizeof stored), exchange, signature);
    for (size_t i = 0; i < SHA256_SIZE; i++)
        proof[i] = client_key[i] ^ signature[i];
    digest_hmac_sha256(key, (struct span)SPAN("Server Key"), server_key);
    digest_hmac_sha256(span_from(server_key, sizeof server_key), exchange, s->server_signature);
    explicit_bzero(client_key, sizeof client_key);
    explicit_bzero(server_key, sizeof server_key);
    buf_add_text(out, "c=biws,r=");
    buf_add_span(out, s->both);
    buf_add_text(out, ",p=");
    base64_write(span_from(proof, sizeof proof), out);
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

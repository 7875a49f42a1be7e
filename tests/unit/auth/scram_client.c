#include "scram_client.h"

#include "auth/digest.h"
#include "format/base64.h"

void scram_client_first_write(const struct scram_client *c, struct buf *out)
{
    buf_add_text(out, c->header);
    buf_add_text(out, c->bare);
}

static bool parse_server_first(struct span message, struct span *nonce, struct buf *salt, uint64_t *iterations)
{
    struct span rest = message;
    *nonce = span_cut(&rest, ',');
    struct span salt_text = span_cut(&rest, ',');
    static const struct span start = SPAN("r=" CLIENT_NONCE);
    if (!span_starts_nocase(*nonce, start) || nonce->size == start.size || salt_text.size < 2 || rest.size < 2)
        return false;
    *nonce = span_skip(*nonce, 2);
    return base64_parse(span_skip(salt_text, 2), salt) && span_parse_u64(span_skip(rest, 2), 1u << 30, iterations);
}

/* ClientProof and ServerSignature of RFC 5802 section 3. */
static void make_proof(struct span password, struct span salt, unsigned iterations, struct span message,
                       unsigned char proof[SHA256_SIZE], unsigned char server_signature[SHA256_SIZE])
{
    unsigned char salted[SHA256_SIZE] = {0}, key[SHA256_SIZE] = {0}, stored[SHA256_SIZE] = {0}, signature[SHA256_SIZE];
    struct span salted_span = span_from(salted, sizeof salted);
    digest_pbkdf2_sha256(password, salt, iterations, salted);
    digest_hmac_sha256(salted_span, span_text("Client Key"), key);
    digest_sha256(span_from(key, sizeof key), stored);
    digest_hmac_sha256(span_from(stored, sizeof stored), message, signature);
    for (size_t i = 0; i < SHA256_SIZE; i++)
        proof[i] = key[i] ^ signature[i];
    digest_hmac_sha256(salted_span, span_text("Server Key"), key);
    digest_hmac_sha256(span_from(key, sizeof key), message, server_signature);
}

bool scram_client_final_write(const struct scram_client *c, struct span server_first, struct buf *out,
                              struct buf *server_final)
{
    struct buf salt, binding, message;
    struct span nonce;
    uint64_t iterations;
    unsigned char proof[SHA256_SIZE], signature[SHA256_SIZE];
    buf_init(&salt, 64);
    buf_init(&binding, 4096);
    buf_init(&message, 8192);
    bool good = parse_server_first(server_first, &nonce, &salt, &iterations);
    if (good) {
        buf_add_text(&binding, c->sent_header ? c->sent_header : c->header);
        buf_add_span(&binding, c->binding);
        size_t start = out->size;
        buf_add_text(out, "c=");
        base64_write(buf_span(&binding), out);
        buf_add_text(out, ",r=");
        buf_add_span(out, c->nonce ? span_text(c->nonce) : nonce);
        buf_add_text(out, c->extension ? c->extension : "");
        buf_add_text(&message, c->bare);
        buf_add_char(&message, ',');
        buf_add_span(&message, server_first);
        buf_add_char(&message, ',');
        buf_add_span(&message, span_skip(buf_span(out), start));
        make_proof(span_text(c->password ? c->password : "pencil"), buf_span(&salt), (unsigned)iterations,
                   buf_span(&message), proof, signature);
        proof[31] ^= c->breaks_proof;
        buf_add_text(out, ",p=");
        base64_write(span_from(proof, sizeof proof), out);
        buf_add_text(server_final, "v=");
        base64_write(span_from(signature, sizeof signature), server_final);
    }
    buf_release(&salt);
    buf_release(&binding);
    buf_release(&message);
    return good;
}

#include "auth/scram.h"

#include "format/base64.h"

#define VERIFIER_START "SCRAM-SHA-256$"
#define NONCE_MAX 256

/* The size written to out, or -1: not base64, or more than `room`. */
static int parse_bytes(struct span text, void *out, size_t room)
{
    struct buf bytes;
    int size = -1;
    buf_init(&bytes, room);
    if (base64_parse(text, &bytes) && bytes.size <= room) {
        size = (int)bytes.size;
        if (size)
            memcpy(out, bytes.data, bytes.size);
    }
    if (bytes.data)
        explicit_bzero(bytes.data, bytes.room);
    buf_release(&bytes);
    return size;
}

void scram_verifier_make(struct span password, struct span salt, unsigned iterations, struct scram_verifier *out)
{
    static const struct span client_label = SPAN("Client Key"), server_label = SPAN("Server Key");
    unsigned char salted[SHA256_SIZE], client_key[SHA256_SIZE];
    *out = (struct scram_verifier){.iterations = iterations, .salt_size = salt.size};
    memcpy(out->salt, salt.data, salt.size);
    digest_pbkdf2_sha256(password, salt, iterations, salted);
    digest_hmac_sha256(span_from(salted, sizeof salted), client_label, client_key);
    digest_sha256(span_from(client_key, sizeof client_key), out->stored_key);
    digest_hmac_sha256(span_from(salted, sizeof salted), server_label, out->server_key);
    explicit_bzero(salted, sizeof salted);
    explicit_bzero(client_key, sizeof client_key);
}

void scram_verifier_write(const struct scram_verifier *verifier, struct buf *out)
{
    buf_add_text(out, VERIFIER_START);
    buf_add_u64(out, verifier->iterations);
    buf_add_char(out, ':');
    base64_write(span_from(verifier->salt, verifier->salt_size), out);
    buf_add_char(out, '$');
    base64_write(span_from(verifier->stored_key, SHA256_SIZE), out);
    buf_add_char(out, ':');
    base64_write(span_from(verifier->server_key, SHA256_SIZE), out);
}

bool scram_verifier_parse(struct span text, struct scram_verifier *out)
{
    struct span keys = text;
    struct span kind = span_cut(&keys, '$');
    struct span salt = span_cut(&keys, '$');
    struct span iterations = span_cut(&salt, ':');
    struct span stored_key = span_cut(&keys, ':');
    uint64_t number = 0;
    *out = (struct scram_verifier){0};
    if (!span_is(kind, "SCRAM-SHA-256") || !span_parse_u64(iterations, SCRAM_ITERATIONS_MAX, &number) || number == 0)
        return false;
    int salt_size = parse_bytes(salt, out->salt, SCRAM_SALT_MAX);
    if (salt_size <= 0 || parse_bytes(stored_key, out->stored_key, SHA256_SIZE) != SHA256_SIZE ||
        parse_bytes(keys, out->server_key, SHA256_SIZE) != SHA256_SIZE)
        return false;
    out->iterations = (unsigned)number;
    out->salt_size = (size_t)salt_size;
    return true;
}

void scram_verifier_fake(struct span key, struct span login, struct scram_verifier *out)
{
    unsigned char mac[SHA256_SIZE];
    digest_hmac_sha256(key, login, mac);
    *out = (struct scram_verifier){.iterations = SCRAM_ITERATIONS, .salt_size = SCRAM_SALT_SIZE};
    memcpy(out->salt, mac, SCRAM_SALT_SIZE);
    digest_random(out->stored_key, SHA256_SIZE);
    digest_random(out->server_key, SHA256_SIZE);
}

void scram_server_init(struct scram_server *s, bool plus)
{
    *s = (struct scram_server){.plus = plus, .problem = ""};
    buf_init(&s->header, SCRAM_MESSAGE_MAX + SCRAM_BINDING_MAX);
    buf_init(&s->exchange, (size_t)4 * SCRAM_MESSAGE_MAX);
    buf_init(&s->nonce, (size_t)2 * NONCE_MAX);
}

void scram_server_release(struct scram_server *s)
{
    buf_release(&s->header);
    buf_release(&s->exchange);
    buf_release(&s->nonce);
    explicit_bzero(&s->verifier, sizeof s->verifier);
}

static enum scram_result refuse(struct scram_server *s, const char *problem)
{
    s->problem = problem;
    return SCRAM_REFUSED;
}

/* Cuts "<name>=<value>" off the front of a comma list. */
static bool take_attribute(struct span *rest, char name, struct span *value)
{
    struct span attribute = span_cut(rest, ',');
    *value = span_skip(attribute, 2);
    return attribute.size >= 2 && attribute.data[0] == name && attribute.data[1] == '=';
}

/* Extensions are passed over, all but the mandatory kind that we would have to know (RFC 5802 section 5.1, "m="). */
static bool has_mandatory_extension(struct span rest)
{
    while (rest.size) {
        struct span attribute = span_cut(&rest, ',');
        if (attribute.size >= 2 && attribute.data[0] == 'm' && attribute.data[1] == '=')
            return true;
    }
    return false;
}

/* saslname: "=2C" is a comma, "=3D" an equals sign, and nothing else begins with "=". */
static bool parse_name(struct span text, struct login *login)
{
    char plain[LOGIN_MAX];
    size_t size = 0;
    while (text.size) {
        char c = text.data[0];
        size_t taken = 1;
        if (c == '=') {
            struct span code = span_head(text, 3);
            taken = 3;
            if (span_is(code, "=2C"))
                c = ',';
            else if (!span_is(code, "=3D"))
                return false;
        }
        if (size == sizeof plain)
            return false;
        plain[size++] = c;
        text = span_skip(text, taken);
    }
    return login_parse(span_from(plain, size), login);
}

static bool is_nonce(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < 0x21 || s.data[i] > 0x7e || s.data[i] == ',')
            return false;
    return s.size > 0 && s.size <= NONCE_MAX;
}

/* gs2-cbind-flag. On SCRAM_GOOD *data is what the client's final message must carry behind the header. */
static enum scram_result check_binding(struct scram_server *s, struct span flag, const struct scram_bindings *bindings,
                                       struct span *data)
{
    bool offered = bindings->exporter.size || bindings->server_end_point.size;
    *data = (struct span){0};
    if (span_is(flag, "n"))
        return s->plus ? refuse(s, "no channel binding") : SCRAM_GOOD;
    if (span_is(flag, "y")) {
        if (s->plus)
            return refuse(s, "no channel binding");
        /* The client could bind and saw no -PLUS on offer, yet we offered it: somebody changed the list on the way (RFC
         * 5802 section 6). */
        return offered ? refuse(s, "downgrade") : SCRAM_GOOD;
    }
    if (span_is(flag, "p=tls-exporter"))
        *data = bindings->exporter;
    else if (span_is(flag, "p=tls-server-end-point"))
        *data = bindings->server_end_point;
    else if (flag.size < 3 || flag.data[0] != 'p' || flag.data[1] != '=')
        return SCRAM_MALFORMED;
    return s->plus && data->size && data->size <= SCRAM_BINDING_MAX ? SCRAM_GOOD
                                                                    : refuse(s, "unsupported channel binding");
}

enum scram_result scram_client_first(struct scram_server *s, struct span message, const struct scram_bindings *bindings,
                                     struct login *login)
{
    struct span rest = message, name, nonce, binding;
    struct login authzid = {0};
    if (message.size > SCRAM_MESSAGE_MAX)
        return SCRAM_MALFORMED;
    struct span flag = span_cut(&rest, ',');
    struct span identity = span_cut(&rest, ',');
    struct span bare = rest;
    if (identity.size && (!take_attribute(&identity, 'a', &name) || !parse_name(name, &authzid)))
        return SCRAM_MALFORMED;
    if (has_mandatory_extension(bare))
        return refuse(s, "mandatory extension");
    if (!take_attribute(&rest, 'n', &name) || !parse_name(name, login) || !take_attribute(&rest, 'r', &nonce) ||
        !is_nonce(nonce))
        return SCRAM_MALFORMED;
    enum scram_result result = check_binding(s, flag, bindings, &binding);
    if (result != SCRAM_GOOD)
        return result;
    if (authzid.size && !span_equal(login_span(&authzid), login_span(login)))
        return refuse(s, "authorisation identity");
    buf_add(&s->header, message.data, (size_t)(bare.data - message.data));
    buf_add_span(&s->header, binding);
    buf_add_span(&s->exchange, bare);
    buf_add_span(&s->nonce, nonce);
    return SCRAM_GOOD;
}

void scram_server_first(struct scram_server *s, const struct scram_verifier *verifier, bool is_fake, struct span nonce,
                        struct buf *out)
{
    s->verifier = *verifier;
    s->is_fake = is_fake;
    buf_add_span(&s->nonce, nonce);
    size_t start = out->size;
    buf_add_text(out, "r=");
    buf_add_span(out, buf_span(&s->nonce));
    buf_add_text(out, ",s=");
    base64_write(span_from(verifier->salt, verifier->salt_size), out);
    buf_printf(out, ",i=%u", verifier->iterations);
    buf_add_char(&s->exchange, ',');
    buf_add_span(&s->exchange, span_skip(buf_span(out), start));
    buf_add_char(&s->exchange, ',');
}

/* ClientKey = ClientProof XOR HMAC(StoredKey, AuthMessage), and its digest must be StoredKey (RFC 5802 section 3). */
static bool is_proof(const struct scram_server *s, const unsigned char proof[SHA256_SIZE])
{
    unsigned char key[SHA256_SIZE], digest[SHA256_SIZE];
    digest_hmac_sha256(span_from(s->verifier.stored_key, SHA256_SIZE), buf_span(&s->exchange), key);
    for (size_t i = 0; i < SHA256_SIZE; i++)
        key[i] ^= proof[i];
    digest_sha256(span_from(key, sizeof key), digest);
    bool right = span_equal_secret(span_from(digest, SHA256_SIZE), span_from(s->verifier.stored_key, SHA256_SIZE));
    explicit_bzero(key, sizeof key);
    return right && !s->is_fake;
}

static bool is_expected_binding(const struct scram_server *s, struct span given)
{
    struct buf expected;
    buf_init(&expected, s->header.limit * 2);
    base64_write(buf_span(&s->header), &expected);
    bool equal = !buf_failed(&expected) && span_equal_secret(buf_span(&expected), given);
    buf_release(&expected);
    return equal;
}

enum scram_result scram_client_final(struct scram_server *s, struct span message, struct buf *out)
{
    unsigned char proof[SHA256_SIZE], signature[SHA256_SIZE];
    struct span rest = message, binding, nonce;
    size_t last = span_find_last(message, ',');
    struct span proof_text = span_skip(message, last + 1);
    if (message.size > SCRAM_MESSAGE_MAX || last == message.size || !proof_text.data || proof_text.size < 2 ||
        memcmp(proof_text.data, "p=", 2) != 0 ||
        parse_bytes(span_skip(proof_text, 2), proof, sizeof proof) != SHA256_SIZE)
        return SCRAM_MALFORMED;
    struct span without_proof = span_head(message, last);
    rest = without_proof;
    if (!take_attribute(&rest, 'c', &binding) || !take_attribute(&rest, 'r', &nonce))
        return SCRAM_MALFORMED;
    if (has_mandatory_extension(rest))
        return refuse(s, "mandatory extension");
    if (!is_expected_binding(s, binding))
        return refuse(s, "channel binding");
    if (!span_equal_secret(nonce, buf_span(&s->nonce)))
        return refuse(s, "nonce");
    buf_add_span(&s->exchange, without_proof);
    if (buf_failed(&s->exchange) || buf_failed(&s->header) || buf_failed(&s->nonce))
        return refuse(s, "no memory");
    if (!is_proof(s, proof))
        return refuse(s, "wrong password");
    digest_hmac_sha256(span_from(s->verifier.server_key, SHA256_SIZE), buf_span(&s->exchange), signature);
    buf_add_text(out, "v=");
    base64_write(span_from(signature, sizeof signature), out);
    return SCRAM_GOOD;
}

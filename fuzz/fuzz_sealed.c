/* Sealed secrets: what was sealed opens as it was, and nothing else does. The first byte chooses: a foreign text as it
 * is, or one of ours of which the next two bytes change a place; keys as files hold them. */
#include "format/sealed.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const unsigned char private_key[SEALED_KEY_SIZE] = {9};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void try_foreign(struct span text)
{
    struct buf secret;
    unsigned char key[SEALED_KEY_SIZE];
    buf_init(&secret, SEALED_SECRET_MAX);
    require(!sealed_open(private_key, (struct span)SPAN("context"), text, &secret));
    if (sealed_key_parse(text, key)) {
        struct buf again;
        unsigned char same[SEALED_KEY_SIZE];
        buf_init(&again, 100);
        sealed_key_write(key, &again);
        require(sealed_key_parse(buf_span(&again), same) && !memcmp(key, same, sizeof key));
        buf_release(&again);
    }
    buf_release(&secret);
}

static void try_changed(struct span input)
{
    unsigned char public_key[SEALED_KEY_SIZE];
    struct buf text, secret;
    struct span in = input.size < 2 ? input : span_skip(input, 2);
    buf_init(&text, SEALED_TEXT_MAX);
    buf_init(&secret, SEALED_SECRET_MAX);
    require(!sealed_key_public(private_key, public_key));
    if (sealed_write(public_key, (struct span)SPAN("context"), in, &text)) {
        require(in.size > SEALED_SECRET_MAX);
    } else {
        require(sealed_open(private_key, (struct span)SPAN("context"), buf_span(&text), &secret) &&
                span_equal(buf_span(&secret), in));
        require(!sealed_open(private_key, (struct span)SPAN("another"), buf_span(&text), &secret));
        if (input.size >= 2) {
            char *place = &text.data[(unsigned char)input.data[0] * text.size / 256], before = *place;
            *place = input.data[1];
            buf_reset(&secret);
            /* base64's last characters may hold bits that say nothing */
            require(!sealed_open(private_key, (struct span)SPAN("context"), buf_span(&text), &secret) ||
                    before == *place || span_equal(buf_span(&secret), in));
        }
    }
    buf_release(&text);
    buf_release(&secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        try_changed(span_from(data + 1, size - 1));
    else
        try_foreign(span_from(data + 1, size - 1));
    return 0;
}

/* What a process that was taken over may send to another: frames, and in them messages of every service. */
#include "ipc/channel_internal.h"
#include "ipc/services.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct service *const services[] = {&store_read_service, &store_write_service, &auth_service,
                                                 &resolver_service,   &courier_service,     &script_service,
                                                 &my_service};

static void unpack(const struct frame *frame)
{
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        if (frame->method >= services[i]->count)
            continue;
        const struct method *method = &services[i]->methods[frame->method];
        const ProtobufCMessageDescriptor *types[] = {method->request, method->reply};
        for (size_t k = 0; k < 2; k++) {
            struct unpacked unpacked = {0};
            if (channel_unpack(types[k], frame, channel_unpacked_new(), &unpacked))
                continue;
            if (unpacked.attachment.size != frame->attachment.size)
                abort();
            channel_unpacked_free(unpacked.memory);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_from(data, size);
    for (;;) {
        struct frame frame;
        size_t wanted;
        enum frame_status status = frame_parse(input, &frame, &wanted);
        if (status == FRAME_BAD)
            return 0;
        if (status == FRAME_PARTIAL) {
            if (wanted <= input.size)
                abort();
            return 0;
        }
        if (wanted > input.size || frame.message.size + frame.attachment.size + FRAME_HEADER_SIZE != wanted)
            abort();
        unpack(&frame);
        input = span_skip(input, wanted);
    }
}

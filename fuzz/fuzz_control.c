/* What a child that was taken over may send to the supervisor: a control frame. What parses is written again as it was
 * meant. */
#include "ipc/control.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct control_frame *a, const struct control_frame *b)
{
    bool is_same = a->kind == b->kind && a->role == b->role && a->instance == b->instance && a->number == b->number &&
                   a->uid == b->uid && a->gid == b->gid && a->at_start == b->at_start &&
                   a->replaces_listeners == b->replaces_listeners && a->descriptor_count == b->descriptor_count &&
                   span_equal(a->settings, b->settings) && span_equal(a->certificate, b->certificate) &&
                   span_equal(a->trust_anchors, b->trust_anchors) && span_equal(a->key, b->key) &&
                   span_equal(a->grant_key, b->grant_key) && span_equal(a->password, b->password);
    if (!is_same)
        abort();
    for (size_t i = 0; i < a->descriptor_count; i++)
        if (a->descriptors[i].use != b->descriptors[i].use || a->descriptors[i].what != b->descriptors[i].what ||
            a->descriptors[i].instance != b->descriptors[i].instance)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_frame frame, again;
    if (size > CONTROL_FRAME_MAX || !control_parse(span_from(data, size), &frame))
        return 0;
    if (frame.kind < CONTROL_BOOT || frame.kind >= CONTROL_KIND_END || frame.role >= ROLE_COUNT)
        abort();
    for (size_t i = 0; i < frame.descriptor_count; i++)
        if (frame.descriptors[i].fd != -1 || !frame.descriptors[i].use || frame.descriptors[i].use >= CONTROL_USE_END)
            abort();
    struct buf packet;
    buf_init(&packet, CONTROL_FRAME_MAX + 64); /* fields that were given as zero are left out, so never more */
    control_write(&frame, &packet);
    if (buf_failed(&packet) || packet.size > size || !control_parse(buf_span(&packet), &again))
        abort();
    check_same(&frame, &again);
    buf_release(&packet);
    return 0;
}

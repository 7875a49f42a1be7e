#include "deliver/whois.h"

#include "base/clock.h"
#include "courier.pb-c.h"
#include "deliver/answers.h"
#include "deliver/rates.h"
#include "ipc/binary.h"

#include <errno.h>
#include <stdlib.h>

#define REMEMBERED_MAX 5000
#define REMEMBERED_BYTES (16u << 20)
#define QUESTIONS_MAX 100
#define TROUBLE_SECONDS 60
#define KEY_SIZE 17
#define REPLY_MAX (WHOIS_TEXT_MAX + 8192)

struct whois {
    struct answers answers; /* by network: its bits, its address. Packed replies */
    struct rates rates;
};

struct task {
    struct courier *courier;
    struct question *question;
    struct settings *settings;
    struct whois_walk walk;
};

struct whois *whois_new(void)
{
    struct whois *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    answers_init(&w->answers, REMEMBERED_MAX, REMEMBERED_BYTES, QUESTIONS_MAX);
    rates_init(&w->rates);
    return w;
}

/* ---- What is remembered ---- */

static struct span write_key(const struct whois_network *network, char key[KEY_SIZE])
{
    key[0] = (char)network->bits;
    memcpy(key + 1, network->address.bytes, KEY_SIZE - 1);
    return span_from(key, KEY_SIZE);
}

static void remember(struct whois *w, const struct task *task, const Courier__WhoisReply *reply, unsigned seconds)
{
    char key[KEY_SIZE];
    struct whois_network network = whois_network_to_remember(&task->walk.answer.block, &task->walk.address);
    if (reply->status == COURIER__WHOIS_STATUS__WHOIS_TROUBLE) /* says nothing about the network */
        network = whois_network_of(&task->walk.address, 128);
    size_t size = courier__whois_reply__get_packed_size(reply);
    struct buf packed;
    buf_init(&packed, REPLY_MAX);
    char *place = buf_reserve(&packed, size);
    if (place) {
        packed.size += courier__whois_reply__pack(reply, (uint8_t *)place);
        answers_put(&w->answers, write_key(&network, key), buf_span(&packed), seconds);
    }
    buf_release(&packed);
}

/* Of the narrowest network that is remembered. */
static struct span recall(struct whois *w, const struct ip_address *address)
{
    unsigned widest = ip_address_is_ipv4(address) ? WHOIS_WIDEST_IPV4 : WHOIS_WIDEST_IPV6;
    for (unsigned bits = 128; bits >= widest; bits--) {
        char key[KEY_SIZE];
        struct whois_network network = whois_network_of(address, bits);
        struct span known = answers_get(&w->answers, write_key(&network, key));
        if (known.size)
            return known;
    }
    return (struct span){0};
}

static bool answer_from_memory(struct whois *w, const struct ip_address *address, struct call *call)
{
    struct span known = recall(w, address);
    Courier__WhoisReply *reply =
        known.size ? courier__whois_reply__unpack(NULL, known.size, (const uint8_t *)known.data) : NULL;
    if (!reply)
        return false;
    call_reply(call, &reply->base, (struct span){0}, -1);
    courier__whois_reply__free_unpacked(reply, NULL);
    return true;
}

/* ---- Asking ---- */

static Courier__WhoisStatus status_of(const struct whois_walk *walk)
{
    const struct whois_answer *answer = &walk->answer;
    /* A way that breaks off before anybody said whose the network is leaves that open. */
    if (!walk->answered || (walk->is_broken_off && !answer->country[0]))
        return COURIER__WHOIS_STATUS__WHOIS_TROUBLE;
    bool has_anything = answer->block.bits || answer->country[0] || answer->network[0];
    return has_anything ? COURIER__WHOIS_STATUS__WHOIS_FOUND : COURIER__WHOIS_STATUS__WHOIS_NOTHING;
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return binary_from_span(span_text(text));
}

static void discard(struct task *task)
{
    buf_release(&task->walk.text);
    buf_release(&task->walk.servers);
    settings_unref(task->settings);
    free(task);
}

static void whois_main(struct fiber *self, void *argument)
{
    struct task *task = argument;
    struct whois_walk *walk = &task->walk;
    Courier__WhoisReply reply = COURIER__WHOIS_REPLY__INIT;
    whois_walk(self, walk);
    reply.status = status_of(walk);
    reply.text = binary_from_span(buf_span(&walk->text));
    reply.country = bytes_of(walk->answer.country);
    reply.registry = bytes_of(walk->answer.registry);
    reply.network = bytes_of(walk->answer.network);
    reply.as_number = bytes_of(walk->answer.as_number);
    reply.servers = binary_from_span(buf_span(&walk->servers));
    bool is_trouble = reply.status == COURIER__WHOIS_STATUS__WHOIS_TROUBLE;
    if (!fiber_is_canceled(self))
        remember(walk->courier->whois, task, &reply, is_trouble ? TROUBLE_SECONDS : task->settings->whois.cache);
    log_write(LOG_LOW, "courier", NULL, "WHOIS ip=%s result=%s country=%s network=%s as=%s servers=%s",
              log_quote(question_key(task->question)),
              is_trouble                ? "trouble"
              : walk->answer.block.bits ? "found"
                                        : "nothing",
              walk->answer.country, log_quote(span_text(walk->answer.network)), walk->answer.as_number,
              log_quote(buf_span(&walk->servers)));
    question_end(task->question, &reply.base, 0);
    discard(task);
}

static void answer_at_once(struct call *call, Courier__WhoisStatus status)
{
    Courier__WhoisReply reply = COURIER__WHOIS_REPLY__INIT;
    reply.status = status;
    call_reply(call, &reply.base, (struct span){0}, -1);
}

static void begin(struct courier *c, const struct ip_address *address, struct span key, struct call *call)
{
    struct task *task = c->is_stopping ? NULL : calloc(1, sizeof *task);
    struct question *question = task ? question_begin(&c->whois->answers, key, call) : NULL;
    if (!question) {
        answer_at_once(call, COURIER__WHOIS_STATUS__WHOIS_TROUBLE);
        free(task);
        return;
    }
    *task = (struct task){.courier = c, .question = question, .settings = settings_ref(c->settings)};
    task->walk = (struct whois_walk){.courier = c,
                                     .settings = task->settings,
                                     .address = *address,
                                     .deadline = clock_in_seconds(c->settings->whois.timeout),
                                     .rates = &c->whois->rates};
    buf_init(&task->walk.text, WHOIS_TEXT_MAX);
    buf_init(&task->walk.servers, (WHOIS_REFERRALS_MAX + 1) * (WHOIS_HOST_MAX + 8));
    if (fiber_start(c->loop, "whois", whois_main, task))
        return;
    question_end(question, NULL, -ENOMEM);
    discard(task);
}

void whois_start(struct courier *c, struct call *call)
{
    const Courier__WhoisRequest *request = (const Courier__WhoisRequest *)call->request;
    struct ip_address address;
    struct buf text;
    if (request->ip.len != sizeof address.bytes) {
        call_fail(call, -EINVAL);
        return;
    }
    memcpy(address.bytes, request->ip.data, sizeof address.bytes);
    if (!ip_address_is_public(&address) && !network_list_has(&c->settings->courier.private_networks, address.bytes)) {
        answer_at_once(call, COURIER__WHOIS_STATUS__WHOIS_NOTHING);
        return;
    }
    buf_init(&text, IP_ADDRESS_TEXT_MAX + 1);
    ip_address_write(&address, &text);
    if (buf_failed(&text))
        call_fail(call, -ENOMEM);
    else if (!answer_from_memory(c->whois, &address, call) && !question_join(&c->whois->answers, buf_span(&text), call))
        begin(c, &address, buf_span(&text), call);
    buf_release(&text);
}

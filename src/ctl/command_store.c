/* store status, store compact */
#include "base/list.h"
#include "ctl/commands.h"
#include "ctl/json.h"
#include "ctl/store_client.h"
#include "store_write.pb-c.h"

#include <sysexits.h>

static int run_and_close(struct store_work *work)
{
    work->settings = ctl_read_settings(work->ctl);
    if (!work->settings)
        return EX_CONFIG;
    int status = store_client_run(work);
    settings_unref(work->settings);
    return status;
}

struct fact {
    const char *key, *text;
    uint64_t value;
    bool is_question; /* the value is 1 for yes */
};

static void write_facts(struct ctl *ctl, const struct fact *facts, size_t count)
{
    struct json json;
    json_init(&json, &ctl->out);
    if (ctl->json)
        json_object(&json, NULL);
    for (size_t i = 0; i < count; i++) {
        if (ctl->json && facts[i].is_question)
            json_bool(&json, facts[i].key, facts[i].value);
        else if (ctl->json)
            json_number(&json, facts[i].key, facts[i].value);
        else if (facts[i].is_question)
            buf_printf(&ctl->out, "%-42s %s\n", facts[i].text, facts[i].value ? "yes" : "no");
        else
            buf_printf(&ctl->out, "%-42s %llu\n", facts[i].text, (unsigned long long)facts[i].value);
    }
    if (ctl->json)
        json_end_object(&json);
}

static int run_status(struct fiber *self, struct store_client *client, struct store_work *work)
{
    StoreWrite__StatusRequest request = STORE_WRITE__STATUS_REQUEST__INIT;
    struct answer answer;
    int status = store_client_call(self, client, STORE_WRITE_STATUS, &request.base, &answer);
    if (status)
        return status;
    const StoreWrite__StatusReply *r = (const StoreWrite__StatusReply *)answer.message;
    const struct fact facts[] = {
        {"messages", "messages", r->messages},
        {"accounts", "accounts", r->accounts},
        {"queued", "entries in the queue", r->queued},
        {"held", "of them held", r->held},
        {"paused_in", "intake is paused", r->paused_in, true},
        {"paused_out", "sending is paused", r->paused_out, true},
        {"volumes", "volumes", r->volumes},
        {"volume_bytes", "bytes in volumes", r->volume_bytes},
        {"dead_bytes", "bytes of deleted mail among them", r->dead_bytes},
        {"schema_version", "version of the database's schema", r->schema_version},
        {"delivered", "messages delivered since the start", r->delivered},
        {"batches", "batches since the start", r->batches},
        {"syncs", "syncs since the start", r->syncs},
    };
    write_facts(work->ctl, facts, sizeof facts / sizeof *facts);
    answer_release(&answer);
    return EX_OK;
}

int ctl_store_status(struct ctl *ctl)
{
    struct store_work work = {.run = run_status, .ctl = ctl};
    return run_and_close(&work);
}

struct compact_work {
    struct store_work work;
    unsigned dead_percent; /* 0: the setting's */
};

static int run_compact(struct fiber *self, struct store_client *client, struct store_work *work)
{
    const struct compact_work *compact = container_of(work, struct compact_work, work);
    StoreWrite__CompactRequest request = STORE_WRITE__COMPACT_REQUEST__INIT;
    struct answer answer;
    request.min_dead_percent =
        compact->dead_percent ? compact->dead_percent : work->settings->store.compact_dead_percent;
    int status = store_client_call(self, client, STORE_WRITE_COMPACT, &request.base, &answer);
    if (status)
        return status;
    const StoreWrite__CompactReply *r = (const StoreWrite__CompactReply *)answer.message;
    const struct fact facts[] = {
        {"volumes_removed", "volumes removed", r->volumes_removed},
        {"bytes_freed", "bytes freed", r->bytes_freed},
    };
    write_facts(work->ctl, facts, sizeof facts / sizeof *facts);
    answer_release(&answer);
    return EX_OK;
}

int ctl_store_compact(struct ctl *ctl)
{
    struct compact_work compact = {.work = {.run = run_compact, .ctl = ctl}};
    const char *dead = ctl_option(ctl, "dead");
    uint64_t percent = 0;
    if (dead && (!span_parse_u64(span_text(dead), 99, &percent) || percent == 0))
        return ctl_fail(ctl, EX_USAGE, "--dead takes a whole number from 1 to 99, not '%.20s'", dead);
    compact.dead_percent = (unsigned)percent;
    return run_and_close(&compact.work);
}

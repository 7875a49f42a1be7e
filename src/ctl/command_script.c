/* script test */
#include "base/clock.h"
#include "ctl/commands.h"
#include "ctl/input_file.h"
#include "ctl/json.h"
#include "ctl/script_trial.h"
#include "facts/content.h"
#include "format/automatic.h"
#include "format/summary.h"
#include "format/whois.h"
#include "script/source.h"

#include <errno.h>
#include <sysexits.h>
#include <unistd.h>

#define MESSAGE_MAX (256u << 20)
#define FACTS_ARENA_MAX (1u << 20)

struct test {
    struct ctl *ctl;
    struct settings *settings;
    struct arena arena;
    struct buf source, message, summary, whois, whois_raw;
    struct whois_answer whois_answer;
    struct facts rcpt, content;
    struct recipient_facts r;
    struct script_trial_call calls[SCRIPT_TRIAL_STAGES];
    size_t count;
};

/* ---- The mail ---- */

static struct span option(const struct test *t, const char *name, const char *fallback)
{
    const char *value = ctl_option(t->ctl, name);
    return span_text(value ? value : fallback);
}

static int read_whois(struct test *t)
{
    const char *path = ctl_option(t->ctl, "whois-file");
    if (!path)
        return EX_OK;
    int status = input_file_read(t->ctl, path, &t->whois_raw);
    if (status)
        return status;
    whois_clean(buf_span(&t->whois_raw), t->whois.limit, &t->whois);
    whois_read(buf_span(&t->whois), &t->rcpt.ip, &t->whois_answer);
    t->rcpt.whois = (struct whois_fact){buf_span(&t->whois), span_text(t->whois_answer.country),
                                        span_text(t->whois_answer.registry), span_text(t->whois_answer.network),
                                        span_text(t->whois_answer.as_number)};
    t->rcpt.state[FACT_WHOIS] = FACT_KNOWN;
    return EX_OK;
}

static int fill_connection(struct test *t)
{
    struct span ip = option(t, "ip", "192.0.2.1");
    if (!ip_address_parse(ip, &t->rcpt.ip))
        return ctl_fail(t->ctl, EX_USAGE, "--ip takes an address like 192.0.2.7 or 2001:db8::7, not '%.*s'",
                        SPAN_ARG(span_head(ip, 60)));
    t->rcpt.helo = option(t, "helo", "client.example");
    t->rcpt.reverse_path = option(t, "sender", "sender@example.net");
    t->rcpt.is_tls = ctl_option(t->ctl, "tls");
    t->rcpt.ptr.name = option(t, "ptr", "");
    t->rcpt.state[FACT_PTR] = t->rcpt.ptr.name.size ? FACT_KNOWN : FACT_ABSENT;
    t->r.recipient = t->r.account = option(t, "recipient", "recipient@example.org");
    return read_whois(t);
}

static int fill_content(struct test *t)
{
    const char *path = ctl_option(t->ctl, "mail");
    struct arena scratch;
    if (!path)
        return EX_OK;
    int status = input_file_read(t->ctl, path, &t->message);
    if (status)
        return status;
    arena_init(&scratch, SUMMARY_ARENA_MAX);
    int error = summary_make(buf_span(&t->message), &scratch, &t->summary);
    arena_release(&scratch);
    t->content = t->rcpt;
    if (!error)
        error = facts_fill_content(&t->content.content, buf_span(&t->message), 0, buf_span(&t->summary),
                                   header_is_automatic(buf_span(&t->message)), true, &t->arena);
    if (error)
        return ctl_fail(t->ctl, EX_OSERR, "%s can't be read as a message: %s", path, strerror(-error));
    t->content.state[FACT_CONTENT] = FACT_KNOWN;
    t->calls[t->count++] = (struct script_trial_call){&t->content, &t->r};
    return EX_OK;
}

/* ---- What it said ---- */

static const char *result_name(enum script_result result)
{
    static const char *const names[] = {[SCRIPT_NOTHING] = "nothing",
                                        [SCRIPT_ACCEPT] = "accept",
                                        [SCRIPT_REFUSE] = "reject",
                                        [SCRIPT_DEFER] = "defer",
                                        [SCRIPT_FILE] = "file"};
    return names[result];
}

static const char *const stages[SCRIPT_TRIAL_STAGES] = {"rcpt", "content"};

static void write_json(struct test *t, const struct script_trial *trial)
{
    struct json json;
    json_init(&json, &t->ctl->out);
    json_object(&json, NULL);
    json_text(&json, "file", span_text(t->ctl->arguments[0]));
    json_bool(&json, "good", t->ctl->problem.size == 0);
    if (t->ctl->problem.size)
        json_text(&json, "problem", buf_span(&t->ctl->problem));
    json_list(&json, "stages");
    for (size_t i = 0; i < trial->count && i < SCRIPT_TRIAL_STAGES; i++) {
        const struct script_outcome *outcome = &trial->outcomes[i];
        json_object(&json, NULL);
        json_text(&json, "stage", span_text(stages[i]));
        json_text(&json, "result", span_text(result_name(outcome->answer.result)));
        json_text(&json, "text", span_from(outcome->answer.text, outcome->answer.text_size));
        json_number(&json, "steps", outcome->steps);
        json_number(&json, "memory", outcome->memory);
        json_end_object(&json);
    }
    json_end_list(&json);
    json_list(&json, "printed");
    for (size_t i = 0; i < trial->line_count; i++)
        json_text(&json, NULL, span_from(trial->lines[i].text, trial->lines[i].size));
    json_end_list(&json);
    json_end_object(&json);
    buf_reset(&t->ctl->problem);
}

static void write_outcome(struct test *t, const char *stage, const struct script_outcome *outcome)
{
    struct buf *out = &t->ctl->out;
    if (outcome->problem[0])
        return;
    buf_printf(out, "%s: %s", stage,
               outcome->answer.result == SCRIPT_NOTHING ? "no opinion" : result_name(outcome->answer.result));
    if (outcome->answer.text_size)
        buf_printf(out, " \"%s\"", outcome->answer.text);
    buf_printf(out, " (fewer than %llu steps, %zu KiB)\n", (unsigned long long)outcome->steps, outcome->memory >> 10);
}

static void write_text(struct test *t, const struct script_trial *trial)
{
    for (size_t i = 0; i < trial->line_count; i++)
        buf_printf(&t->ctl->out, "printed: %s\n", log_quote(span_from(trial->lines[i].text, trial->lines[i].size)));
    for (size_t i = 0; i < trial->count && i < SCRIPT_TRIAL_STAGES; i++)
        write_outcome(t, stages[i], &trial->outcomes[i]);
}

static int tell(struct test *t, const struct script_trial *trial)
{
    const char *problem = trial->problem;
    for (size_t i = 0; i < trial->count && !problem[0]; i++)
        problem = trial->outcomes[i].problem;
    if (problem[0])
        buf_add_text(&t->ctl->problem, problem);
    if (t->ctl->json)
        write_json(t, trial);
    else
        write_text(t, trial);
    return problem[0] ? EX_DATAERR : EX_OK;
}

/* ---- The command ---- */

/* Where there is no configuration yet, its defaults. */
static struct settings *read_settings(struct ctl *ctl)
{
    if (access(ctl->config_path, F_OK) < 0 && errno == ENOENT)
        return settings_read_text("defaults", (struct span)SPAN("hostname = \"localhost.localdomain\""), &ctl->problem);
    return ctl_read_settings(ctl);
}

static int run(struct test *t)
{
    const char *path = t->ctl->arguments[0];
    t->settings = read_settings(t->ctl);
    if (!t->settings)
        return EX_CONFIG;
    if (script_source_read(path, &t->source, &t->ctl->problem))
        return EX_NOINPUT;
    t->calls[t->count++] = (struct script_trial_call){&t->rcpt, &t->r};
    int status = fill_connection(t);
    if (status == EX_OK)
        status = fill_content(t);
    if (status)
        return status;
    struct script_trial *trial = script_trial_run(t->settings, path, buf_span(&t->source), t->calls, t->count,
                                                  (int64_t)(clock_wall() / NANOSECONDS));
    if (!trial)
        return ctl_fail(t->ctl, EX_OSERR, "no process can be made to try the script in");
    status = tell(t, trial);
    script_trial_free(trial);
    return status;
}

int ctl_script_test(struct ctl *ctl)
{
    struct test t = {.ctl = ctl};
    arena_init(&t.arena, FACTS_ARENA_MAX);
    buf_init(&t.source, SCRIPT_SOURCE_ROOM);
    buf_init(&t.message, MESSAGE_MAX);
    buf_init(&t.summary, SUMMARY_SIZE_MAX);
    buf_init(&t.whois, 64u << 10);
    buf_init(&t.whois_raw, 1u << 20);
    int status = run(&t);
    settings_unref(t.settings);
    arena_release(&t.arena);
    buf_release(&t.source);
    buf_release(&t.message);
    buf_release(&t.summary);
    buf_release(&t.whois);
    buf_release(&t.whois_raw);
    return status;
}

/* doctor: looks at everything that keeps mail from coming in or going out, in one go */
#include "ctl/commands.h"
#include "ctl/config_look.h"
#include "ctl/doctor.h"
#include "ctl/listing.h"
#include "ctl/privileges.h"
#include "ctl/resolver_client.h"

#include <sysexits.h>
#include <unistd.h>

#define SENTENCE_MAX 2000
#define NOTES_MAX 8192
#define DOMAINS_MAX (256u << 10)

static const char *const verdicts[] = {"good", "note", "warning", "fault"};

void doctor_tell(struct doctor *d, enum doctor_verdict verdict, const char *about, const char *advice,
                 const char *format, ...)
{
    struct buf sentence;
    va_list arguments;
    buf_init(&sentence, SENTENCE_MAX);
    va_start(arguments, format);
    buf_vprintf(&sentence, format, arguments);
    va_end(arguments);
    d->worst = verdict > d->worst ? verdict : d->worst;
    d->counts[verdict]++;
    if (d->ctl->json) {
        json_object(&d->json, NULL);
        json_text(&d->json, "about", span_text(about));
        json_text(&d->json, "verdict", span_text(verdicts[verdict]));
        json_text(&d->json, "finding", buf_span(&sentence));
        json_text(&d->json, "advice", span_text(advice));
        json_end_object(&d->json);
    } else {
        buf_printf(&d->ctl->out, "%-8s %.*s\n", verdicts[verdict], SPAN_ARG(buf_span(&sentence)));
        if (*advice)
            buf_printf(&d->ctl->out, "         -> %s\n", advice);
    }
    buf_release(&sentence);
}

static void look_at_config(struct doctor *d)
{
    struct buf notes;
    buf_init(&notes, NOTES_MAX);
    if (config_look(d->ctl, d->settings, &notes))
        doctor_tell(d, DOCTOR_FAULT, "config", "the server would not start with this; put it right first", "%.*s",
                    SPAN_ARG(buf_span(&d->ctl->problem)));
    else
        doctor_tell(d, DOCTOR_GOOD, "config", "", "%s is good", d->ctl->config_path);
    if (config_look_at_script(d->ctl, d->settings))
        doctor_tell(d, DOCTOR_WARNING, "script", "put it right, then 'ostiary reload'", "%.*s",
                    SPAN_ARG(buf_span(&d->ctl->problem)));
    buf_reset(&d->ctl->problem);
    for (struct span rest = buf_span(&notes); rest.size;) {
        struct span note = span_cut(&rest, '\n');
        doctor_tell(d, DOCTOR_WARNING, "config", "", "%.*s", SPAN_ARG(note));
    }
    if (!d->settings->tls.certificate[0])
        doctor_tell(d, DOCTOR_WARNING, "certificate", "set tls.certificate and tls.key",
                    "there is no certificate, so all mail comes in unencrypted");
    buf_release(&notes);
}

/* ---- Our domains, from the store ---- */

struct domains_work {
    struct store_work work;
    struct listing listing;
    struct doctor *doctor;
};

static void note_domains(struct listing *listing, const StoreWrite__ListReply *reply)
{
    struct domains_work *w = (struct domains_work *)((char *)listing - offsetof(struct domains_work, listing));
    for (size_t i = 0; i < reply->n_domains; i++) {
        if (reply->domains[i]->kind == STORE_WRITE__DOMAIN_KIND__DOMAIN_BACKUP)
            continue;
        buf_add_span(&w->doctor->domains, binary_span(reply->domains[i]->name));
        buf_add_char(&w->doctor->domains, '\n');
    }
}

static int list_domains(struct fiber *self, struct store_client *client, struct store_work *work)
{
    struct domains_work *w = (struct domains_work *)work;
    return listing_run(self, client, &w->listing);
}

static void find_domains(struct doctor *d)
{
    struct domains_work w = {
        .work = {.run = list_domains, .ctl = d->ctl, .settings = d->settings},
        .listing = {.kind = STORE_WRITE__LIST_KIND__LIST_DOMAINS, .page = note_domains},
        .doctor = d,
    };
    /* Without a server a writer would make a store where there is none, just to look. */
    if (!store_client_has_server(d->settings))
        return;
    if (store_client_run(&w.work))
        doctor_tell(d, DOCTOR_WARNING, "domain", "try it as root or as the server's user",
                    "the domains can't be asked for: %.*s", SPAN_ARG(buf_span(&d->ctl->problem)));
    else if (!w.listing.count)
        doctor_tell(d, DOCTOR_WARNING, "domain", "add one with 'ostiary domain add'", "the server has no domain yet");
    buf_reset(&d->ctl->problem);
}

/* ---- All of it ---- */

struct dns_work {
    struct resolver_work work;
    struct doctor *doctor;
};

static void look_outside(struct fiber *self, struct peers *peers, struct resolver_work *work)
{
    struct doctor *d = ((struct dns_work *)work)->doctor;
    if (privileges_drop(d->settings)) {
        doctor_tell(d, DOCTOR_FAULT, "dns", "give the user of the setting 'user' to this machine",
                    "root can't be given up, so nobody outside is asked");
        return;
    }
    doctor_look_at_dns(self, peers, d);
    doctor_look_at_outbound(self, peers, d, ctl_option(d->ctl, "outbound"));
}

static void look_at_all(struct doctor *d)
{
    look_at_config(d);
    doctor_look_at_disk(d);
    doctor_look_at_ports(d);
    find_domains(d);
    doctor_read_outbound(d);
    struct dns_work dns = {.work = {.run = look_outside, .ctl = d->ctl, .settings = d->settings}, .doctor = d};
    if (resolver_client_run(&dns.work)) {
        doctor_tell(d, DOCTOR_FAULT, "dns", "", "%.*s", SPAN_ARG(buf_span(&d->ctl->problem)));
        buf_reset(&d->ctl->problem);
    }
    doctor_release_outbound(d);
}

int ctl_doctor(struct ctl *ctl)
{
    struct settings *settings = ctl_read_settings(ctl);
    if (!settings)
        return EX_CONFIG;
    struct doctor doctor = {.ctl = ctl, .settings = settings};
    buf_init(&doctor.domains, DOMAINS_MAX);
    json_init(&doctor.json, &ctl->out);
    if (ctl->json) {
        json_object(&doctor.json, NULL);
        json_list(&doctor.json, "findings");
    }
    look_at_all(&doctor);
    if (ctl->json) {
        json_end_list(&doctor.json);
        json_number(&doctor.json, "warnings", doctor.counts[DOCTOR_WARNING]);
        json_number(&doctor.json, "faults", doctor.counts[DOCTOR_FAULT]);
        json_end_object(&doctor.json);
    } else if (doctor.worst <= DOCTOR_NOTE) {
        buf_add_text(&ctl->out, "all is well\n");
    } else {
        ctl_write_count(&ctl->out, doctor.counts[DOCTOR_FAULT], "fault");
        buf_add_text(&ctl->out, ", ");
        ctl_write_count(&ctl->out, doctor.counts[DOCTOR_WARNING], "warning");
        buf_add_char(&ctl->out, '\n');
    }
    buf_release(&doctor.domains);
    settings_unref(settings);
    return doctor.worst == DOCTOR_FAULT ? 2 : doctor.worst == DOCTOR_WARNING;
}

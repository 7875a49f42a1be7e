#include "smtp/dns_lists.h"

#include "base/log.h"
#include "base/map.h"
#include "dns/lookup.h"
#include "dns/rdata.h"
#include "policy/dns_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CACHE_MAX 4096
#define REMEMBER_SECONDS_MAX 3600
#define COMPLAIN_SECONDS 60 /* between two log records about one list */
#define TEST_SECONDS 3600
/* A self-test that got no answer says nothing: it is made again soon. */
#define RETRY_SECONDS_FIRST 1
#define RETRY_SECONDS_LAST 60
/* Each silence costs a connection the whole time-out. After so many in a row none is asked of the list any more. */
#define SILENCES_MAX 3
#define TEST_MEMORY_MAX (2u << 20)
#define NAME_MAX_BYTES 300

enum { FAMILY_IPV4, FAMILY_IPV6, FAMILIES };

enum test_state { UNTESTED, PASSED, FAILED };

struct list {
    const struct dns_list_setting *setting;
    struct dns_list_range *ranges;
    enum test_state state[FAMILIES];
    uint64_t quiet_until;
    unsigned silences; /* questions in a row that got no answer */
    bool is_resting;   /* left out until silent_name gets an answer */
    char silent_name[NAME_MAX_BYTES];
};

/* The lists of one configuration. Counted: by the owner, the fiber that tests, and each check under way. */
struct list_set {
    unsigned references;
    struct settings *settings;
    struct peers *peers;
    struct arena memory;
    struct list *lists;
    size_t count;
    struct fiber *tester; /* NULL: none, or its end has come */
    bool tested;          /* each was asked once */
    bool is_retired;
    struct condition tested_changed;
    struct condition rest_began;
};

struct remembered {
    uint64_t until;
    enum dns_list_result result;
    size_t list;
    size_t reason_size;
    char reason[DNS_LIST_REASON_MAX];
};

struct dns_lists {
    struct loop *loop;
    struct peers *peers;
    struct list_set *set; /* NULL before the first settings */
    struct map cache;     /* by address; of `set` */
    struct remembered *entries;
};

/* ---- A set ---- */

static void set_unref(struct list_set *set)
{
    if (!set || --set->references)
        return;
    settings_unref(set->settings);
    arena_release(&set->memory);
    free(set);
}

static int fill_list(struct list_set *set, const struct dns_list_setting *setting, struct list *list)
{
    list->setting = setting;
    list->ranges = arena_array(&set->memory, setting->answers.count + 1, sizeof *list->ranges);
    if (!list->ranges)
        return -ENOMEM;
    for (size_t i = 0; i < setting->answers.count; i++)
        if (!dns_list_range_parse(span_text(setting->answers.words[i]), &list->ranges[i]))
            return -EINVAL; /* the settings let nothing else through */
    return 0;
}

static struct list_set *set_new(struct settings *settings, struct peers *peers)
{
    struct list_set *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->references = 1;
    set->settings = settings_ref(settings);
    set->peers = peers;
    arena_init(&set->memory, 1u << 20);
    condition_init(&set->tested_changed);
    condition_init(&set->rest_began);
    set->count = settings->dns_list_count;
    set->lists = arena_array(&set->memory, set->count + 1, sizeof *set->lists);
    int error = set->lists ? 0 : -ENOMEM;
    for (size_t i = 0; !error && i < set->count; i++)
        error = fill_list(set, &settings->dns_lists[i], &set->lists[i]);
    if (!error)
        return set;
    set_unref(set);
    return NULL;
}

static void set_retire(struct list_set *set)
{
    if (!set)
        return;
    set->is_retired = true;
    if (set->tester)
        fiber_cancel(set->tester);
    set_unref(set);
}

/* ---- Words for the log ---- */

static void complain(struct list *list, const char *what, const char *why)
{
    uint64_t now = clock_monotonic();
    if (now < list->quiet_until)
        return;
    list->quiet_until = now + COMPLAIN_SECONDS * NANOSECONDS;
    log_write(LOG_PROBLEM, "dns-list", NULL, "%s; it lists nobody meanwhile list=%s problem=%s", what,
              list->setting->zone, log_quote(span_text(why)));
}

/* ---- Answers ---- */

/* Records that are no addresses count as errors. */
static enum dns_list_meaning judge(const struct dns_answer *answer, const struct dns_list_range *ranges, size_t count)
{
    enum dns_list_meaning meaning = DNS_LIST_NOT_LISTED;
    for (size_t i = 0; answer->status == DNS_ANSWERED && i < answer->count; i++) {
        struct ip_address address;
        bool is_address = answer->records[i].size == 4 && rdata_address(answer->records[i], &address);
        meaning = dns_list_combine(meaning, is_address ? dns_list_judge(&address, ranges, count) : DNS_LIST_ERROR);
    }
    return meaning;
}

/* ---- Silence ---- */

static void note_silence(struct list_set *set, struct list *list, const struct dns_question *question)
{
    if (list->is_resting)
        return; /* one of the questions that were under way */
    if (++list->silences < SILENCES_MAX) {
        complain(list, "a DNS list does not answer", question->answer.trouble);
        return;
    }
    list->is_resting = true;
    snprintf(list->silent_name, sizeof list->silent_name, "%.*s", SPAN_ARG(question->name));
    log_write(LOG_PROBLEM, "dns-list", NULL,
              "a DNS list did not answer %d times in a row, so it is left out until it does; it lists nobody meanwhile "
              "list=%s problem=%s",
              SILENCES_MAX, list->setting->zone, log_quote(span_text(question->answer.trouble)));
    condition_wake_all(&set->rest_began);
}

static void note_answer(struct list *list)
{
    list->silences = 0;
    if (!list->is_resting)
        return;
    list->is_resting = false;
    log_write(LOG_LOW, "dns-list", NULL, "a DNS list answers again, and is used list=%s", list->setting->zone);
}

/* Asks those that rest what they did not answer: the records of the self-test may come out of the resolver's cache. All
 * at the same time. True when none rests any more. */
static bool ask_resting(struct fiber *self, struct list_set *set)
{
    struct arena memory;
    size_t count = 0;
    arena_init(&memory, TEST_MEMORY_MAX);
    struct dns_question *questions = arena_array(&memory, set->count, sizeof *questions);
    struct list **resting = arena_array(&memory, set->count, sizeof(struct list *));
    bool all_answer = questions && resting;
    for (size_t i = 0; all_answer && i < set->count; i++)
        if (set->lists[i].is_resting) {
            questions[count] = (struct dns_question){.name = span_text(set->lists[i].silent_name), .type = DNS_A};
            resting[count++] = &set->lists[i];
        }
    if (count)
        dns_query(self, set->peers, questions, count, CLOCK_NEVER, &memory);
    for (size_t i = 0; i < count && !fiber_is_canceled(self); i++) {
        if (questions[i].answer.status != DNS_TROUBLE)
            note_answer(resting[i]);
        all_answer &= !resting[i]->is_resting;
    }
    arena_release(&memory);
    return all_answer;
}

/* ---- The self-test ---- */

static bool tests_family(const struct list *list, const struct dns_list_test *test)
{
    return test->ipv6 ? list->setting->ipv6 : list->setting->ipv4;
}

/* What a test's answer says: PASSED, FAILED, or UNTESTED when it says nothing. Which listing it is does not matter
 * here. */
static enum test_state read_test(const struct dns_list_test *test, const struct dns_answer *answer)
{
    if (answer->status == DNS_TROUBLE)
        return UNTESTED;
    enum dns_list_meaning meaning = judge(answer, NULL, 0);
    return meaning == (test->is_listed ? DNS_LIST_LISTED : DNS_LIST_NOT_LISTED) ? PASSED : FAILED;
}

static void tell_state(const struct list *list, int family, enum test_state state, enum test_state before)
{
    static const char *const families[] = {"IPv4", "IPv6"};
    if (state == before || state == UNTESTED)
        return;
    if (state == PASSED)
        log_write(LOG_LOW, "dns-list", NULL, "the self-test is passed list=%s family=%s", list->setting->zone,
                  families[family]);
    else
        log_write(LOG_MAJOR, "dns-list", NULL,
                  "the self-test (RFC 5782) failed, so the list is not used; is its name right, and does it take the "
                  "questions of this server? list=%s family=%s",
                  list->setting->zone, families[family]);
}

/* A failure weighs more than silence, and silence leaves everything as it was: so the worse of a family's two. */
static enum test_state worse(enum test_state a, enum test_state b)
{
    static const int weight[] = {[FAILED] = 2, [UNTESTED] = 1, [PASSED] = 0};
    return weight[a] >= weight[b] ? a : b;
}

/* False when the list has to be asked again soon. */
static bool take_tests(struct list *list, const struct dns_question *questions)
{
    enum test_state states[FAMILIES] = {PASSED, PASSED};
    const char *trouble = NULL;
    for (size_t i = 0; i < DNS_LIST_TESTS; i++) {
        const struct dns_list_test *test = &dns_list_tests[i];
        if (!tests_family(list, test))
            continue;
        int family = test->ipv6 ? FAMILY_IPV6 : FAMILY_IPV4;
        states[family] = worse(states[family], read_test(test, &questions[i].answer));
        if (questions[i].answer.status == DNS_TROUBLE)
            trouble = questions[i].answer.trouble;
    }
    for (int family = 0; family < FAMILIES; family++) {
        bool is_used = family == FAMILY_IPV6 ? list->setting->ipv6 : list->setting->ipv4;
        if (!is_used || states[family] == UNTESTED)
            continue;
        tell_state(list, family, states[family], list->state[family]);
        list->state[family] = states[family];
    }
    if (trouble)
        complain(list, "a DNS list does not answer its self-test", trouble);
    return !trouble;
}

static bool write_tests(const struct list_set *set, struct dns_question *questions, struct arena *memory)
{
    for (size_t i = 0; i < set->count * DNS_LIST_TESTS; i++) {
        struct buf name;
        buf_init(&name, NAME_MAX_BYTES);
        dns_list_write_test_name(&dns_list_tests[i % DNS_LIST_TESTS], set->lists[i / DNS_LIST_TESTS].setting->zone,
                                 &name);
        questions[i] = (struct dns_question){.name = arena_copy(memory, buf_span(&name)), .type = DNS_A};
        buf_release(&name);
        if (!questions[i].name.data)
            return false;
    }
    return true;
}

/* All at the same time. False when some list has to be asked again soon. */
static bool test_all(struct fiber *self, struct list_set *set)
{
    struct arena memory;
    arena_init(&memory, TEST_MEMORY_MAX);
    struct dns_question *questions = arena_array(&memory, set->count * DNS_LIST_TESTS, sizeof *questions);
    bool good = questions && write_tests(set, questions, &memory);
    if (good)
        dns_query(self, set->peers, questions, set->count * DNS_LIST_TESTS, CLOCK_NEVER, &memory);
    bool all_answer = good;
    for (size_t i = 0; good && i < set->count && !fiber_is_canceled(self); i++)
        all_answer &= take_tests(&set->lists[i], &questions[i * DNS_LIST_TESTS]);
    arena_release(&memory);
    return all_answer;
}

static void run_tests(struct fiber *self, void *argument)
{
    struct list_set *set = argument;
    uint64_t retry = RETRY_SECONDS_FIRST;
    for (int error = -ETIMEDOUT; !error || error == -ETIMEDOUT;) {
        bool good = test_all(self, set);
        set->tested = true;
        condition_wake_all(&set->tested_changed);
        good &= ask_resting(self, set);
        error = condition_wait(self, &set->rest_began, clock_in_seconds(good ? TEST_SECONDS : retry));
        retry = good ? RETRY_SECONDS_FIRST : retry * 2 < RETRY_SECONDS_LAST ? retry * 2 : RETRY_SECONDS_LAST;
    }
    set->tester = NULL;
    /* Who waits for it must not wait on. */
    set->tested = true;
    condition_wake_all(&set->tested_changed);
    set_unref(set);
}

/* ---- The process's lists ---- */

static void forget_all(struct dns_lists *lists)
{
    map_release(&lists->cache);
    map_init(&lists->cache);
}

struct dns_lists *dns_lists_new(struct loop *loop, struct peers *peers)
{
    struct dns_lists *lists = calloc(1, sizeof *lists);
    if (!lists)
        return NULL;
    lists->loop = loop;
    lists->peers = peers;
    map_init(&lists->cache);
    return lists;
}

int dns_lists_set_settings(struct dns_lists *lists, struct settings *settings)
{
    struct list_set *set = set_new(settings, lists->peers);
    if (set && set->count) {
        if (!lists->entries)
            lists->entries = calloc(CACHE_MAX, sizeof *lists->entries);
        set->tester = lists->entries ? fiber_start(lists->loop, "dns list tests", run_tests, set) : NULL;
        if (set->tester) {
            set->references++;
        } else {
            set_unref(set);
            set = NULL;
        }
    }
    if (!set)
        return -ENOMEM;
    set_retire(lists->set);
    lists->set = set;
    forget_all(lists);
    return 0;
}

void dns_lists_free(struct dns_lists *lists)
{
    if (!lists)
        return;
    set_retire(lists->set);
    map_release(&lists->cache);
    free(lists->entries);
    free(lists);
}

/* ---- A check ---- */

static struct span key_of(const struct ip_address *ip)
{
    return span_from(ip->bytes, sizeof ip->bytes);
}

static bool recall(const struct dns_lists *lists, const struct ip_address *ip, struct arena *memory,
                   struct dns_list_verdict *verdict)
{
    const struct remembered *entry = map_get(&lists->cache, key_of(ip));
    if (!entry || entry->until < clock_monotonic())
        return false;
    verdict->result = entry->result;
    if (entry->result == DNS_LISTS_NONE)
        return true;
    verdict->zone = arena_text(memory, span_text(lists->set->lists[entry->list].setting->zone));
    verdict->reason = arena_copy(memory, span_from(entry->reason, entry->reason_size));
    return true;
}

static void remember(struct dns_lists *lists, const struct ip_address *ip, const struct dns_list_verdict *verdict,
                     size_t list, uint32_t ttl)
{
    if (!ttl)
        return;
    struct remembered *entry = map_get(&lists->cache, key_of(ip));
    if (!entry && lists->cache.count == CACHE_MAX)
        forget_all(lists);
    if (!entry)
        entry = &lists->entries[lists->cache.count];
    *entry = (struct remembered){
        .until = clock_in_seconds(ttl), .result = verdict->result, .list = list, .reason_size = verdict->reason.size};
    if (verdict->reason.size)
        memcpy(entry->reason, verdict->reason.data, verdict->reason.size);
    if (map_put(&lists->cache, key_of(ip), entry))
        entry->until = 0;
}

struct check {
    struct list_set *set;
    const struct ip_address *ip;
    struct arena *memory;
    struct dns_question *questions;
    size_t *asked; /* whose questions they are */
    size_t count;
    size_t found;  /* the list that has the word */
    bool left_out; /* a list that rests was not asked */
    uint32_t ttl;  /* for how long all of it holds; 0 when a list did not answer */
};

static int write_questions(struct check *check)
{
    int family = ip_address_is_ipv4(check->ip) ? FAMILY_IPV4 : FAMILY_IPV6;
    check->questions = arena_array(check->memory, check->set->count, sizeof *check->questions);
    check->asked = arena_array(check->memory, check->set->count, sizeof *check->asked);
    if (!check->questions || !check->asked)
        return -ENOMEM;
    for (size_t i = 0; i < check->set->count; i++) {
        struct buf name;
        const struct list *list = &check->set->lists[i];
        if (list->state[family] == PASSED && list->is_resting)
            check->left_out = true;
        if (list->state[family] != PASSED || list->is_resting)
            continue;
        buf_init(&name, NAME_MAX_BYTES);
        dns_list_write_name(check->ip, list->setting->zone, &name);
        struct span copy = arena_copy(check->memory, buf_span(&name));
        buf_release(&name);
        if (!copy.data)
            return -ENOMEM;
        check->asked[check->count] = i;
        check->questions[check->count++] = (struct dns_question){.name = copy, .type = DNS_A};
    }
    return 0;
}

/* The first white list, else the first black one. */
static enum dns_list_result read_answers(struct check *check)
{
    enum dns_list_result result = DNS_LISTS_NONE;
    check->ttl = check->left_out ? RETRY_SECONDS_LAST : REMEMBER_SECONDS_MAX;
    for (size_t i = 0; i < check->count; i++) {
        struct list *list = &check->set->lists[check->asked[i]];
        const struct dns_answer *answer = &check->questions[i].answer;
        enum dns_list_meaning meaning = judge(answer, list->ranges, list->setting->answers.count);
        if (answer->status == DNS_TROUBLE)
            note_silence(check->set, list, &check->questions[i]);
        else
            note_answer(list);
        if (meaning == DNS_LIST_ERROR)
            complain(list, "a DNS list answers with an error code", "it refuses this server's questions, or is gone");
        check->ttl = answer->ttl < check->ttl ? answer->ttl : check->ttl;
        bool white = list->setting->kind == DNS_LIST_WHITE;
        bool better = white ? result != DNS_LISTS_WHITE : result == DNS_LISTS_NONE;
        if (meaning != DNS_LIST_LISTED || !better)
            continue;
        result = white ? DNS_LISTS_WHITE : DNS_LISTS_BLACK;
        check->found = i;
    }
    return result;
}

static int find_reason(struct fiber *self, struct check *check, uint64_t deadline, struct dns_list_verdict *verdict)
{
    struct dns_txt txt;
    struct buf reason;
    buf_init(&reason, DNS_LIST_REASON_MAX);
    dns_txt(self, check->set->peers, check->questions[check->found].name, deadline, check->memory, &txt);
    if (txt.status == DNS_ANSWERED && txt.count)
        dns_list_write_reason(txt.texts[0], &reason);
    verdict->reason = arena_copy(check->memory, buf_span(&reason));
    verdict->zone = arena_text(check->memory, span_text(check->set->lists[check->asked[check->found]].setting->zone));
    buf_release(&reason);
    return verdict->zone ? 0 : -ENOMEM;
}

static int ask_lists(struct fiber *self, struct check *check, uint64_t deadline, struct dns_list_verdict *verdict)
{
    int error = write_questions(check);
    if (error)
        return error;
    dns_query(self, check->set->peers, check->questions, check->count, deadline, check->memory);
    if (fiber_is_canceled(self))
        return -ECANCELED;
    verdict->result = read_answers(check);
    if (verdict->result != DNS_LISTS_NONE)
        error = find_reason(self, check, deadline, verdict);
    return error ? error : fiber_is_canceled(self) ? -ECANCELED : 0;
}

int dns_lists_check(struct fiber *self, struct dns_lists *lists, const struct ip_address *ip, struct arena *memory,
                    struct dns_list_verdict *verdict)
{
    *verdict = (struct dns_list_verdict){.result = DNS_LISTS_NONE, .zone = ""};
    if (!lists || !lists->set || !lists->set->count)
        return 0;
    if (recall(lists, ip, memory, verdict))
        return verdict->zone ? 0 : -ENOMEM;
    struct check check = {.set = lists->set, .ip = ip, .memory = memory};
    check.set->references++;
    /* The TXT record that is asked for behind the addresses may take a second time-out. */
    uint64_t deadline = clock_in_seconds(2 * (uint64_t)check.set->settings->dns.timeout + 1);
    int error = 0;
    while (!check.set->tested && !error)
        error = condition_wait(self, &check.set->tested_changed, deadline);
    if (!error)
        error = ask_lists(self, &check, deadline, verdict);
    /* Of lists that are no more, nothing is to be remembered. */
    if (!error && check.set == lists->set && check.count)
        remember(lists, ip, verdict, verdict->result == DNS_LISTS_NONE ? 0 : check.asked[check.found], check.ttl);
    set_unref(check.set);
    return error == -ETIMEDOUT ? 0 : error;
}

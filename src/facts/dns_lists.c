#include "facts/dns_lists.h"

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

/* By list, in the order of the setting: bits. The reasons stand one behind the other: each its size (one byte), and its
 * text, in the order of those that list it. */
struct remembered {
    uint64_t until;
    uint64_t listed, unknown;
    unsigned char *reasons;
    size_t reasons_size;
};
_Static_assert(DNS_LIST_FACTS_MAX <= 64 && DNS_LIST_REASON_MAX <= 255, "as the cache keeps them");

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
    set->count = settings->dns_list_count < DNS_LIST_FACTS_MAX ? settings->dns_list_count : DNS_LIST_FACTS_MAX;
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
    for (size_t i = 0; i < lists->cache.count; i++) {
        free(lists->entries[i].reasons);
        lists->entries[i] = (struct remembered){0};
    }
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
    forget_all(lists);
    map_release(&lists->cache);
    free(lists->entries);
    free(lists);
}

/* ---- A check ---- */

static struct span key_of(const struct ip_address *ip)
{
    return span_from(ip->bytes, sizeof ip->bytes);
}

/* A fact for each list of the set, of which nothing is said yet. */
static struct dns_list_fact *make_facts(const struct list_set *set, struct arena *memory)
{
    struct dns_list_fact *facts = arena_array(memory, set->count, sizeof *facts);
    for (size_t i = 0; facts && i < set->count; i++) {
        facts[i].zone = arena_copy(memory, span_text(set->lists[i].setting->zone));
        facts[i].is_white = set->lists[i].setting->kind == DNS_LIST_WHITE;
        facts[i].result = DNS_LIST_FACT_UNKNOWN;
        if (!facts[i].zone.data)
            return NULL;
    }
    return facts;
}

static bool read_remembered(const struct remembered *entry, struct arena *memory, struct dns_list_fact *facts,
                            size_t count)
{
    struct span rest = span_from(entry->reasons, entry->reasons_size);
    for (size_t i = 0; i < count; i++) {
        if (!(entry->listed >> i & 1)) {
            facts[i].result = entry->unknown >> i & 1 ? DNS_LIST_FACT_UNKNOWN : DNS_LIST_FACT_NOT_LISTED;
            continue;
        }
        size_t size = (unsigned char)rest.data[0];
        facts[i].result = DNS_LIST_FACT_LISTED;
        facts[i].reason = arena_copy(memory, span_head(span_skip(rest, 1), size));
        if (!facts[i].reason.data)
            return false;
        rest = span_skip(rest, 1 + size);
    }
    return true;
}

bool dns_lists_recall(struct dns_lists *lists, const struct ip_address *ip, struct arena *memory,
                      struct dns_list_fact **found, size_t *count)
{
    *found = NULL;
    *count = 0;
    if (!lists || !lists->set || !lists->set->count)
        return true;
    const struct remembered *entry = map_get(&lists->cache, key_of(ip));
    if (!entry || entry->until < clock_monotonic())
        return false;
    struct dns_list_fact *facts = make_facts(lists->set, memory);
    if (!facts || !read_remembered(entry, memory, facts, lists->set->count))
        return false;
    *found = facts;
    *count = lists->set->count;
    return true;
}

static void remember(struct dns_lists *lists, const struct ip_address *ip, const struct dns_list_fact *facts,
                     size_t count, uint32_t ttl)
{
    if (!ttl)
        return;
    struct remembered *entry = map_get(&lists->cache, key_of(ip));
    if (!entry && lists->cache.count == CACHE_MAX)
        forget_all(lists);
    if (!entry)
        entry = &lists->entries[lists->cache.count];
    free(entry->reasons);
    *entry = (struct remembered){.until = clock_in_seconds(ttl)};
    struct buf reasons;
    buf_init(&reasons, DNS_LIST_FACTS_MAX * (1 + DNS_LIST_REASON_MAX));
    for (size_t i = 0; i < count; i++) {
        if (facts[i].result == DNS_LIST_FACT_LISTED) {
            entry->listed |= 1ull << i;
            buf_add_char(&reasons, (char)facts[i].reason.size);
            buf_add_span(&reasons, facts[i].reason);
        }
        entry->unknown |= (uint64_t)(facts[i].result == DNS_LIST_FACT_UNKNOWN) << i;
    }
    entry->reasons = (unsigned char *)reasons.data;
    entry->reasons_size = reasons.size;
    if (buf_failed(&reasons) || map_put(&lists->cache, key_of(ip), entry)) {
        free(entry->reasons);
        *entry = (struct remembered){0};
    }
}

struct check {
    struct list_set *set;
    const struct ip_address *ip;
    struct arena *memory;
    struct dns_list_fact *facts; /* of all lists of the set */
    struct dns_question *questions;
    size_t *asked; /* whose questions they are */
    size_t count;
    bool left_out; /* a list that rests was not asked */
    uint32_t ttl;  /* for how long all of it holds; 0 when a list did not answer, or none was asked */
};

static int add_question(struct check *check, const char *zone, size_t list, unsigned type)
{
    struct buf name;
    buf_init(&name, NAME_MAX_BYTES);
    dns_list_write_name(check->ip, zone, &name);
    struct span copy = arena_copy(check->memory, buf_span(&name));
    buf_release(&name);
    if (!copy.data)
        return -ENOMEM;
    check->asked[check->count] = list;
    check->questions[check->count++] = (struct dns_question){.name = copy, .type = type};
    return 0;
}

static int write_questions(struct check *check)
{
    int family = ip_address_is_ipv4(check->ip) ? FAMILY_IPV4 : FAMILY_IPV6;
    check->questions = arena_array(check->memory, check->set->count, sizeof *check->questions);
    check->asked = arena_array(check->memory, check->set->count, sizeof *check->asked);
    int error = check->questions && check->asked ? 0 : -ENOMEM;
    for (size_t i = 0; !error && i < check->set->count; i++) {
        const struct list *list = &check->set->lists[i];
        if (list->state[family] != PASSED)
            continue;
        if (list->is_resting)
            check->left_out = true;
        else
            error = add_question(check, list->setting->zone, i, DNS_A);
    }
    return error;
}

static void read_answers(struct check *check)
{
    static const enum dns_list_fact_result results[] = {[DNS_LIST_NOT_LISTED] = DNS_LIST_FACT_NOT_LISTED,
                                                        [DNS_LIST_LISTED] = DNS_LIST_FACT_LISTED,
                                                        [DNS_LIST_ERROR] = DNS_LIST_FACT_UNKNOWN};
    check->ttl = check->count == 0 ? 0 : check->left_out ? RETRY_SECONDS_LAST : REMEMBER_SECONDS_MAX;
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
        check->facts[check->asked[i]].result = answer->status == DNS_TROUBLE ? DNS_LIST_FACT_UNKNOWN : results[meaning];
    }
}

/* Of those that list it, all at the same time. One that gives no reason still lists. */
static int find_reasons(struct fiber *self, struct check *check, uint64_t deadline)
{
    int error = 0;
    check->count = 0;
    for (size_t i = 0; !error && i < check->set->count; i++)
        if (check->facts[i].result == DNS_LIST_FACT_LISTED)
            error = add_question(check, check->set->lists[i].setting->zone, i, DNS_TXT);
    if (error || !check->count)
        return error;
    dns_query(self, check->set->peers, check->questions, check->count, deadline, check->memory);
    for (size_t i = 0; !error && i < check->count; i++) {
        const struct dns_answer *answer = &check->questions[i].answer;
        struct span text;
        struct buf reason;
        buf_init(&reason, DNS_LIST_REASON_MAX);
        if (answer->status == DNS_ANSWERED && answer->count && rdata_text(answer->records[0], check->memory, &text))
            dns_list_write_reason(text, &reason);
        struct dns_list_fact *fact = &check->facts[check->asked[i]];
        fact->reason = arena_copy(check->memory, buf_span(&reason));
        error = fact->reason.data ? 0 : -ENOMEM;
        buf_release(&reason);
    }
    return error;
}

static int ask_lists(struct fiber *self, struct check *check, uint64_t deadline)
{
    check->facts = make_facts(check->set, check->memory);
    int error = check->facts ? write_questions(check) : -ENOMEM;
    if (error)
        return error;
    dns_query(self, check->set->peers, check->questions, check->count, deadline, check->memory);
    if (fiber_is_canceled(self))
        return -ECANCELED;
    read_answers(check);
    error = find_reasons(self, check, deadline);
    return error ? error : fiber_is_canceled(self) ? -ECANCELED : 0;
}

int dns_lists_check(struct fiber *self, struct dns_lists *lists, const struct ip_address *ip, struct arena *memory,
                    struct dns_list_fact **found, size_t *count)
{
    if (dns_lists_recall(lists, ip, memory, found, count))
        return 0;
    struct check check = {.set = lists->set, .ip = ip, .memory = memory};
    check.set->references++;
    /* The TXT record that is asked for behind the addresses may take a second time-out. */
    uint64_t deadline = clock_in_seconds(2 * (uint64_t)check.set->settings->dns.timeout + 1);
    int error = 0;
    while (!check.set->tested && !error)
        error = condition_wait(self, &check.set->tested_changed, deadline);
    if (!error) {
        error = ask_lists(self, &check, deadline);
    } else if (error == -ETIMEDOUT) { /* nobody said anything: not that none lists it */
        check.facts = make_facts(check.set, memory);
        error = check.facts ? 0 : -ENOMEM;
    }
    if (!error) {
        *found = check.facts;
        *count = check.set->count;
    }
    /* Of lists that are no more, nothing is to be remembered. */
    if (!error && check.set == lists->set)
        remember(lists, ip, check.facts, check.set->count, check.ttl);
    set_unref(check.set);
    return error;
}

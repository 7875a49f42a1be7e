#include "ctl/trial_facts.h"

#include "ipc/binary.h"
#include "policy/door_item.h"

static bool is_among(struct span name, const struct span *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_equal(name, keys[i]))
            return true;
    return false;
}

static void add_hit(struct trial *t, enum list_kind kind, const StoreWrite__DoorItem *item)
{
    if (t->r.hit_count < LIST_HITS_MAX)
        t->r.hits[t->r.hit_count++] = (struct list_hit){kind, item->level, binary_span(item->name)};
}

static void add_ptr_hit(struct trial *t, enum list_kind kind, const StoreWrite__DoorItem *item)
{
    if (t->facts.ptr.hit_count < sizeof t->facts.ptr.hits / sizeof *t->facts.ptr.hits)
        t->facts.ptr.hits[t->facts.ptr.hit_count++] = (struct list_hit){kind, item->level, binary_span(item->name)};
}

/* ---- Lists ---- */

struct keys {
    struct span sender[DOOR_KEYS_MAX], address[DOOR_KEYS_MAX], helo[DOOR_KEYS_MAX], domain[DOOR_KEYS_MAX],
        ptr[DOOR_KEYS_MAX];
    size_t senders, addresses, helos, domains, ptrs;
};

static bool count_keys(int made, size_t *count)
{
    *count = made < 0 ? 0 : (size_t)made;
    return made >= 0;
}

static bool make_keys(const struct trial *t, struct arena *arena, struct keys *k)
{
    struct span path = t->facts.reverse_path, helo = t->facts.helo, ptr = t->facts.ptr.name;
    struct span domain = span_skip(path, span_find_last(path, '@') + 1);
    return count_keys(door_sender_keys(path, &t->facts.ip, arena, k->sender, DOOR_KEYS_MAX), &k->senders) &&
           count_keys(door_address_keys(&t->facts.ip, arena, k->address, DOOR_KEYS_MAX), &k->addresses) &&
           count_keys(door_host_keys(helo, arena, k->helo, DOOR_KEYS_MAX), &k->helos) &&
           count_keys(door_host_keys(domain, arena, k->domain, DOOR_KEYS_MAX), &k->domains) &&
           count_keys(door_host_keys(ptr, arena, k->ptr, DOOR_KEYS_MAX), &k->ptrs);
}

static void take_list(struct trial *t, const struct keys *k, const StoreWrite__DoorItem *item)
{
    struct span name = binary_span(item->name);
    bool is_server = is_among(name, k->address, k->addresses);
    bool is_ptr = is_among(name, k->ptr, k->ptrs);
    switch (item->kind) {
    case DOOR_WHITE:
    case DOOR_BLACK:
    case DOOR_KNOWN:
        if (is_among(name, k->sender, k->senders))
            add_hit(t,
                    item->kind == DOOR_WHITE   ? LIST_KIND_WHITE
                    : item->kind == DOOR_BLACK ? LIST_KIND_BLACK
                                               : LIST_KIND_KNOWN,
                    item);
        return;
    case DOOR_APPROVED:
        if (is_server)
            add_hit(t, LIST_KIND_APPROVED, item);
        else if (is_ptr)
            add_ptr_hit(t, LIST_KIND_APPROVED, item);
        return;
    case DOOR_DENIED:
        if (is_server || is_among(name, k->helo, k->helos) || is_among(name, k->domain, k->domains))
            add_hit(t, LIST_KIND_DENIED, item);
        return;
    case DOOR_DENIED_NAME:
        if (t->facts.ptr.name.size && door_name_matches(name, t->facts.ptr.name))
            add_ptr_hit(t, LIST_KIND_DENIED_NAME, item);
        return;
    default:
        return;
    }
}

/* ---- Passcodes and addresses ---- */

static void take_passcode(struct trial *t, const StoreWrite__DoorItem *item, bool expired)
{
    if (!t->passcode.size || t->r.passcode == PASSCODE_RIGHT ||
        !span_equal_secret(t->passcode, binary_span(item->value)))
        return;
    t->r.passcode = expired ? PASSCODE_EXPIRED : PASSCODE_RIGHT;
    t->r.passcode_name = binary_span(item->name);
}

static void take_address(struct trial *t, const StoreWrite__DoorItem *item, bool expired)
{
    struct span senders = binary_span(item->value);
    if (!t->detail.size || !span_equal_nocase(t->detail, binary_span(item->name)))
        return;
    t->r.limited.exists = true;
    t->r.limited.expired = expired;
    t->r.limited.sender_fits = !senders.size || door_sender_is_among(senders, t->facts.reverse_path);
}

bool trial_take_items(struct trial *t, const struct door_items *items, struct arena *arena)
{
    static struct keys keys; /* large, and filled anew */
    if (!make_keys(t, arena, &keys))
        return false;
    t->r.passcode = t->passcode.size ? PASSCODE_WRONG : PASSCODE_NONE;
    for (size_t i = 0; i < items->count; i++) {
        const StoreWrite__DoorItem *item = &items->items[i];
        bool expired = item->expires_at && item->expires_at <= t->now;
        t->r.has_approved_names |= item->kind == DOOR_APPROVED;
        t->r.has_denied_names |= item->kind == DOOR_DENIED_NAME;
        if (item->kind == DOOR_PASSCODE)
            take_passcode(t, item, expired);
        else if (item->kind == DOOR_ADDRESS)
            take_address(t, item, expired);
        else if (!expired)
            take_list(t, &keys, item);
    }
    return true;
}

/* ---- What nobody gave ---- */

void trial_assume(struct trial *t, uint32_t needs)
{
    for (unsigned fact = 0; fact < FACT_COUNT; fact++) {
        if (!(needs & FACT_BIT(fact)))
            continue;
        /* Zeros in the fields of each are what keeps nobody out; where that takes a name or a text there is none. */
        bool is_absent = fact == FACT_PTR || fact == FACT_WHOIS || fact == FACT_CONTENT;
        fact_state_set(&t->facts, &t->r, (enum fact)fact, is_absent ? FACT_UNKNOWN : FACT_KNOWN);
        t->assumed |= FACT_BIT(fact);
    }
}

const char *trial_assumption(enum fact fact)
{
    static const char *const words[FACT_COUNT] = {
        [FACT_PTR] = "the name of the client is not known (--ptr, or --ask)",
        [FACT_OWN_LIST] = "it is not on the site's own black list ('ostiary blacklist check' tells)",
        [FACT_DNS_LISTS] = "no DNS list has it (--listed, or --ask)",
        [FACT_RETURN_PATH] = "the sender's domain takes mail",
        [FACT_GREYLIST] = "its waiting time is over",
        [FACT_WHOIS] = "what WHOIS says is not known (--whois-file)",
        [FACT_SCRIPT] = "the site's script says nothing ('ostiary script test' tells)",
        [FACT_CALL_BACK] = "the sender's server takes mail for the sender",
        [FACT_REVERSE_CALL_BACK] = "the client itself takes mail for the sender",
        [FACT_CONTENT] = "the message is not known (--message)",
        [FACT_SCRIPT_CONTENT] = "the site's script says nothing of the message",
    };
    return words[fact];
}

#include "store/folder.h"

#include "format/utf8.h"
#include "store/mailbox.h"

#include <errno.h>

bool folder_is_name(struct span name)
{
    char last = '/';
    for (size_t i = 0; i < name.size; i++) {
        if ((unsigned char)name.data[i] < ' ' || name.data[i] == 127 || (name.data[i] == '/' && last == '/'))
            return false;
        last = name.data[i];
    }
    return last != '/' && name.size <= FOLDER_NAME_MAX && utf8_is_valid(name);
}

static uint32_t special_use_of(struct span name)
{
    static const struct {
        const char *name;
        enum special_use use;
    } uses[] = {{"Archive", SPECIAL_ARCHIVE},
                {"Drafts", SPECIAL_DRAFTS},
                {"Junk", SPECIAL_JUNK},
                {"Sent", SPECIAL_SENT},
                {"Trash", SPECIAL_TRASH}};
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
        if (span_is_nocase(name, uses[i].name))
            return uses[i].use;
    return 0;
}

/* A special use belongs to one mailbox of an account. */
static int free_special_use(struct store *s, uint64_t account_id, struct span name, uint32_t *use)
{
    uint64_t id;
    *use = special_use_of(name);
    int rc = *use == 0 ? 0
                       : database_find(s->db, &id, "SELECT id FROM mailbox WHERE account_id = $1 AND special_use = $2",
                                       "uu", account_id, (uint64_t)*use);
    if (rc > 0)
        *use = 0;
    return rc < 0 ? rc : 0;
}

int folder_reach(struct store *s, uint64_t account_id, struct span name, bool by_delivery, uint64_t *id)
{
    uint64_t count = 0;
    uint32_t use = 0;
    struct span wanted = span_is_nocase(name, "INBOX") ? span_text("INBOX") : name;
    int rc = database_find(s->db, id, "SELECT id FROM mailbox WHERE account_id = $1 AND name = $2", "ut", account_id,
                           wanted);
    if (rc == 0 && by_delivery)
        rc = database_find(s->db, &count, "SELECT COUNT(*) FROM mailbox WHERE account_id = $1", "u", account_id);
    else if (rc != 0)
        return rc < 0 ? store_fail(s, rc) : 0;
    if (rc >= 0 && count >= FOLDERS_BY_DELIVERY)
        return -EDQUOT;
    rc = rc < 0 ? rc : free_special_use(s, account_id, wanted, &use);
    return rc < 0 ? store_fail(s, rc) : mailbox_create(s, account_id, wanted, use, id);
}

/* The lists of a door (white, black, known, approved, denied, denied-name) on the command line and in files. */
#ifndef CTL_DOOR_LIST_TEXT_H
#define CTL_DOOR_LIST_TEXT_H

#include "ctl/door_edit.h"

#define DOOR_LIST_KINDS                                                                                 \
    (1u << DOOR_WHITE | 1u << DOOR_BLACK | 1u << DOOR_KNOWN | 1u << DOOR_APPROVED | 1u << DOOR_DENIED | \
     1u << DOOR_DENIED_NAME)

/* The list that argument `at` names; "known" only where `may_be_known`: nobody writes there by hand. EX_USAGE with the
 * sentence, or 0. */
MUST_USE int door_list_take(struct ctl *ctl, size_t at, bool may_be_known, enum door_kind *kind);
/* May this owner have such a list? approved, denied and denied-name are the site's alone. EX_DATAERR with the sentence,
 * or 0. */
MUST_USE int door_list_check_owner(struct ctl *ctl, enum door_kind kind, const struct door_owner *owner);

/* One line of a file of entries: "ENTRY [until DAY] [# remark]". */
struct door_list_line {
    struct span entry; /* empty: nothing but a remark or blanks */
    struct span remark;
    uint64_t expires_at; /* 0: never */
};
/* Pure; of a line without its LF. False: the time is none; or anything else stands behind the entry. */
MUST_USE bool door_list_parse_line(struct span line, uint64_t now, struct door_list_line *out);
/* Such a line with its end, which door_list_parse_line() reads again. */
void door_list_write_line(const StoreWrite__DoorItem *item, struct buf *out);

#endif

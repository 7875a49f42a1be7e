/* mbox files and the names in Maildirs. A message that was read, written and read again is the same message. */
#include "format/maildir_name.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_message(const struct mbox_message *m)
{
    struct buf plain, written, again;
    struct mbox_message same;
    int64_t seconds = 0;
    buf_init(&plain, 1 << 20);
    buf_init(&written, 1 << 20);
    buf_init(&again, 1 << 20);
    mbox_write_plain(m->text, true, &plain);
    if (!mbox_from_seconds(m->from, &seconds))
        seconds = 0;
    mbox_write(mbox_from_sender(m->from), (uint64_t)seconds, 0, buf_span(&plain), &written);
    struct span rest = buf_span(&written);
    require(mbox_next(&rest, &same) && rest.size == 0);
    if (mbox_marks(m->text) == 0 && !mbox_marks(buf_span(&plain))) {
        mbox_write_plain(same.text, true, &again);
        require(mbox_marks(buf_span(&again)) == 0 && again.size <= plain.size + 2);
    }
    buf_release(&plain);
    buf_release(&written);
    buf_release(&again);
}

static void check_folder(struct span name)
{
    struct buf mailbox, folder, again;
    buf_init(&mailbox, 4096);
    buf_init(&folder, 8192);
    buf_init(&again, 4096);
    if (maildir_folder_parse(name, &mailbox) && maildir_folder_write(buf_span(&mailbox), &folder) && folder.size)
        require(folder.data[1] == '.' ||
                (maildir_folder_parse(buf_span(&folder), &again) && span_equal(buf_span(&again), buf_span(&mailbox))));
    buf_release(&mailbox);
    buf_release(&folder);
    buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_from(data, size);
    struct mbox_message m;
    check_folder(span_head(rest, 200));
    require(maildir_name_marks(rest) < 32);
    while (mbox_next(&rest, &m)) {
        require(mbox_marks(m.text) < 32);
        check_message(&m);
    }
    return 0;
}

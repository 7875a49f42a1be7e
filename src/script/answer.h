/* What a script may answer. Pure. */
#ifndef SCRIPT_ANSWER_H
#define SCRIPT_ANSWER_H

#include "base/buf.h"
#include "policy/rule.h"

#define SCRIPT_TEXT_MAX VERDICT_SENTENCE_MAX

struct script_answer {
    enum script_result result;
    /* The reason of an accept, reject or defer, maybe empty: without control characters, cut at SCRIPT_TEXT_MAX - 1
     * bytes between two characters. Of "file" the folder, never empty: UTF-8 without control characters, less than
     * FOLDER_MAX bytes. */
    char text[SCRIPT_TEXT_MAX];
    size_t text_size;
};

/* `word` is "accept", "reject", "defer" or "file". False with half a sentence in `problem` for anything else ("returned
 * \"refuse\"; it may return ..."), and then the answer is that there is none. */
MUST_USE bool script_answer_read(struct span word, struct span text, struct script_answer *answer, struct buf *problem);

#endif

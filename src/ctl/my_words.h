/* How the commands that people use at their own door are explained to them: "ostiary my ..." */
#ifndef CTL_MY_WORDS_H
#define CTL_MY_WORDS_H

struct my_words {
    const char *name;    /* of the command */
    const char *summary; /* one sentence; of one's own door */
    const char *example; /* what comes of the example in its help */
};

/* NULL: it has none, as it is not for people. */
const struct my_words *my_words_get(const char *name);

#endif

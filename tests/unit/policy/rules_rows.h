/* What each rule says: settings and facts (attempt.h), and the answer. One table a group of rules. */
#ifndef TEST_POLICY_RULES_ROWS_H
#define TEST_POLICY_RULES_ROWS_H

struct rule_row {
    char stage; /* 'r': at RCPT; 'c': at the end of DATA */
    const char *settings, *facts, *answer;
};
struct rule_rows {
    const struct rule_row *rows;
    size_t count;
};

extern const struct rule_rows rows_of_lists, rows_of_clients, rows_of_dns, rows_of_calls, rows_of_content;

#endif

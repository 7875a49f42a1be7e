#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct item {
    int number;
    struct list_node node;
};

/* What stands in the list, as decimal digits, read both ways. */
static void assert_list(struct list_node *head, int expected)
{
    int forwards = 0, backwards = 0, place = 1;
    list_each (node, head)
        forwards = forwards * 10 + container_of(node, struct item, node)->number;
    for (struct list_node *node = head->previous; node != head; node = node->previous, place *= 10)
        backwards += container_of(node, struct item, node)->number * place;
    assert_int_equal(forwards, expected);
    assert_int_equal(backwards, expected);
    assert_int_equal(list_is_empty(head), expected == 0);
}

static void test_list(void **state)
{
    (void)state;
    struct list_node head;
    struct item items[5];
    list_init(&head);
    assert_list(&head, 0);
    assert_null(list_take_first(&head));
    for (int i = 0; i < 5; i++) {
        items[i].number = i + 1;
        list_append(&head, &items[i].node);
    }
    assert_list(&head, 12345);
    list_remove(&items[2].node);
    assert_list(&head, 1245);
    list_remove(&items[2].node); /* twice does no harm */
    assert_true(list_is_empty(&items[2].node));
    assert_list(&head, 1245);
    assert_ptr_equal(list_take_first(&head), &items[0].node);
    list_append(&head, &items[0].node);
    assert_list(&head, 2451);
    list_each_safe (node, &head)
        if (container_of(node, struct item, node)->number % 2 == 0)
            list_remove(node);
    assert_list(&head, 51);
    list_each_safe (node, &head) {
        list_remove(node);
        container_of(node, struct item, node)->node = (struct list_node){NULL, NULL}; /* as freed */
    }
    assert_list(&head, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

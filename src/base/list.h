/* An intrusive doubly linked list. The head is a list_node that points at itself when empty. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_node {
    struct list_node *next, *previous;
};

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static inline void list_init(struct list_node *node)
{
    node->next = node->previous = node;
}

static inline bool list_is_empty(const struct list_node *head)
{
    return head->next == head;
}

static inline void list_append(struct list_node *head, struct list_node *node)
{
    node->previous = head->previous;
    node->next = head;
    head->previous->next = node;
    head->previous = node;
}

/* A removed node is an empty list of its own: removing it twice does no harm. */
static inline void list_remove(struct list_node *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

/* The first node, taken out, or NULL. */
static inline struct list_node *list_take_first(struct list_node *head)
{
    if (list_is_empty(head))
        return NULL;
    struct list_node *node = head->next;
    head->next = node->next;
    node->next->previous = head;
    list_init(node);
    return node;
}

#define list_each(node, head) for (struct list_node *node = (head)->next; node != (head); node = node->next)
/* `node` may be removed or freed in the body. */
#define list_each_safe(node, head)                                                         \
    for (struct list_node *node = (head)->next, *next_##node = node->next; node != (head); \
         node = next_##node, next_##node = node->next)

#endif

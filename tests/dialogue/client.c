#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)64 << 20)
#define RECEIVE_SIZE 16384

struct client {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    bool is_tls;
    struct buf input;
};

struct client *client_new(int fd)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client || fcntl(fd, F_SETFL, O_NONBLOCK)) {
        free(client);
        close(fd);
        return NULL;
    }
    client->fd = fd;
    buf_init(&client->input, INPUT_MAX);
    return client;
}

void client_free(struct client *client)
{
    if (!client)
        return;
    SSL_free(client->ssl);
    SSL_CTX_free(client->context);
    close(client->fd);
    buf_release(&client->input);
    free(client);
}

static int ssl_result(struct client *client, int result)
{
    int error = SSL_get_error(client->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    return error == SSL_ERROR_ZERO_RETURN || error == SSL_ERROR_SYSCALL ? 0 : -EPROTO;
}

int client_start_tls(struct client *client)
{
    if (!client->context)
        client->context = SSL_CTX_new(TLS_client_method());
    if (!client->ssl && client->context) {
        client->ssl = SSL_new(client->context);
        if (client->ssl)
            SSL_set_fd(client->ssl, client->fd);
    }
    if (!client->ssl)
        return -ENOMEM;
    ERR_clear_error();
    int result = SSL_connect(client->ssl);
    if (result == 1) {
        client->is_tls = true;
        return 0;
    }
    return ssl_result(client, result) == -EAGAIN ? -EAGAIN : -EPROTO;
}

bool client_is_tls(const struct client *client)
{
    return client->is_tls;
}

long client_send(struct client *client, struct span bytes)
{
    if (client->is_tls) {
        ERR_clear_error();
        int n = SSL_write(client->ssl, bytes.data, bytes.size > 1u << 20 ? 1 << 20 : (int)bytes.size);
        if (n > 0)
            return n;
        int result = ssl_result(client, n);
        return result ? result : -EPIPE;
    }
    ssize_t n = send(client->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

long client_receive(struct client *client)
{
    char *to = buf_reserve(&client->input, RECEIVE_SIZE);
    if (!to)
        return -ENOBUFS;
    long n;
    if (client->is_tls) {
        ERR_clear_error();
        n = SSL_read(client->ssl, to, RECEIVE_SIZE);
        if (n <= 0)
            return ssl_result(client, (int)n);
    } else {
        n = recv(client->fd, to, RECEIVE_SIZE, 0);
        if (n < 0)
            return errno == ECONNRESET ? 0 : -errno;
    }
    client->input.size += (size_t)n;
    return n;
}

struct buf *client_input(struct client *client)
{
    return &client->input;
}

void client_half_close(struct client *client)
{
    shutdown(client->fd, SHUT_WR);
}

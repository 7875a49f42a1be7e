#include "ctl/sandbox.h"
#include "run/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)
#define DATA_DIRECTORY_MAX ((size_t)90) /* the schema's bound of data_directory */

/* ---- The configuration ---- */

static const char config_head[] =
    "-- The configuration of a throwaway mail server, made by 'ostiary sandbox'. It is an ordinary one:\n"
    "--     ostiary serve --config THIS-FILE\n"
    "-- starts the same server. 'ostiary config explain' tells what each setting means; man ostiary.conf as well.\n"
    "-- The domains, accounts and aliases are not here but in the store: see 'ostiary account --help'.\n"
    "\n"
    "hostname = \"mail." SANDBOX_DOMAIN "\"\n";

static const char config_tail[] =
    "-- Passwords are taken over TLS only, from here as from anywhere (but see pwd below).\n"
    "trusted_networks = {}\n"
    "\n"
    "-- At the smtp port loopback is a stranger like any other: it may not relay. With this line it might, as a LAN's "
    "printers do:\n"
    "-- client_networks = { \"127.0.0.0/8\" }\n"
    "\n"
    "-- Mail to other sites is taken in and waits in the queue ('ostiary queue list'): nobody answers at this DNS "
    "server, so no letter\n"
    "-- leaves this machine by accident. Two ways to let it out: to one server,\n"
    "--     courier = { smart_host = \"127.0.0.1:2525\", smart_host_tls = \"none\" }\n"
    "-- or with a DNS of your own,\n"
    "--     zones = { \"elsewhere.test=127.0.0.1@5353\" }\n"
    "-- and courier.port, where the servers that it names do not listen at port 25.\n"
    "dns = {\n"
    "    servers = { \"127.0.0.1@9\" },\n"
    "    timeout = \"1s\",\n"
    "}\n"
    "\n"
    "-- Few processes, but many connections from the one address there is: load tests are welcome.\n"
    "processes = {\n"
    "    gates = 1,\n"
    "    desks = 1,\n"
    "    readers = 1,\n"
    "    connections = 10000,\n"
    "    connections_per_address = 10000,\n"
    "    stop_grace = \"2s\",\n"
    "}\n"
    "\n"
    "smtp = {\n"
    "    errors = 1000,\n"
    "    transactions = 1000000,\n"
    "    session_timeout = \"1d\",\n"
    "    check_sender = false, -- there is no DNS to ask whether a stranger's domain exists\n"
    "}\n"
    "\n"
    "-- Sending over POP3, as Eudora does.\n"
    "pop3 = { xtnd_xmit = true }\n"
    "\n"
    "-- Three accounts share one well-known password: a cheap hash is enough for it. Never use this cost for real "
    "accounts.\n"
    "auth = {\n"
    "    default_domain = \"" SANDBOX_DOMAIN "\",\n"
    "    hash_cost = 1,\n"
    "    password_min_length = 7, -- as short as theirs; 8 is the default\n"
    "}\n"
    "\n"
    "-- People may change their password from here (port base + 106). Old clients speak PWD without TLS, so that is "
    "let through,\n"
    "-- too: never do so where the wire is not your own.\n"
    "pwd = { networks = { \"127.0.0.0/8\" }, plain = true }\n"
    "\n"
    "log = { target = \"stderr\", level = \"low\" }\n";

static const struct {
    enum service_kind service;
    unsigned port;
} listeners[] = {
    {SERVICE_SMTP, 25},   {SERVICE_SUBMISSION, 587}, {SERVICE_SUBMISSIONS, 465}, {SERVICE_POP3, 110},
    {SERVICE_POP3S, 995}, {SERVICE_PWD, 106},        {SERVICE_PWDS, 906},
};

static void write_quoted(const char *directory, const char *rest, struct buf *out)
{
    buf_add_char(out, '"');
    for (const char *c = directory; *c; c++) {
        if (*c == '"' || *c == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, *c);
    }
    buf_printf(out, "%s\"", rest);
}

void sandbox_write_config(const struct sandbox *s, struct buf *out)
{
    buf_add_text(out, config_head);
    buf_add_text(out, "data_directory = ");
    write_quoted(s->directory, "/data", out);
    buf_add_text(out, "\n\n-- Whoever has an account looks after their own door here ('ostiary my'): beside the data "
                      "directory, which is\n-- the server's alone, everybody on this machine gets at it.\n"
                      "my = { socket = ");
    write_quoted(s->directory, "/my.sock", out);
    buf_add_text(out, " }\n");
    buf_printf(out,
               "\n-- Started as root, the server becomes this user.\nuser = \"nobody\"\n\n"
               "-- Every service at %u + its standard port.\nlocal base = %u\nlisteners = {\n",
               s->port_base, s->port_base);
    for (size_t i = 0; i < sizeof listeners / sizeof *listeners; i++)
        buf_printf(out, "    { service = \"%s\", address = \"127.0.0.1\", port = base + %u },\n",
                   service_kind_name(listeners[i].service), listeners[i].port);
    buf_add_text(out, "}\n\n-- Self-signed, made at the first start.\ntls = {\n    certificate = ");
    write_quoted(s->directory, "/tls/certificate.pem", out);
    buf_add_text(out, ",\n    key = ");
    write_quoted(s->directory, "/tls/key.pem", out);
    buf_add_text(out, ",\n}\n\n");
    buf_add_text(out, config_tail);
}

/* ---- Files ---- */

/* A whole new file or none. 0 or -errno. */
static int write_file(const char *path, mode_t mode, struct span text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return -errno;
    int error = 0;
    while (text.size && !error) {
        ssize_t n = write(fd, text.data, text.size);
        if (n >= 0)
            text = span_skip(text, (size_t)n);
        else if (errno != EINTR)
            error = -errno;
    }
    if (close(fd) != 0 && !error)
        error = -errno;
    if (error)
        unlink(path);
    return error;
}

static int make_config(struct sandbox *s)
{
    struct buf text;
    buf_init(&text, FILE_MAX);
    buf_add_text(&s->config_path, s->directory);
    buf_add_text(&s->config_path, "/ostiary.conf");
    buf_add(&s->config_path, "", 1);
    sandbox_write_config(s, &text);
    int error = buf_failed(&text) || buf_failed(&s->config_path)
                    ? -ENOMEM
                    : write_file(s->config_path.data, 0644, buf_span(&text));
    buf_release(&text);
    if (error && error != -EEXIST)
        return ctl_fail(s->ctl, EX_CANTCREAT, "%s can't be made: %s", s->config_path.data, strerror(-error));
    s->settings = settings_read_file(s->config_path.data, &s->ctl->problem);
    if (!s->settings)
        return EX_CONFIG;
    for (size_t i = 0; error == -EEXIST && s->has_base && i < s->settings->listener_count; i++) {
        const struct listener_setting *l = &s->settings->listeners[i];
        if (l->service == SERVICE_SMTP && l->port != s->port_base + 25)
            return ctl_fail(s->ctl, EX_CONFIG,
                            "%s has smtp at port %u: change its listeners there, or leave --port-base %u away",
                            s->config_path.data, l->port, s->port_base);
    }
    return EX_OK;
}

static int make_certificate(struct sandbox *s)
{
    struct buf directory, certificate, key;
    int error = 0;
    const char *certificate_path = s->settings->tls.certificate, *key_path = s->settings->tls.key;
    if (!*certificate_path || access(certificate_path, F_OK) == 0)
        return EX_OK;
    buf_init(&directory, PATH_MAX);
    buf_init(&certificate, FILE_MAX);
    buf_init(&key, FILE_MAX);
    buf_printf(&directory, "%s/tls", s->directory);
    buf_add(&directory, "", 1);
    if (buf_failed(&directory))
        error = -ENAMETOOLONG;
    else if (mkdir(directory.data, 0700) != 0 && errno != EEXIST)
        error = -errno;
    if (!error)
        error = tls_make_self_signed(s->settings->hostname, &certificate, &key);
    if (!error)
        error = write_file(key_path, 0600, buf_span(&key));
    if (!error)
        error = write_file(certificate_path, 0644, buf_span(&certificate));
    if (key.data)
        explicit_bzero(key.data, key.size);
    buf_release(&directory);
    buf_release(&certificate);
    buf_release(&key);
    return error ? ctl_fail(s->ctl, EX_CANTCREAT, "no certificate can be made at %s: %s", certificate_path,
                            strerror(-error))
                 : EX_OK;
}

static int make_directory(struct sandbox *s)
{
    const char *wanted = ctl_option(s->ctl, "dir");
    char template[PATH_MAX];
    bool made = false;
    if (wanted && !*wanted)
        return ctl_fail(s->ctl, EX_USAGE, "--dir needs the name of a directory");
    if (!wanted) {
        const char *parent = getenv("TMPDIR");
        snprintf(template, sizeof template, "%s/ostiary-sandbox-XXXXXX", parent && *parent ? parent : "/tmp");
        wanted = mkdtemp(template);
        if (!wanted)
            return ctl_fail(s->ctl, EX_CANTCREAT, "no temporary directory like %s can be made: %s", template,
                            strerror(errno));
        s->temporary = true;
    } else if (!(made = mkdir(wanted, 0711) == 0) && errno != EEXIST) {
        return ctl_fail(s->ctl, EX_CANTCREAT, "the directory %s can't be made: %s", wanted, strerror(errno));
    }
    s->directory = realpath(wanted, NULL);
    struct stat status;
    if (!s->directory || stat(s->directory, &status) != 0 || !S_ISDIR(status.st_mode) ||
        access(s->directory, W_OK | X_OK) != 0)
        return ctl_fail(s->ctl, EX_CANTCREAT, "%s is not a directory that can be written to", wanted);
    if (strlen(s->directory) + sizeof "/data" - 1 > DATA_DIRECTORY_MAX) {
        if (made && rmdir(s->directory) != 0)
            return ctl_fail(s->ctl, EX_CANTCREAT, "%s can't be removed: %s", s->directory, strerror(errno));
        return ctl_fail(
            s->ctl, EX_CANTCREAT,
            "the path %s has %zu bytes and leaves no room for the control socket's; one of at most %zu will "
            "do, see --dir and TMPDIR",
            s->directory, strlen(s->directory), DATA_DIRECTORY_MAX - (sizeof "/data" - 1));
    }
    /* The server's user has to come through to the data directory. The data itself and the key stay closed to others.
     */
    if (s->temporary && chmod(s->directory, 0711) != 0)
        return ctl_fail(s->ctl, EX_CANTCREAT, "%s can't be opened to the server's user: %s", s->directory,
                        strerror(errno));
    return EX_OK;
}

int sandbox_make_files(struct sandbox *s)
{
    int status = make_directory(s);
    if (status == EX_OK)
        status = make_config(s);
    if (status == EX_OK)
        status = make_certificate(s);
    return status;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    if (remove(path) != 0)
        fprintf(stderr, "ostiary: %s can't be removed: %s\n", path, strerror(errno));
    return 0;
}

void sandbox_remove_files(const struct sandbox *s)
{
    if (nftw(s->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        fprintf(stderr, "ostiary: %s can't be removed: %s\n", s->directory, strerror(errno));
}

#include "config/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct settings *read_text(const char *text, struct buf *problem)
{
    buf_init(problem, 4096);
    return settings_read_text("t.conf", span_text(text), problem);
}

static void test_defaults(void **state)
{
    struct buf problem;
    struct settings *s = read_text("hostname = 'mx.example.org'", &problem);
    assert_non_null(s);
    assert_string_equal(s->hostname, "mx.example.org");
    assert_string_equal(s->file, "t.conf");
    assert_string_equal(s->data_directory, "/var/lib/ostiary");
    assert_int_equal(s->smtp.message_size, 50u << 20);
    assert_int_equal(s->smtp.command_timeout, 300);
    assert_int_equal(s->tls.oldest, 12);
    assert_int_equal(s->log.level, LOG_LOW);
    assert_int_equal(s->listener_count, 3);
    assert_int_equal(s->listeners[2].service, SERVICE_POP3);
    assert_int_equal(s->trusted_networks.count, 0);
    settings_unref(s);
    buf_release(&problem);
}

static void test_words_and_records(void **state)
{
    struct buf problem;
    struct settings *s = read_text("hostname = 'mx.example.org'\n"
                                   "dns = { servers = { '192.0.2.1', '2001:db8::1@5353' } }\n"
                                   "dns_lists = { { zone = 'bl.example.org' },\n"
                                   "  { zone = 'wl.example.org', kind = 'white', ipv6 = false,\n"
                                   "    answers = { '127.0.0.2', '127.0.0.4-127.0.0.11' } } }",
                                   &problem);
    assert_non_null(s);
    assert_int_equal(s->dns.servers.count, 2);
    assert_string_equal(s->dns.servers.words[1], "2001:db8::1@5353");
    assert_int_equal(s->dns_list_count, 2);
    assert_string_equal(s->dns_lists[0].zone, "bl.example.org");
    assert_int_equal(s->dns_lists[0].kind, DNS_LIST_BLACK);
    assert_true(s->dns_lists[0].ipv4 && s->dns_lists[0].ipv6);
    assert_int_equal(s->dns_lists[0].answers.count, 0);
    assert_int_equal(s->dns_lists[1].kind, DNS_LIST_WHITE);
    assert_true(s->dns_lists[1].ipv4 && !s->dns_lists[1].ipv6);
    assert_string_equal(s->dns_lists[1].answers.words[1], "127.0.0.4-127.0.0.11");
    settings_unref(s);
    buf_release(&problem);
}

static void test_byte_order_mark(void **state)
{
    struct buf problem;
    struct settings *s = read_text("\xef\xbb\xbfhostname = 'mx.example.org'\r\n", &problem);
    assert_non_null(s);
    assert_string_equal(s->hostname, "mx.example.org");
    settings_unref(s);
    buf_release(&problem);
}

static void test_values(void **state)
{
    struct buf problem;
    struct settings *s =
        read_text("local base = 10000\n"
                  "hostname = 'mx.' .. string.lower('EXAMPLE.org')\n"
                  "listeners = {}\n"
                  "for i, name in ipairs({ 'smtp', 'pop3' }) do\n"
                  "  table.insert(listeners, { service = name, address = '::0', port = base + i })\n"
                  "end\n"
                  "trusted_networks = { '10.0.0.0/8', '::1', '192.0.2.7' }\n"
                  "smtp = { message_size = '2M', vrfy = true, command_timeout = '90s', detail_separator = '' }\n"
                  "pop3.idle_timeout = 900\n"
                  "tls.oldest = 1.3\n"
                  "store = { default_quota = 1e3 }\n"
                  "smtp.errors = store.default_quota // 10\n"
                  "if not smtp.vrfy or user then error('reading a setting') end\n",
                  &problem);
    if (!s)
        fail_msg("%.*s", SPAN_ARG(buf_span(&problem)));
    assert_string_equal(s->hostname, "mx.example.org");
    assert_int_equal(s->listener_count, 2);
    assert_int_equal(s->listeners[1].port, 10002);
    assert_string_equal(s->listeners[1].address, "::");
    assert_int_equal(s->smtp.message_size, 2u << 20);
    assert_int_equal(s->smtp.command_timeout, 90);
    assert_true(s->smtp.vrfy);
    assert_string_equal(s->smtp.detail_separator, "");
    assert_int_equal(s->pop3.idle_timeout, 900);
    assert_int_equal(s->tls.oldest, 13);
    assert_int_equal(s->store.default_quota, 1000);
    assert_int_equal(s->smtp.errors, 100);
    static const struct {
        unsigned char address[16];
        bool in;
    } rows[] = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 1, 2, 3}, true},
                {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 11, 1, 2, 3}, false},
                {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7}, true},
                {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 6}, false},
                {{[15] = 1}, true},
                {{[15] = 2}, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(network_list_has(&s->trusted_networks, rows[i].address), rows[i].in);
    settings_unref(s);
    buf_release(&problem);
}

/* Each kind of fault with its whole sentence. H stands for a good first line. */
#define H "hostname = 'mx.example.org'\n"
static const struct {
    const char *text, *problem;
} faults[] = {
    {"hostnme = 'x.example.org'", "t.conf:1: unknown key 'hostnme'; did you mean 'hostname'?"},
    {H "\nfoo = 1", "t.conf:3: unknown key 'foo'; variables of your own are written with 'local'"},
    {H "recipients = 5", "t.conf:2: unknown key 'recipients'; did you mean 'smtp.recipients'?"},
    {H "smpt = {}", "t.conf:2: unknown key 'smpt'; did you mean 'smtp'?"},
    {H "smtp = {\n  errors = 5,\n  recipents = 10,\n}",
     "t.conf:4: unknown key 'smtp.recipents'; did you mean 'smtp.recipients'?"},
    {H "\nsmtp.recipents = 10", "t.conf:3: unknown key 'smtp.recipents'; did you mean 'smtp.recipients'?"},
    {H "_ENV['smtp.errors'] = 3", "t.conf:2: unknown key 'smtp.errors'; did you mean 'smtp.errors'?"},
    {H "smtp = 5", "t.conf:2: smtp: expected a table like { name = value }, found 5"},
    {H "smtp = {\n 5 }",
     "t.conf:2: smtp: expected names with values, like { name = value }, and no list item, found 5"},
    {"hostname = 5", "t.conf:1: hostname: expected a full domain name like \"mail.example.org\", found 5"},
    {"hostname = 'localhost'",
     "t.conf:1: hostname: expected a full domain name like \"mail.example.org\", found \"localhost\""},
    {"hostname = '192.0.2.1'",
     "t.conf:1: hostname: expected a full domain name like \"mail.example.org\", found \"192.0.2.1\""},
    {"hostname = 'a\\n.b'",
     "t.conf:1: hostname: expected a full domain name like \"mail.example.org\", found \"a?.b\""},
    {H "smtp = {\n  vrfy = 'yes' }", "t.conf:3: smtp.vrfy: expected true or false, found \"yes\""},
    {H "smtp.recipients = 0", "t.conf:2: smtp.recipients: expected a whole number from 1 to 10000, found 0"},
    {H "smtp.recipients = 1.5", "t.conf:2: smtp.recipients: expected a whole number from 1 to 10000, found 1.5"},
    {H "smtp.recipients = '5'", "t.conf:2: smtp.recipients: expected a whole number from 1 to 10000, found \"5\""},
    {H "smtp.recipients = {}", "t.conf:2: smtp.recipients: expected a whole number from 1 to 10000, found a table"},
    {H "smtp.message_size = '5X'", "t.conf:2: smtp.message_size: expected a size from 1K to 2G, in bytes or with K, M, "
                                   "G or T as in \"50M\", found \"5X\""},
    {H "smtp.message_size = '99999999999999999999'",
     "t.conf:2: smtp.message_size: expected a size from 1K to 2G, in bytes or with K, M, G or T as in \"50M\", found "
     "\"99999999999999999999\""},
    {H "pop3.idle_timeout = '5m'", "t.conf:2: pop3.idle_timeout: expected a time from 10m to 1d, in seconds or with s, "
                                   "m, h or d as in \"5m\", found \"5m\""},
    {H "log = { level = 'loud' }", "t.conf:2: log.level: expected one of \"crash\", \"failure\", \"major\", "
                                   "\"problem\", \"low\", \"all\", found \"loud\""},
    {H "data_directory = 'mail'",
     "t.conf:2: data_directory: expected an absolute path of at most 90 bytes, found \"mail\""},
    {H "user = 'Bad Name'", "t.conf:2: user: expected the name of a system user, found \"Bad Name\""},
    {H "log.target = 'file'",
     "t.conf:2: log.target: expected \"stderr\", \"syslog\" or an absolute path, found \"file\""},
    {H "trusted_networks = '10.0.0.0/8'", "t.conf:2: trusted_networks: expected a list of at most 256 networks like { "
                                          "\"192.0.2.0/24\", \"2001:db8::/32\" }, found \"10.0.0.0/8\""},
    {H "trusted_networks = {\n '10.0.0.0/8',\n '10.0.0.1/8' }",
     "t.conf:4: trusted_networks, item 2: expected a network like \"192.0.2.0/24\", its bits behind the prefix zero, "
     "found \"10.0.0.1/8\""},
    {H "listeners = {}", "t.conf:2: listeners: expected a list of 1 to 32 listeners like { service = \"smtp\", address "
                         "= \"0.0.0.0\", port = 25 }, found a table"},
    {H "listeners = {\n { service = 'stmp', address = '::', port = 25 } }",
     "t.conf:3: listeners, item 1, service: expected one of \"smtp\", \"submission\", \"submissions\", \"pop3\", "
     "\"pop3s\", \"pwd\", \"pwds\", found \"stmp\""},
    {H "listeners = {\n { service = 'smtp', address = '::', prot = 25 } }",
     "t.conf:3: unknown key 'listeners, item 1, prot'; did you mean 'port'?"},
    {H "listeners = {\n { service = 'smtp', address = '::' } }", "t.conf:3: listeners, item 1: 'port' is missing"},
    {H "listeners = {\n { service = 'smtp', address = '::', port = 70000 } }",
     "t.conf:3: listeners, item 1, port: expected a whole number from 1 to 65535, found 70000"},
    {H "listeners = {\n { service = 'smtp', address = '0.0.0.0', port = 25 },\n { service = 'pop3', address = "
       "'0.0.0.0', port = 25 } }",
     "t.conf:4: two listeners have the address 0.0.0.0 and port 25"},
    {H "listeners = {\n { service = 'pop3s', address = '::', port = 995 } }",
     "t.conf:3: a pop3s listener needs TLS; set tls.certificate and tls.key"},
    {H "tls = {\n\n  certificate = '/x' }", "t.conf:4: tls.certificate is set but tls.key is not; TLS needs both"},
    {H "auth.hash_cost = 12",
     "t.conf:2: auth.hash_cost of \"$y$\" is from 1 to 11 (or 0 for the default), but it is 12"},
    {H "store = { volume_size = '1M' }",
     "t.conf:2: store.volume_size (\"1M\") is smaller than smtp.message_size (\"50M\"); a volume has to hold at least "
     "one message"},
    {H "smtp.message_size = '1G'",
     "t.conf:2: store.volume_size (\"256M\") is smaller than smtp.message_size (\"1G\"); a volume has to hold at least "
     "one message"},
    {H "\nsmtp = {\n message_size = '64K' }",
     "t.conf:4: smtp.message_size (\"64K\") is smaller than smtp.header_size (\"256K\"); a message has to hold its "
     "header, so lower smtp.header_size too"},
    {H "hostname = 'b.example.org'", "t.conf:2: 'hostname' was already set in line 1"},
    {H "smtp.errors = 5\nsmtp = {}", "t.conf:3: 'smtp' is set as a whole after parts of it"},
    {H "smtp.errors = 5\nsmtp.errors = 6", "t.conf:3: 'smtp.errors' was already set in line 2"},
    {H "smtp = { errors = 5 }\n\nsmtp.errors = 6", "t.conf:4: 'smtp.errors' was already set in the table of line 2"},
    {H "smtp = nil\nsmtp.errors = 0", "t.conf:3: smtp.errors: expected a whole number from 1 to 100000, found 0"},
    {H "dns = {\n servers = { '192.0.2.1',\n 'one' } }",
     "t.conf:4: dns.servers, item 2: expected an address like \"192.0.2.53\", with another port "
     "\"192.0.2.53@5353\", found \"one\""},
    {H "dns.servers = { '192.0.2.1@0' }",
     "t.conf:2: dns.servers, item 1: expected an address like \"192.0.2.53\", with another port "
     "\"192.0.2.53@5353\", found \"192.0.2.1@0\""},
    {H "dns.servers = '192.0.2.1'", "t.conf:2: dns.servers: expected a list of at most 8 addresses like { "
                                    "\"192.0.2.53\", \"192.0.2.54@5353\" }, found \"192.0.2.1\""},
    {H "dns.zones = { 'example.org' }",
     "t.conf:2: dns.zones, item 1: expected a zone with its server like \"example.org=192.0.2.53@5353\", found "
     "\"example.org\""},
    {H "dns_lists = {\n { kind = 'black' } }", "t.conf:3: dns_lists, item 1: 'zone' is missing"},
    {H "dns_lists = {\n { zone = 'a.example', kind = 'grey' } }",
     "t.conf:3: dns_lists, item 1, kind: expected one of \"black\", \"white\", found \"grey\""},
    {H "dns_lists = {\n { zone = 'a.example', answers = {\n '127.0.0.2',\n '10.0.0.1' } } }",
     "t.conf:5: dns_lists, item 1, answers, item 2: expected an answer like \"127.0.0.2\" or a range like "
     "\"127.0.0.4-127.0.0.11\", found \"10.0.0.1\""},
    {H "dns_lists = {\n { zone = 'a.example', answers = { '127.0.0.9-127.0.0.2' } } }",
     "t.conf:3: dns_lists, item 1, answers, item 1: expected an answer like \"127.0.0.2\" or a range like "
     "\"127.0.0.4-127.0.0.11\", found \"127.0.0.9-127.0.0.2\""},
    {H "dns_lists = {\n { zone = 'a.example', answer = {} } }",
     "t.conf:3: unknown key 'dns_lists, item 1, answer'; did you mean 'answers'?"},
    {H "listen = {}", "t.conf:2: unknown key 'listen'; did you mean 'listeners'?"},
    {H "smpt.errors = 5", "t.conf:2: unknown name 'smpt'; did you mean 'smtp'?"},
    {"hostname = mail.example.org", "t.conf:1: unknown name 'mail'; texts stand in quotes, as in \"mail\""},
    {H "return { user = 'mail' }",
     "t.conf: the file returns a value; settings are assigned, like hostname = \"mail.example.org\""},
    {"hostname = 'x.org\n", "t.conf:1: unfinished string near ''x.org'"},
    {H "local x = nil + 1", "t.conf:2: attempt to perform arithmetic on a nil value"},
    {H "io.open('/etc/passwd')", "t.conf:2: unknown name 'io'; texts stand in quotes, as in \"io\""},
    {H "os.exit(1)", "t.conf:2: unknown name 'os'; texts stand in quotes, as in \"os\""},
    {H "require('x')", "t.conf:2: unknown name 'require'; texts stand in quotes, as in \"require\""},
    {H "load('x = 1')", "t.conf:2: unknown name 'load'; texts stand in quotes, as in \"load\""},
    {H "local s = ('x'):rep(3)", "t.conf:2: attempt to index a string value (constant 'x')"},
    {H "while true do end", "t.conf:2: the file computes for too long"},
    {H "local t = {}\nfor i = 1, 1e9 do t[i] = string.rep('x', 100000) .. i end",
     "t.conf: the file takes too much memory"},
    {H "error('mine')", "t.conf:2: mine"},
    {H "error({})", "t.conf: the file raised an error that is not a text"},
    {"\033Lua", "t.conf: attempt to load a binary chunk (mode is 't')"},
    /* Of several faults the first in the file is told. */
    {H "smtp = { errors = 0 }\nfoo = 1\nlog = { keep = -1 }",
     "t.conf:2: smtp.errors: expected a whole number from 1 to 100000, found 0"},
};

static void test_faults(void **state)
{
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct buf problem;
        struct settings *s = read_text(faults[i].text, &problem);
        if (s || !span_is(buf_span(&problem), faults[i].problem)) {
            print_error("row %zu:\n  expected %s\n  found    %.*s\n", i, faults[i].problem,
                        SPAN_ARG(buf_span(&problem)));
            wrong++;
        }
        settings_unref(s);
        buf_release(&problem);
    }
    assert_int_equal(wrong, 0);
}

static void test_hostname_of_the_system(void **state)
{
    struct buf problem;
    struct settings *s = read_text("", &problem);
    if (s)
        assert_non_null(strchr(s->hostname, '.'));
    else
        assert_true(span_starts_nocase(buf_span(&problem),
                                       span_text("t.conf: hostname is not set, and the system's own name '")));
    settings_unref(s);
    buf_release(&problem);
}

static void test_no_file(void **state)
{
    struct buf problem;
    buf_init(&problem, 4096);
    assert_null(settings_read_file("/nonexistent/ostiary.conf", &problem));
    assert_true(span_is(buf_span(&problem), "/nonexistent/ostiary.conf can't be read: No such file or directory"));
    buf_release(&problem);
}

static void test_file_on_disk(void **state)
{
    struct buf problem;
    char path[] = "/tmp/ostiary-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, H, sizeof H - 1), sizeof H - 1);
    close(fd);
    buf_init(&problem, 4096);
    struct settings *s = settings_read_file(path, &problem);
    assert_non_null(s);
    assert_string_equal(s->file, path);
    settings_unref(s);
    unlink(path);
    buf_release(&problem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),        cmocka_unit_test(test_words_and_records),
        cmocka_unit_test(test_byte_order_mark), cmocka_unit_test(test_values),
        cmocka_unit_test(test_faults),          cmocka_unit_test(test_hostname_of_the_system),
        cmocka_unit_test(test_no_file),         cmocka_unit_test(test_file_on_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

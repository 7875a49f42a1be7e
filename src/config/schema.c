#include "config/schema.h"

#include "config/nearest.h"

#include <stddef.h>

#define K (1024ull)
#define M (1024ull * K)
#define G (1024ull * M)
#define T (1024ull * G)
#define MINUTE 60ull
#define HOUR (60ull * MINUTE)
#define DAY (24ull * HOUR)

#define FIELD(field) offsetof(struct settings, field), sizeof(((struct settings *)NULL)->field)
#define DNS_LIST_FIELD(field) offsetof(struct dns_list_setting, field), sizeof(((struct dns_list_setting *)NULL)->field)
#define LISTENER_FIELD(field) offsetof(struct listener_setting, field), sizeof(((struct listener_setting *)NULL)->field)

static const struct setting_choice services[] = {{"smtp", SERVICE_SMTP},
                                                 {"submission", SERVICE_SUBMISSION},
                                                 {"submissions", SERVICE_SUBMISSIONS},
                                                 {"pop3", SERVICE_POP3},
                                                 {"pop3s", SERVICE_POP3S},
                                                 {"pwd", SERVICE_PWD},
                                                 {"pwds", SERVICE_PWDS},
                                                 {NULL, 0}};
static const struct setting_choice tls_versions[] = {{"1.2", 12}, {"1.3", 13}, {NULL, 0}};
static const struct setting_choice levels[] = {{"crash", LOG_CRASH},
                                               {"failure", LOG_FAILURE},
                                               {"major", LOG_MAJOR},
                                               {"problem", LOG_PROBLEM},
                                               {"low", LOG_LOW},
                                               {"all", LOG_ALL},
                                               {NULL, 0}};
static const struct setting_choice separators[] = {{"", 0}, {"+", 0}, {"-", 0}, {"_", 0}, {"=", 0}, {NULL, 0}};
static const struct setting_choice families[] = {
    {"both", FAMILIES_BOTH}, {"ipv4", FAMILIES_IPV4}, {"ipv6", FAMILIES_IPV6}, {NULL, 0}};
static const struct setting_choice smart_host_tls[] = {{"offered", SMART_HOST_TLS_OFFERED},
                                                       {"starttls", SMART_HOST_TLS_STARTTLS},
                                                       {"implicit", SMART_HOST_TLS_IMPLICIT},
                                                       {"none", SMART_HOST_TLS_NONE},
                                                       {NULL, 0}};
static const struct setting_choice hashes[] = {{"$y$", 0}, {"$gy$", 0}, {"$7$", 0}, {"$2b$", 0},
                                               {"$6$", 0}, {"$5$", 0},  {NULL, 0}};

static const struct setting listener_fields[] = {
    {"service", SETTING_CHOICE, LISTENER_FIELD(service), 0, 0, services, NULL, "What is spoken there."},
    {"address", SETTING_ADDRESS, LISTENER_FIELD(address), 1, 64, NULL, NULL,
     "The address to listen on: \"0.0.0.0\" is all of IPv4, \"::\" all of IPv6."},
    {"port", SETTING_COUNT, LISTENER_FIELD(port), 1, 65535, NULL, NULL, "The TCP port."},
};
const struct record_type listener_record = {
    listener_fields,
    sizeof listener_fields / sizeof *listener_fields,
    sizeof(struct listener_setting),
    "listeners like { service = \"smtp\", address = \"0.0.0.0\", port = 25 }",
    "a listener like { service = \"smtp\", address = \"0.0.0.0\", port = 25 }",
    "a listener has service, address and port",
};

static const struct setting_choice list_kinds[] = {{"black", DNS_LIST_BLACK}, {"white", DNS_LIST_WHITE}, {NULL, 0}};
static const struct setting dns_list_fields[] = {
    {"zone", SETTING_DOMAIN, DNS_LIST_FIELD(zone), 1, 180, NULL, NULL, "The list's domain."},
    {"kind", SETTING_CHOICE, DNS_LIST_FIELD(kind), 0, 0, list_kinds, "black", "Whom it lists."},
    {"answers", SETTING_WORDS, DNS_LIST_FIELD(answers), 0, 32, NULL, "", "The answers that count; none: all.",
     .words = &word_answer},
    {"ipv4", SETTING_BOOL, DNS_LIST_FIELD(ipv4), 0, 0, NULL, "true", "Asked about IPv4 addresses."},
    {"ipv6", SETTING_BOOL, DNS_LIST_FIELD(ipv6), 0, 0, NULL, "true", "Asked about IPv6 addresses."},
};
const struct record_type dns_list_record = {
    dns_list_fields,
    sizeof dns_list_fields / sizeof *dns_list_fields,
    sizeof(struct dns_list_setting),
    "lists like { zone = \"bl.example.org\", kind = \"black\", answers = { \"127.0.0.2\" }, ipv6 = false }",
    "a list like { zone = \"bl.example.org\", kind = \"black\", answers = { \"127.0.0.2\" }, ipv6 = false }",
    "a list has zone, kind, answers, ipv4 and ipv6",
};
_Static_assert(sizeof(struct dns_list_setting) <= RECORD_SIZE_MAX, "a record is read into a place of this size");

const struct setting schema[] = {
    {"hostname", SETTING_DOMAIN, FIELD(hostname), 1, 253, NULL, NULL,
     "This server's name as others know it: it stands in greetings and in Received lines. Without it the system's own "
     "name is taken, if that has a dot.",
     .worked_out = "the system's own name"},
    {"data_directory", SETTING_PATH, FIELD(data_directory), 1, 90, NULL, SETTINGS_DATA_DIRECTORY,
     "The directory that holds all mail, the database and the control socket. It is made at the first start."},
    {"user", SETTING_USER, FIELD(user), 1, 32, NULL, "ostiary",
     "The system user that the server becomes when it is started as root. Started otherwise it stays who it is. Where "
     "there are also users of this name with -gate, -desk or -auth behind it, the processes of that kind become "
     "those."},
    {"listeners", SETTING_RECORDS, FIELD(listeners), 1, 32, NULL,
     "smtp 0.0.0.0 25;submission 0.0.0.0 587;pop3 0.0.0.0 110",
     "Where the server listens, one { service = …, address = …, port = … } for each. Services are smtp (strangers' "
     "mail), submission (members' mail, STARTTLS), "
     "submissions (the same, TLS from the first byte), pop3, pop3s, pwd (people change their passwords, usually at "
     "port 106) and pwds (the same, TLS from the first byte; it has no port of its own by custom, 906 does). Write a "
     "second line with \"::\" for IPv6.",
     .records = &listener_record},
    {"trusted_networks", SETTING_NETWORKS, FIELD(trusted_networks), 0, 256, NULL, "",
     "Networks from which passwords are accepted without TLS. Leave it empty unless the wire between is your own."},
    {"client_networks", SETTING_NETWORKS, FIELD(client_networks), 0, 256, NULL, "",
     "Networks whose machines may send to other sites through this server without logging in, as a LAN's printers do. "
     "Black lists do not apply to them."},
    {"dns_lists", SETTING_RECORDS, FIELD(dns_lists), 0, 32, NULL, "",
     "Lists of addresses that are asked by the DNS about every stranger who connects. A \"white\" list outweighs all "
     "\"black\" ones. `answers` names the answers that count, `ipv4 = false` and `ipv6 = false` leave a family out. A "
     "list that does not answer, or fails its self-test (RFC 5782), lists nobody; one that is silent three times in a "
     "row is left out until it answers again.",
     .records = &dns_list_record},

    {"blacklist.files", SETTING_WORDS, FIELD(blacklist.files), 0, 64, NULL, "",
     "Files of the site's own black list, by their paths: an address, network, range, host name or pattern a line, "
     "\"!\" in front of exceptions. They are read again on \"ostiary reload\". The list that \"ostiary blacklist\" "
     "keeps (blacklist.txt in the data directory) is read in any case.",
     .words = &word_path},

    {"dns.servers", SETTING_WORDS, FIELD(dns.servers), 0, 8, NULL, "",
     "DNS servers that all questions go to, with \"@port\" behind if it is not 53. Without any the server asks by "
     "itself, from the root servers on; that is best, as most DNS lists refuse the questions of public resolvers.",
     .words = &word_server},
    {"dns.zones", SETTING_WORDS, FIELD(dns.zones), 0, 64, NULL, "",
     "Zones that are asked of a server of their own: a zone of the local network, or a copy of a DNS list.",
     .words = &word_zone},
    {"dns.timeout", SETTING_DURATION, FIELD(dns.timeout), 1, MINUTE, NULL, "5",
     "How long a question to the DNS may take."},
    {"dns.dnssec", SETTING_BOOL, FIELD(dns.dnssec), 0, 0, NULL, "true",
     "Checks signed answers and does not believe wrong ones (DNSSEC)."},
    {"dns.trust_anchor", SETTING_PATH, FIELD(dns.trust_anchor), 1, 1024, NULL, "/usr/share/dns/root.key",
     "The file with the root zone's key, of the Debian package dns-root-data. Where it is missing no answer is "
     "checked."},

    {"tls.certificate", SETTING_PATH, FIELD(tls.certificate), 0, 1024, NULL, "",
     "The PEM file with the certificate chain, the server's own certificate first. Without it no TLS is offered."},
    {"tls.key", SETTING_PATH, FIELD(tls.key), 0, 1024, NULL, "",
     "The PEM file with the private key of tls.certificate."},
    {"tls.oldest", SETTING_CHOICE, FIELD(tls.oldest), 0, 0, tls_versions, "1.2",
     "The oldest version of TLS that is accepted."},

    {"processes.gates", SETTING_COUNT, FIELD(processes.gates), 1, 16, NULL, "2",
     "How many processes serve strangers (smtp). As many as there are processor cores is enough."},
    {"processes.desks", SETTING_COUNT, FIELD(processes.desks), 1, 16, NULL, "2",
     "How many processes serve members (submission, pop3, pwd)."},
    {"processes.readers", SETTING_COUNT, FIELD(processes.readers), 1, 16, NULL, "1",
     "How many processes read the store for the others."},
    {"processes.connections", SETTING_COUNT, FIELD(processes.connections), 1, 100000, NULL, "4000",
     "How many connections one gate or desk process holds at a time. When all are taken, a newcomer gets the place of "
     "a client that keeps the server waiting for two seconds or more and has not logged in; while there is none it is "
     "answered 421 (-ERR) and closed."},
    {"processes.connections_per_address", SETTING_COUNT, FIELD(processes.connections_per_address), 1, 100000, NULL,
     "50", "How many connections one address (IPv6: one /64 network) may hold at a time."},
    {"processes.stop_grace", SETTING_DURATION, FIELD(processes.stop_grace), 0, HOUR, NULL, "30",
     "How long sessions may go on when the server is asked to stop."},

    {"smtp.message_size", SETTING_SIZE, FIELD(smtp.message_size), K, 2 * G, NULL, "50M",
     "The largest message that is accepted (RFC 1870). RFC 5321 asks for 64K at least."},
    {"smtp.recipients", SETTING_COUNT, FIELD(smtp.recipients), 1, 10000, NULL, "1000",
     "The most recipients of one transaction. RFC 5321 asks for 100 at least."},
    {"smtp.header_size", SETTING_SIZE, FIELD(smtp.header_size), K, 448 * K, NULL, "256K",
     "The most bytes that a message's header may have."},
    {"smtp.header_lines", SETTING_COUNT, FIELD(smtp.header_lines), 10, 1000000, NULL, "10000",
     "The most lines that a message's header may have."},
    {"smtp.received_hops", SETTING_COUNT, FIELD(smtp.received_hops), 10, 1000, NULL, "100",
     "A message with more Received lines than this goes round in circles and is refused (RFC 5321 section 6.3)."},
    {"smtp.line_length", SETTING_SIZE, FIELD(smtp.line_length), 0, G, NULL, "0",
     "The longest body line that is accepted, its line end not counted; 0 is no limit but the message's. RFC 5321 asks "
     "for 998 at least."},
    {"smtp.command_timeout", SETTING_DURATION, FIELD(smtp.command_timeout), 1, HOUR, NULL, "5m",
     "How long a client may take for one whole command line (RFC 5321 section 4.5.3.2)."},
    {"smtp.data_timeout", SETTING_DURATION, FIELD(smtp.data_timeout), 1, HOUR, NULL, "3m",
     "How long a client may send nothing in the middle of a message."},
    {"smtp.data_minimum_rate", SETTING_SIZE, FIELD(smtp.data_minimum_rate), 0, M, NULL, "64",
     "Bytes a second that a client has to send in each minute of a message; 0 is no demand."},
    {"smtp.session_timeout", SETTING_DURATION, FIELD(smtp.session_timeout), 1, DAY, NULL, "1h",
     "How long a session may last altogether."},
    {"smtp.errors", SETTING_COUNT, FIELD(smtp.errors), 1, 100000, NULL, "20",
     "After so many wrong commands and refusals the session is ended with 421."},
    {"smtp.transactions", SETTING_COUNT, FIELD(smtp.transactions), 1, 100000000, NULL, "1000",
     "The most messages of one session."},
    {"smtp.quota_full_is_permanent", SETTING_BOOL, FIELD(smtp.quota_full_is_permanent), 0, 0, NULL, "false",
     "Mail for a full mailbox is refused for good (552 5.2.2) instead of for now (452 4.2.2)."},
    {"smtp.repair_members_line_ends", SETTING_BOOL, FIELD(smtp.repair_members_line_ends), 0, 0, NULL, "false",
     "A bare CR or LF from a member's client becomes CRLF instead of 550 5.6.11. Strangers' mail is never repaired."},
    {"smtp.detail_separator", SETTING_TEXT, FIELD(smtp.detail_separator), 0, 1, separators, "+",
     "alice+shop@example.org reaches alice where this is \"+\"; \"\" switches it off (RFC 5233)."},
    {"smtp.vrfy", SETTING_BOOL, FIELD(smtp.vrfy), 0, 0, NULL, "false",
     "VRFY says who exists. Otherwise it answers 252 to everything, so that nobody can gather addresses."},
    {"smtp.check_sender", SETTING_BOOL, FIELD(smtp.check_sender), 0, 0, NULL, "true",
     "Refuses strangers' mail whose return-path has a domain that no mail can go to: without MX, A and AAAA records."},

    {"pop3.idle_timeout", SETTING_DURATION, FIELD(pop3.idle_timeout), 10 * MINUTE, DAY, NULL, "10m",
     "How long a logged-in POP3 client may be silent. RFC 1939 asks for ten minutes at least."},
    {"pop3.login_timeout", SETTING_DURATION, FIELD(pop3.login_timeout), 1, HOUR, NULL, "1m",
     "How long a POP3 client may take to log in."},
    {"pop3.login_delay", SETTING_DURATION, FIELD(pop3.login_delay), 0, DAY, NULL, "0",
     "The least time between two logins of one account (RFC 2449 LOGIN-DELAY); 0 is none."},
    {"pop3.apop", SETTING_BOOL, FIELD(pop3.apop), 0, 0, NULL, "false",
     "Offers APOP. It needs passwords to be kept in readable form, those set from then on."},
    {"pop3.errors", SETTING_COUNT, FIELD(pop3.errors), 1, 100000, NULL, "10",
     "After so many wrong commands the connection is closed."},
    {"pop3.xtnd_xmit", SETTING_BOOL, FIELD(pop3.xtnd_xmit), 0, 0, NULL, "false",
     "Lets people send mail over their POP3 connection (XTND XMIT), as Eudora does. An error reply means that "
     "the message can never be sent; what can't be delivered just now waits in the queue. Where not even that "
     "is possible (the store does not come back within 20 seconds, or its disk fails) the connection is closed "
     "without a reply: Eudora throws a message away at an error reply, and keeps and repeats it when there is "
     "none."},

    {"submission.daily_recipients", SETTING_COUNT, FIELD(submission.daily_recipients), 0, 100000000, NULL, "2000",
     "How many recipients at other sites an account may send to in a day (UTC); 0 is no limit. A stolen password is "
     "worth little where this is low."},
    {"submission.pop_before_smtp", SETTING_BOOL, FIELD(submission.pop_before_smtp), 0, 0, NULL, "false",
     "POP-before-SMTP: after a login to POP3 the same address may send for a while without logging in, as that "
     "account. "
     "Behind a shared address (NAT) everybody there could send during that time: that is why it is off."},
    {"submission.pop_window", SETTING_DURATION, FIELD(submission.pop_window), 1, DAY, NULL, "60",
     "How long that is, counted anew with each login."},

    {"courier.connections", SETTING_COUNT, FIELD(courier.connections), 1, 10000, NULL, "200",
     "The most connections to other sites at a time."},
    {"courier.connections_per_destination", SETTING_COUNT, FIELD(courier.connections_per_destination), 1, 1000, NULL,
     "20", "The most connections to one destination at a time. It begins with a few and opens up while all goes well."},
    {"courier.port", SETTING_COUNT, FIELD(courier.port), 1, 65535, NULL, "25",
     "The TCP port of other sites' servers. Anything but 25 is for tests."},
    {"courier.ipv4_address", SETTING_ADDRESS, FIELD(courier.ipv4_address), 0, 64, NULL, "",
     "The IPv4 address to send from; \"\" lets the system choose."},
    {"courier.ipv6_address", SETTING_ADDRESS, FIELD(courier.ipv6_address), 0, 64, NULL, "",
     "The IPv6 address to send from; \"\" lets the system choose."},
    {"courier.families", SETTING_CHOICE, FIELD(courier.families), 0, 0, families, "both",
     "By which of IPv4 and IPv6 other sites are reached."},
    {"courier.private_networks", SETTING_NETWORKS, FIELD(courier.private_networks), 0, 256, NULL, "",
     "Networks beside the open Internet (of private, shared or loopback addresses) in which call-backs and WHOIS may "
     "connect to servers and ask about clients all the same."},
    {"courier.tls", SETTING_BOOL, FIELD(courier.tls), 0, 0, NULL, "true",
     "Encrypts what goes to other sites wherever they offer STARTTLS."},
    {"courier.ca_file", SETTING_PATH, FIELD(courier.ca_file), 0, 1024, NULL, "/etc/ssl/certs/ca-certificates.crt",
     "The PEM file of the certificate authorities that are believed when a smart host's certificate is checked."},
    {"courier.smart_host", SETTING_TEXT, FIELD(courier.smart_host), 0, 260, NULL, "",
     "A server that takes all mail for other sites, as \"host\" or \"host:port\"; \"\" delivers directly, by the DNS."},
    {"courier.smart_host_user", SETTING_TEXT, FIELD(courier.smart_host_user), 0, 320, NULL, "",
     "The name to log in to the smart host with; \"\" does not log in."},
    {"courier.smart_host_password_file", SETTING_PATH, FIELD(courier.smart_host_password_file), 0, 1024, NULL, "",
     "The file whose first line is the password for the smart host. Nobody but root should be able to read it."},
    {"courier.smart_host_tls", SETTING_CHOICE, FIELD(courier.smart_host_tls), 0, 0, smart_host_tls, "starttls",
     "\"starttls\" and \"implicit\" (TLS from the first byte) want a certificate that is right; \"offered\" takes what "
     "there is, and never sends a password unencrypted; \"none\" uses no TLS."},
    {"courier.connect_timeout", SETTING_DURATION, FIELD(courier.connect_timeout), 1, HOUR, NULL, "30",
     "How long a connection to one address may take to come about."},
    {"courier.greeting_timeout", SETTING_DURATION, FIELD(courier.greeting_timeout), 1, HOUR, NULL, "5m",
     "How long another server may take for its greeting. RFC 5321 asks for at least five minutes."},
    {"courier.command_timeout", SETTING_DURATION, FIELD(courier.command_timeout), 1, HOUR, NULL, "5m",
     "How long it may take for its reply to a command. RFC 5321 asks for at least five minutes."},
    {"courier.data_timeout", SETTING_DURATION, FIELD(courier.data_timeout), 1, HOUR, NULL, "2m",
     "How long it may take for its reply to DATA. RFC 5321 asks for at least two minutes."},
    {"courier.block_timeout", SETTING_DURATION, FIELD(courier.block_timeout), 1, HOUR, NULL, "3m",
     "How long it may take to receive a piece of a message. RFC 5321 asks for at least three minutes."},
    {"courier.end_of_data_timeout", SETTING_DURATION, FIELD(courier.end_of_data_timeout), 1, HOUR, NULL, "10m",
     "How long it may take for its reply to a whole message. RFC 5321 asks for at least ten minutes: who gives up "
     "earlier may send the message twice."},
    {"courier.retry_first", SETTING_DURATION, FIELD(courier.retry_first), 1, DAY, NULL, "5m",
     "The wait before the second attempt. Each further one is longer, up to courier.retry_longest, and varied by "
     "chance."},
    {"courier.retry_longest", SETTING_DURATION, FIELD(courier.retry_longest), 1, 7 * DAY, NULL, "4h",
     "The longest wait between two attempts."},
    {"courier.warn_after", SETTING_DURATION, FIELD(courier.warn_after), 0, 30 * DAY, NULL, "4h",
     "The sender is told once when a message could not be delivered for so long; 0 says nothing."},
    {"courier.give_up", SETTING_DURATION, FIELD(courier.give_up), 1, 60 * DAY, NULL, "5d",
     "A message that could not be delivered for so long goes back to its sender. RFC 5321 asks for four to five days."},
    {"courier.list_bounces", SETTING_COUNT, FIELD(courier.list_bounces), 0, 1000000, NULL, "5",
     "After so many bounces a member of a mailing list gets no more of it until they join anew; 0 never. Every thirty "
     "days half of what was counted is forgotten."},

    {"pwd.networks", SETTING_NETWORKS, FIELD(pwd.networks), 0, 256, NULL, "",
     "Networks from which people may change their password over the pwd service (poppassd). Besides them only "
     "client_networks and trusted_networks may, so while all three are empty nobody may."},
    {"pwd.plain", SETTING_BOOL, FIELD(pwd.plain), 0, 0, NULL, "false",
     "Takes passwords from pwd.networks and client_networks without TLS: for old clients that know no STLS, on a wire "
     "that is your own."},
    {"pwd.idle_timeout", SETTING_DURATION, FIELD(pwd.idle_timeout), 1, HOUR, NULL, "1m",
     "How long a pwd client may take for one command line."},
    {"pwd.errors", SETTING_COUNT, FIELD(pwd.errors), 1, 1000, NULL, "10",
     "After so many wrong commands and refused new passwords the connection is closed."},

    {"auth.default_domain", SETTING_DOMAIN, FIELD(auth.default_domain), 0, 253, NULL, "",
     "The domain of those who log in with a bare name; \"\" asks for the whole address."},
    {"auth.failures_per_session", SETTING_COUNT, FIELD(auth.failures_per_session), 1, 100, NULL, "3",
     "After so many failed logins the connection is closed."},
    {"auth.password_hash", SETTING_TEXT, FIELD(auth.password_hash), 1, 8, hashes, "$y$",
     "How new passwords are hashed: a prefix of crypt(5). Older kinds go on to be accepted."},
    {"auth.hash_cost", SETTING_COUNT, FIELD(auth.hash_cost), 0, 999999999, NULL, "0",
     "The cost of the hash, as crypt(5) counts it for auth.password_hash; 0 is the library's default."},
    {"auth.channel_binding", SETTING_BOOL, FIELD(auth.channel_binding), 0, 0, NULL, "true",
     "Offer SCRAM-SHA-256-PLUS, which ties a login to its TLS connection. Debian 12's mutt fails with it under TLS "
     "1.3."},
    {"auth.password_min_length", SETTING_COUNT, FIELD(auth.password_min_length), 1, 64, NULL, "8",
     "The fewest characters of a password that a person chooses. Nor may it contain the person's name before the @, if "
     "that has three characters or more, or be the old one."},

    {"store.default_quota", SETTING_SIZE, FIELD(store.default_quota), 0, 1024 * T, NULL, "0",
     "The quota of accounts that are added without one; 0 is no limit."},
    {"store.volume_size", SETTING_SIZE, FIELD(store.volume_size), M, T, NULL, "256M",
     "A new volume (the files that hold message bodies) is begun when the last one is larger than this."},
    {"store.compress_from", SETTING_SIZE, FIELD(store.compress_from), 0, G, NULL, "16K",
     "Bodies of at least this size are stored compressed when that makes them smaller; 0 never compresses."},
    {"store.compact_dead_percent", SETTING_COUNT, FIELD(store.compact_dead_percent), 1, 99, NULL, "50",
     "A volume is compacted when so much of it, in per cent, is deleted mail."},
    {"store.batch_messages", SETTING_COUNT, FIELD(store.batch_messages), 1, 10000, NULL, "512",
     "The most messages that are written with one sync."},

    {"ledger.days", SETTING_COUNT, FIELD(ledger.days), 1, 3650, NULL, "30",
     "How many days the ledger keeps each attempt to reach somebody here, with its reason."},
    {"ledger.rows", SETTING_COUNT, FIELD(ledger.rows), 1000, 100000000, NULL, "1000000",
     "How many attempts the ledger keeps at most; the oldest go first."},
    {"ledger.reject_log", SETTING_BOOL, FIELD(ledger.reject_log), 0, 0, NULL, "true",
     "Writes a line for each refused sender to reject.log in the data directory."},
    {"ledger.reject_log_size", SETTING_SIZE, FIELD(ledger.reject_log_size), 64 * K, 10 * G, NULL, "10M",
     "At this size reject.log is put aside as reject.log.1 and a new one is begun."},
    {"ledger.reject_log_keep", SETTING_COUNT, FIELD(ledger.reject_log_keep), 0, 1000, NULL, "10",
     "How many of the files put aside are kept."},
    {"ledger.help_page", SETTING_TEXT, FIELD(ledger.help_page), 0, 200, NULL, "",
     "The address of a page that helps senders who were refused, as https://example.org/refused; it stands behind the "
     "reference in each refusal."},

    {"script.file", SETTING_PATH, FIELD(script.file), 0, 1024, NULL, "",
     "The Lua file whose function check(mail) the rule site-script asks. It is read at the start and on \"ostiary "
     "reload\"; see ostiary-script(5)."},
    {"script.seconds", SETTING_DURATION, FIELD(script.seconds), 1, MINUTE, NULL, "2",
     "How long one call of the script may take. Past it its process is killed, and it has no opinion."},
    {"script.memory", SETTING_SIZE, FIELD(script.memory), 1 * M, 1 * G, NULL, "32M", "Memory that the script may use."},
    {"script.steps", SETTING_COUNT, FIELD(script.steps), 1000, 1000000000, NULL, "1000000",
     "Lua instructions that one call of the script may take."},

    {"whois.servers", SETTING_WORDS, FIELD(whois.servers), 1, 8, NULL, "whois.iana.org",
     "WHOIS servers to begin with, with \"@port\" behind if it is not 43. Their referrals are followed.",
     .words = &word_host},
    {"whois.timeout", SETTING_DURATION, FIELD(whois.timeout), 1, MINUTE, NULL, "10",
     "How long asking WHOIS about an address may take, referrals included."},
    {"whois.cache", SETTING_DURATION, FIELD(whois.cache), 0, 30 * DAY, NULL, "1d",
     "How long what WHOIS said of a network is remembered."},

    {"call_back.timeout", SETTING_DURATION, FIELD(call_back.timeout), 1, 5 * MINUTE, NULL, "20",
     "How long asking a sender's own server may take (rule verify-sender)."},
    {"call_back.good", SETTING_DURATION, FIELD(call_back.good), 0, 30 * DAY, NULL, "7d",
     "How long it is remembered that a sender's server takes mail for it."},
    {"call_back.bad", SETTING_DURATION, FIELD(call_back.bad), 0, 30 * DAY, NULL, "2h",
     "How long it is remembered that a sender's server refuses mail for it."},
    {"call_back.per_host", SETTING_COUNT, FIELD(call_back.per_host), 1, 10000, NULL, "10",
     "New questions to one server in a minute; more are not asked, and the sender is told to come again."},

    {"remote.interval", SETTING_DURATION, FIELD(remote.interval), MINUTE, 7 * DAY, NULL, "15m",
     "How often mail is fetched from a remote account that says nothing of its own."},
    {"remote.connections", SETTING_COUNT, FIELD(remote.connections), 1, 1000, NULL, "10",
     "From how many remote accounts mail is fetched at the same time. At most a third of these, rounded up, are one "
     "person's."},
    {"remote.timeout", SETTING_DURATION, FIELD(remote.timeout), 5, 10 * MINUTE, NULL, "1m",
     "How long a provider may take for one answer."},
    {"remote.ca_file", SETTING_PATH, FIELD(remote.ca_file), 0, 1024, NULL, "/etc/ssl/certs/ca-certificates.crt",
     "The certificates of those who vouch for providers' servers."},
    {"remote.networks", SETTING_NETWORKS, FIELD(remote.networks), 0, 256, NULL, "",
     "Private networks, or this machine's own addresses, that people may have mail fetched from. All public addresses "
     "are allowed by themselves; others only when they are named here, as people could otherwise have the server talk "
     "to what only your own network is to reach."},

    {"my.socket", SETTING_TEXT, FIELD(my.socket), 0, 100, NULL, NULL,
     "Where people reach their own door with \"ostiary my\" and their password: an absolute path in a directory that "
     "all people of this machine can enter, or a name in data_directory, which only root and the server's user can. "
     "Everybody may connect to it. The directory /run/ostiary is made when the server is started by root. Empty: there "
     "is none.",
     .worked_out = "\"" SETTINGS_MY_SOCKET "\"; where data_directory is not the usual one, \"my.sock\" in it"},

    {"log.target", SETTING_LOG_TARGET, FIELD(log.target), 1, 1024, NULL, "stderr",
     "Where the log goes: \"stderr\", \"syslog\", or the path of a file."},
    {"log.level", SETTING_CHOICE, FIELD(log.level), 0, 0, levels, "low",
     "How much is logged; each level includes those before it. A refused sender, recipient or login is a failure."},
    {"log.rotate_size", SETTING_SIZE, FIELD(log.rotate_size), 0, T, NULL, "100M",
     "A log file that grows past this is rotated before its day is over; 0 rotates by day only."},
    {"log.keep", SETTING_COUNT, FIELD(log.keep), 0, 10000, NULL, "14", "How many rotated log files are kept."},
};
const size_t schema_count = sizeof schema / sizeof *schema;

const struct setting *schema_find(struct span name)
{
    for (size_t i = 0; i < schema_count; i++)
        if (span_is(name, schema[i].name))
            return &schema[i];
    return NULL;
}

size_t setting_section_size(const struct setting *setting)
{
    const char *dot = strchr(setting->name, '.');
    return dot ? (size_t)(dot - setting->name) + 1 : 0;
}

bool schema_has_section(struct span name)
{
    for (size_t i = 0; i < schema_count; i++) {
        size_t size = setting_section_size(&schema[i]);
        if (size && span_equal(name, span_from(schema[i].name, size - 1)))
            return true;
    }
    return false;
}

const char *schema_nearest(struct span name)
{
    struct nearest nearest;
    nearest_init(&nearest, name);
    bool whole = span_find(name, '.') < name.size;
    for (size_t i = 0; i < schema_count; i++) {
        nearest_offer(&nearest, schema[i].name);
        /* A bare name may be one whose section was forgotten, or a section's own. */
        if (!whole)
            nearest_offer_as(&nearest, schema[i].name + setting_section_size(&schema[i]), schema[i].name);
    }
    static const char *const sections[] = {"dns",     "tls", "processes", "smtp",  "pop3", "submission",
                                           "courier", "pwd", "auth",      "store", "log"};
    for (size_t i = 0; !whole && i < sizeof sections / sizeof *sections; i++)
        nearest_offer(&nearest, sections[i]);
    return nearest_get(&nearest);
}

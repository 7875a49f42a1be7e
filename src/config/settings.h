/* The settings: what ostiary.conf says, checked, in one struct that nobody changes.
 *
 * They are counted by reference: a session keeps those it began with until it ends, so that a reload never changes a
 * rule in the middle of a transaction. One table (config/schema.c) is the only place that knows names, types, bounds,
 * defaults and explanations: the reader of the file, `ostiary config check`, the text form that travels to the
 * processes, the sandbox's file and ostiary.conf(5) come from it. Sizes are bytes, times seconds.
 */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include "base/buf.h"
#include "base/log.h"

enum service_kind {
    SERVICE_SMTP,
    SERVICE_SUBMISSION,
    SERVICE_SUBMISSIONS,
    SERVICE_POP3,
    SERVICE_POP3S,
    SERVICE_PWD,
    SERVICE_PWDS,
    SERVICE_KIND_COUNT
};

struct listener_setting {
    enum service_kind service;
    const char *address; /* "0.0.0.0", "::", "127.0.0.1" */
    uint16_t port;
};

struct word_list {
    const char **words;
    size_t count;
};

enum dns_list_kind { DNS_LIST_BLACK, DNS_LIST_WHITE };

/* A list of addresses that is asked by the DNS (RFC 5782). */
struct dns_list_setting {
    const char *zone;         /* "bl.example.org" */
    unsigned kind;            /* enum dns_list_kind */
    struct word_list answers; /* those that count, addresses of 127.0.0.0/8 and ranges "a-b" of them; none = all */
    bool ipv4, ipv6;          /* addresses of which family it is asked about */
};

enum address_families { FAMILIES_BOTH, FAMILIES_IPV4, FAMILIES_IPV6 };
enum smart_host_tls {
    SMART_HOST_TLS_OFFERED,  /* STARTTLS where it is offered, certificates are not checked */
    SMART_HOST_TLS_STARTTLS, /* nothing without STARTTLS and a certificate that is right */
    SMART_HOST_TLS_IMPLICIT, /* TLS from the first byte, and a certificate that is right */
    SMART_HOST_TLS_NONE
};

struct network { /* a CIDR range; IPv4 as ::ffff:a.b.c.d/96+n */
    unsigned char address[16];
    unsigned bits;
};

struct network_list {
    struct network *networks;
    size_t count;
};

#define SETTINGS_DATA_DIRECTORY "/var/lib/ostiary" /* the usual one */
#define SETTINGS_MY_DIRECTORY "/run/ostiary"       /* with it, everybody may enter this */
#define SETTINGS_MY_SOCKET SETTINGS_MY_DIRECTORY "/my.sock"

struct settings {
    unsigned references;
    const char *file; /* where it was read from */

    const char *hostname;       /* in greetings, Received: and as the default certificate's name */
    const char *data_directory; /* database, volumes, spool, control socket */
    const char *user;           /* the processes' user when started as root */
    struct listener_setting *listeners;
    size_t listener_count;
    struct network_list trusted_networks; /* where passwords without TLS are let through */
    struct network_list client_networks;  /* who may send to other sites without logging in */
    struct dns_list_setting *dns_lists;
    size_t dns_list_count;

    struct {
        struct word_list servers; /* "192.0.2.53", "192.0.2.53@5353": they are asked; none = from the root servers on */
        struct word_list zones;   /* "example.org=192.0.2.53@5353": this zone's own server */
        unsigned timeout;         /* of one question */
        bool dnssec;
        const char *trust_anchor; /* the file with the root zone's key */
    } dns;

    struct {
        struct word_list files; /* of the own black list, beside DATA/blacklist.txt */
    } blacklist;

    struct {
        const char *certificate, *key; /* paths of PEM files; "" = no TLS is offered */
        unsigned oldest;               /* 12 or 13 */
    } tls;

    struct {
        unsigned gates, desks, readers;
        unsigned connections;             /* of one gate or desk process at a time */
        unsigned connections_per_address; /* all gates together, by IPv4 address or IPv6 /64 */
        unsigned stop_grace;              /* seconds that sessions have to end after SIGTERM */
    } processes;

    struct {
        uint64_t message_size;
        unsigned recipients;  /* of one transaction */
        unsigned header_size; /* bytes of header */
        unsigned header_lines;
        unsigned received_hops;        /* Received: lines before it is a loop */
        unsigned line_length;          /* of a body line, 0 = no limit beyond the message's */
        unsigned command_timeout;      /* for a whole command line */
        unsigned data_timeout;         /* without any progress in DATA */
        unsigned data_minimum_rate;    /* bytes a second, over any minute of DATA */
        unsigned session_timeout;      /* the whole session */
        unsigned errors;               /* wrong commands and refusals before 421 */
        unsigned transactions;         /* of one session */
        bool quota_full_is_permanent;  /* 552 5.2.2 instead of 452 4.2.2 */
        bool repair_members_line_ends; /* bare CR and LF from members become CRLF instead of 550 5.6.11 */
        const char *detail_separator;  /* "+"; "" = off */
        bool vrfy;                     /* VRFY says more than 252 */
        bool check_sender;             /* a return-path that no mail could go to is refused */
    } smtp;

    struct {
        unsigned idle_timeout; /* RFC 1939: at least 600 */
        unsigned login_timeout;
        unsigned login_delay; /* RFC 2449 LOGIN-DELAY, 0 = off */
        bool apop;
        unsigned errors; /* wrong commands before the connection is closed */
        bool xtnd_xmit;  /* XTND XMIT: mail is sent over POP3 */
    } pop3;

    struct {
        unsigned daily_recipients; /* of an account at other sites in a UTC day, 0 = no limit */
        bool pop_before_smtp;      /* who logged in to POP3 may send from the same address */
        unsigned pop_window;       /* for so many seconds */
    } submission;

    struct {
        unsigned connections, connections_per_destination;
        unsigned port;                           /* of other sites' servers */
        const char *ipv4_address, *ipv6_address; /* to send from; "" = the system chooses */
        unsigned families;                       /* enum address_families */
        struct network_list private_networks;    /* where strangers may make us connect to all the same */
        bool tls;                                /* STARTTLS where it is offered */
        const char *ca_file;                     /* whom to believe, for smart_host_tls; "" = nobody */
        const char *smart_host;                  /* "host" or "host:port"; "" = by the DNS */
        const char *smart_host_user, *smart_host_password_file;
        unsigned smart_host_tls; /* enum smart_host_tls */
        unsigned connect_timeout;
        unsigned greeting_timeout, command_timeout, data_timeout, block_timeout, end_of_data_timeout;
        unsigned retry_first, retry_longest; /* between attempts: grows from one to the other */
        unsigned warn_after, give_up;        /* since the message came; warn_after 0 = no notice */
        unsigned list_bounces;               /* after so many a member of a list is suspended; 0 = never */
    } courier;

    struct {
        struct network_list networks; /* who may use it, beside the trusted networks */
        bool plain;                   /* without TLS, too */
        unsigned idle_timeout;        /* for a line */
        unsigned errors;              /* wrong commands and refused passwords before the connection is closed */
    } pwd;

    struct {
        const char *default_domain; /* for logins without one; "" = none */
        unsigned failures_per_session;
        const char *password_hash;    /* crypt(5) prefix for new passwords: "$y$" */
        unsigned hash_cost;           /* 0 = crypt's default */
        bool channel_binding;         /* SCRAM-SHA-256-PLUS is offered under TLS */
        unsigned password_min_length; /* characters of a password that a person chose */
    } auth;

    struct {
        uint64_t default_quota; /* bytes, 0 = none */
        uint64_t volume_size;   /* a new volume is begun past it */
        unsigned compress_from; /* bodies of at least this many bytes are tried with zstd; 0 = never */
        unsigned compact_dead_percent;
        unsigned batch_messages; /* of one group commit */
    } store;

    struct {
        unsigned days; /* rows older than that go */
        uint64_t rows; /* and the oldest beyond so many */
        bool reject_log;
        uint64_t reject_log_size; /* bytes, then a new file is begun */
        unsigned reject_log_keep; /* files kept beside it */
        const char *help_page;    /* "" or a URL that stands behind the reference in refusals */
    } ledger;

    struct {
        const char *file; /* of the site's function; "" = none */
        unsigned seconds; /* of wall-clock for one call, then the process is killed */
        uint64_t memory;  /* bytes of Lua */
        uint64_t steps;   /* Lua instructions of one call */
    } script;

    struct {
        struct word_list servers; /* "whois.iana.org", "192.0.2.43@4343": asked first, in turn */
        unsigned timeout;         /* of all servers for one address */
        unsigned cache;           /* seconds that an answer is remembered */
    } whois;

    struct {
        unsigned timeout;   /* of one call-back, connection and all */
        unsigned good, bad; /* seconds that a yes and a no are remembered */
        unsigned per_host;  /* new questions to one host in a minute */
    } call_back;

    struct {
        unsigned interval;            /* seconds between two fetches of one account, where it says nothing */
        unsigned connections;         /* at a time */
        unsigned timeout;             /* of one answer of a provider */
        const char *ca_file;          /* whom to believe; "" = nobody */
        struct network_list networks; /* private addresses that may be fetched from */
    } remote;

    struct {
        const char *socket; /* of `ostiary my`: a name in the data directory or an absolute path; "" = none */
    } my;

    struct {
        const char *target; /* "stderr", "syslog", or a file's path */
        enum log_level level;
        uint64_t rotate_size; /* bytes, 0 = by day only */
        unsigned keep;        /* rotated files kept */
    } log;
};

/* Reads and checks the Lua file. NULL with one sentence in `problem` ("ostiary.conf:12: unknown key 'hostnme'; did you
 * mean 'hostname'?"). The result has one reference. */
MUST_USE struct settings *settings_read_file(const char *path, struct buf *problem);
/* The same from a text held in memory; `name` stands in problems. */
MUST_USE struct settings *settings_read_text(const char *name, struct span text, struct buf *problem);
/* The text form that travels between our processes, and back: "smtp.recipients=1000\n" … */
void settings_write(const struct settings *settings, struct buf *out);
MUST_USE struct settings *settings_parse(struct span text, struct buf *problem);

struct settings *settings_ref(struct settings *settings);
void settings_unref(struct settings *settings);

/* Is the 16-byte address (IPv4 mapped) in the list? */
bool network_list_has(const struct network_list *list, const unsigned char address[16]);
const char *service_kind_name(enum service_kind kind); /* "smtp" */

#endif

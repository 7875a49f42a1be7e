#include "attempt.h"

#include "rules_rows.h"

#define OWN "your address 192.0.2.7 is listed by this site's black list"
#define TLD_FROM "mail from .de is not taken (your sender is <a@b.de>)"

static const struct rule_row rows[] = {
    /* ip-black-list */
    {'r', "", "own-list=listed:spam", "refuse 554 5.7.1 ip-black-list built in: " OWN ": spam"},
    {'r', "", "own-list=listed:", "refuse 554 5.7.1 ip-black-list built in: " OWN},
    {'r', "", "own-list=name:dsl|ptr=x.dsl.example",
     "refuse 554 5.7.1 ip-black-list built in: your host's name x.dsl.example is listed by this site's black list: "
     "dsl"},
    {'r', "", "own-list=nothing", "accept"},
    {'r', "", "own-list=excepted", "accept"},
    {'r', "", "state=own-list:unknown", "accept"},
    {'r', "", "state=own-list:absent", "accept"},
    {'r', "", "state=own-list:not-asked", "needs own-list"},
    {'r', "", "state=own-list:not-asked|state=dns-lists:not-asked|state=return-path:not-asked", "needs own-list"},
    {'r', "", "own-list=listed:x|standing=member", "accept"},
    {'r', "", "own-list=listed:x|standing=window", "accept"},
    {'r', "", "own-list=listed:x|standing=network", "accept"},
    {'r', "", "own-list=listed:x|postmaster", "accept"},
    {'r', "0! ip-black-list=on", "own-list=listed:|postmaster", "refuse 554 5.7.1 ip-black-list site: " OWN},
    {'r', "2 ip-black-list=watch", "own-list=listed:", "accept; watch ip-black-list account: " OWN},
    {'r', "2 ip-black-list=file", "own-list=listed:", "file Junk ip-black-list account: " OWN},
    {'r', "2 ip-black-list=off", "own-list=listed:", "accept"},
    {'r', "2 ip-black-list=off", "state=own-list:not-asked", "accept"},
    {'r', "", "own-list=listed:x|fetched", "accept"},
    {'r', "", "own-list=listed:250 ok\r\nRCPT", "refuse 554 5.7.1 ip-black-list built in: " OWN ": 250 ok??RCPT"},

    /* pregreet */
    {'r', "2 pregreet=on", "early",
     "refuse 550 5.7.1 pregreet account: your server at 192.0.2.7 spoke before it was greeted, as only spam programs "
     "do"},
    {'r', "2 pregreet=on", "", "accept"},
    {'r', "", "early", "accept"},
    {'r', "2 pregreet=on", "early|standing=member", "accept"},
    {'r', "2 pregreet=on", "early|postmaster", "accept"},
    {'r', "2 pregreet=on", "early|fetched", "accept"},

    /* helo-not-ip */
    {'r', "2 helo-not-ip=on", "helo=[192.0.2.7]",
     "refuse 550 5.7.1 helo-not-ip account: your server calls itself [192.0.2.7], which is no name"},
    {'r', "2 helo-not-ip=on", "helo=192.0.2.7",
     "refuse 550 5.7.1 helo-not-ip account: your server calls itself 192.0.2.7, which is no name"},
    {'r', "2 helo-not-ip=on", "helo=[IPv6:2001:db8::1]",
     "refuse 550 5.7.1 helo-not-ip account: your server calls itself [IPv6:2001:db8::1], which is no name"},
    {'r', "2 helo-not-ip=on", "helo=2001:db8::1",
     "refuse 550 5.7.1 helo-not-ip account: your server calls itself 2001:db8::1, which is no name"},
    {'r', "2 helo-not-ip=on", "helo=[2001:db8::1]",
     "refuse 550 5.7.1 helo-not-ip account: your server calls itself [2001:db8::1], which is no name"},
    {'r', "2 helo-not-ip=on", "helo=[300.1.1.1]",
     "refuse 550 5.7.1 helo-not-ip account: your server calls itself [300.1.1.1], which is no name"},
    {'r', "2 helo-not-ip=on", "helo=010.1.1.1",
     "refuse 550 5.7.1 helo-not-ip account: your server calls itself 010.1.1.1, which is no name"},
    {'r', "2 helo-not-ip=on", "helo=192.0.2.7.",
     "refuse 550 5.7.1 helo-not-ip account: your server calls itself 192.0.2.7., which is no name"},
    {'r', "2 helo-not-ip=on", "helo=192-0-2-7.b.example", "accept"},
    {'r', "2 helo-not-ip=on", "helo=1.2.3.4.example", "accept"},
    {'r', "2 helo-not-ip=on", "helo=localhost", "accept"},
    {'r', "2 helo-not-ip=on", "helo=cafe", "accept"},
    {'r', "2 helo-not-ip=on", "helo=", "accept"},
    {'r', "", "helo=[192.0.2.7]", "accept"},
    {'r', "2 helo-not-ip=on", "helo=[192.0.2.7]|standing=member", "accept"},
    {'r', "2 helo-not-ip=on", "helo=[192.0.2.7]|standing=network", "accept"},
    {'r', "2 helo-not-ip=on", "helo=[192.0.2.7]|postmaster", "accept"},
    {'r', "2 helo-not-ip=on", "helo=[192.0.2.7]|fetched", "accept"},
    {'r', "0! helo-not-ip=on|2 helo-not-ip=off", "helo=192.0.2.7|postmaster",
     "refuse 550 5.7.1 helo-not-ip site: your server calls itself 192.0.2.7, which is no name"},

    /* helo-sane */
    {'r', "2 helo-sane=on", "helo=localhost",
     "refuse 550 5.7.1 helo-sane account: your server calls itself localhost, which is no full name"},
    {'r', "2 helo-sane=on", "helo=localhost.",
     "refuse 550 5.7.1 helo-sane account: your server calls itself localhost., which is no full name"},
    {'r', "2 helo-sane=on", "helo=mail.example.org.|own-name=mail.example.org",
     "refuse 550 5.7.1 helo-sane account: your server calls itself mail.example.org., which is us"},
    {'r', "2 helo-sane=on", "helo=.",
     "refuse 550 5.7.1 helo-sane account: your server calls itself ., which is no full name"},
    {'r', "2 helo-sane=on", "helo=Mail.Example.org|own-name=mail.example.org",
     "refuse 550 5.7.1 helo-sane account: your server calls itself Mail.Example.org, which is us"},
    {'r', "2 helo-sane=on", "helo=mx.b.example|own-name=mail.example.org|own-ip=192.0.2.25", "accept"},
    {'r', "2 helo-sane=on", "helo=[192.0.2.25]|own-ip=192.0.2.25",
     "refuse 550 5.7.1 helo-sane account: your server calls itself [192.0.2.25], which is us"},
    {'r', "2 helo-sane=on", "helo=[127.0.0.1]|own-ip=127.0.0.1|ip=127.0.0.1", "accept"},
    {'r', "2 helo-sane=on", "helo=[192.0.2.7]|own-ip=192.0.2.25", "accept"},
    {'r', "2 helo-sane=on", "helo=[192.0.2.7]", "accept"},
    {'r', "2 helo-sane=on", "helo=::", "accept"},
    {'r', "2 helo-sane=on", "helo=mx.b.example", "accept"},
    {'r', "2 helo-sane=on", "helo=", "accept"},
    {'r', "", "helo=localhost", "accept"},
    {'r', "2 helo-sane=on", "helo=localhost|standing=member", "accept"},
    {'r', "2 helo-sane=on", "helo=localhost|postmaster", "accept"},
    {'r', "2 helo-sane=on", "helo=localhost|fetched", "accept"},

    /* sender-tld */
    {'r', "2 sender-tld=on", "from=a@b.de", "refuse 550 5.7.1 sender-tld account: " TLD_FROM},
    {'r', "2 sender-tld=on", "from=a@x.com.br",
     "refuse 550 5.7.1 sender-tld account: mail from .br is not taken (your sender is <a@x.com.br>)"},
    {'r', "2 sender-tld=on", "from=a@b.COM|helo=mx.b.Net", "accept"},
    {'r', "2 sender-tld=on", "from=a@b.com|helo=mx.b.br",
     "refuse 550 5.7.1 sender-tld account: mail from servers in .br is not taken (yours calls itself mx.b.br)"},
    {'r', "2 sender-tld=on", "from=a@b.com|helo=", "accept"},
    {'r', "2 sender-tld=on", "from=|helo=mx.b.org", "accept"},
    {'r', "2 sender-tld=on", "from=|helo=mx.b.de",
     "refuse 550 5.7.1 sender-tld account: mail from servers in .de is not taken (yours calls itself mx.b.de)"},
    {'r', "2 sender-tld=on|2 sender-tld.tlds=.DE example", "from=a@b.de", "accept"},
    {'r', "2 sender-tld=on|2 sender-tld.tlds=", "from=a@b.de", "accept"},
    {'r', "", "from=a@b.de", "accept"},
    {'r', "2 sender-tld=on", "from=a@b.de|standing=member", "accept"},
    {'r', "2 sender-tld=on", "from=a@b.de|postmaster", "accept"},
    {'r', "2 sender-tld=on", "from=a@b.de|fetched", "accept"},
    {'r', "2 sender-tld=watch", "from=a@b.de", "accept; watch sender-tld account: " TLD_FROM},
    {'r', "2 sender-tld=on|2 sender-tld.tlds=org", "from=a@b.org|helo=[192.0.2.7]",
     "refuse 550 5.7.1 sender-tld account: mail from servers without a name is not taken (yours calls itself "
     "[192.0.2.7])"},
    {'r', "2 sender-tld=on", "from=a@[192.0.2.9]",
     "refuse 550 5.7.1 sender-tld account: mail from addresses without a domain is not taken (your sender is "
     "<a@[192.0.2.9]>)"},
    {'r', "0 sender-tld.tlds=de|2 sender-tld=on", "from=a@b.de|helo=mx.b.de", "accept"},

    /* fetched-strict */
    {'r', "2 fetched-strict=on", "fetched|helo=[192.0.2.7]",
     "refuse 550 5.7.1 fetched-strict account: your server calls itself [192.0.2.7], which is no name"},
    {'r', "2 fetched-strict=on", "fetched|from=a@b.de", "refuse 550 5.7.1 fetched-strict account: " TLD_FROM},
    {'r', "2 fetched-strict=on", "fetched|from=a@b.de|provider-local", "accept"},
    {'r', "2 fetched-strict=on", "fetched|helo=[192.0.2.7]|provider-local", "accept"},
    {'r', "2 fetched-strict=on", "from=a@b.de", "accept"},
    {'r', "2 fetched-strict=on", "fetched|from=a@b.org|helo=mx.b.org", "accept"},
    {'r', "2 fetched-strict=on", "fetched|from=a@b.org|helo=", "accept"},
    {'r', "2 fetched-strict=on|2 fetched-strict.tlds=de", "fetched|from=a@b.de|helo=mx.b.de", "accept"},
    {'r', "", "fetched|from=a@b.de", "accept"},

    /* fetched-ip-black-list */
    {'r', "2 fetched-ip-black-list=on", "fetched|own-list=listed:spam",
     "refuse 554 5.7.1 fetched-ip-black-list account: it came through 192.0.2.7, which is listed by this site's black "
     "list: spam"},
    {'r', "2 fetched-ip-black-list=on", "fetched|own-list=nothing|hop-listed=198.51.100.9 old",
     "refuse 554 5.7.1 fetched-ip-black-list account: it came through 198.51.100.9, which is listed by this site's "
     "black list: old"},
    {'r', "2 fetched-ip-black-list=on", "fetched|own-list=excepted|hop-listed=198.51.100.9 old", "accept"},
    {'r', "2 fetched-ip-black-list=on", "fetched|own-list=nothing", "accept"},
    {'r', "2 fetched-ip-black-list=on", "fetched|state=own-list:unknown", "accept"},
    {'r', "2 fetched-ip-black-list=on", "fetched|state=own-list:not-asked", "needs own-list"},
    {'r', "2 fetched-ip-black-list=on", "own-list=nothing|hop-listed=198.51.100.9 old", "accept"},
    {'r', "", "fetched|own-list=listed:spam", "accept"},

    /* max-size, before the message is there */
    {'r', "2 max-size=on|2 max-size.size=1M", "declares=1048577",
     "refuse 552 5.2.3 max-size account: the message is larger than 1M, the most that is taken here"},
    {'r', "2 max-size=on|2 max-size.size=1M", "declares=1048576", "accept"},
    {'r', "2 max-size=on", "", "accept"},
    {'r', "", "declares=99999999999", "accept"},
    {'r', "2 max-size=on|2 accept-all=on", "declares=99999999999", "accept accept-all account: everybody is let in"},
    {'r', "0! max-size=on|2 accept-all=on|2 max-size.size=100G", "declares=99999999",
     "refuse 552 5.2.3 max-size site: the message is larger than 10M, the most that is taken here"},
    {'r', "2 max-size=on", "declares=99999999999|standing=member",
     "refuse 552 5.2.3 max-size account: the message is larger than 10M, the most that is taken here"},
};

const struct rule_rows rows_of_clients = {rows, sizeof rows / sizeof *rows};

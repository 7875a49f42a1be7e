#include "attempt.h"

#include "rules_rows.h"

#define EXE "the attachment run.exe is of a kind that is not taken here (exe)"
#define AGENT_ON "2 block-agent=on|2 block-agent.patterns=*bulk?mailer* evil/*"

static const struct rule_row rows[] = {
    /* max-size */
    {'c', "2 max-size=on|2 max-size.size=1M", "bytes=1048577",
     "refuse 552 5.2.3 max-size account: the message is larger than 1M, the most that is taken here"},
    {'c', "2 max-size=on|2 max-size.size=1M", "bytes=1048576", "accept"},
    {'c', "2 max-size=on", "state=content:not-asked", "needs content"},
    {'c', "2 max-size=on", "bytes=99999999|state=content:unknown", "accept"},
    {'c', "2 max-size=on", "bytes=99999999|standing=member",
     "refuse 552 5.2.3 max-size account: the message is larger than 10M, the most that is taken here"},
    {'c', "2 max-size=on", "bytes=99999999|postmaster", "accept"},
    {'c', "0! max-size=on", "bytes=99999999|postmaster",
     "refuse 552 5.2.3 max-size site: the message is larger than 10M, the most that is taken here"},
    {'c', "2 max-size=watch", "bytes=99999999",
     "accept; watch max-size account: the message is larger than 10M, the most that is taken here"},
    {'c', "2 max-size=file", "bytes=99999999",
     "file Junk max-size account: the message is larger than 10M, the most that is taken here"},
    {'c', "2 max-size=on", "bytes=99999999|fetched",
     "refuse 552 5.2.3 max-size account: the message is larger than 10M, the most that is taken here"},

    /* attachment-types */
    {'c', "2 attachment-types=on", "attached=application/octet-stream run.exe",
     "refuse 550 5.7.1 attachment-types account: " EXE},
    {'c', "2 attachment-types=on", "attached=text/plain RUN.EXE. .",
     "refuse 550 5.7.1 attachment-types account: the attachment RUN.EXE. . is of a kind that is not taken here (exe)"},
    {'c', "2 attachment-types=on", "attached=text/plain exe", "accept"},
    {'c', "2 attachment-types=on", "attached=text/plain a.exe.txt", "accept"},
    {'c', "2 attachment-types=on", "attached=text/plain ", "accept"},
    {'c', "2 attachment-types=on", "attached=image/png a.png|attached=application/x-msdownload run.exe",
     "refuse 550 5.7.1 attachment-types account: " EXE},
    {'c', "2 attachment-types=on|2 attachment-types.types=application/x-*", "attached=application/x-msdownload ",
     "refuse 550 5.7.1 attachment-types account: the attachment application/x-msdownload is of a kind that is not "
     "taken "
     "here (application/x-*)"},
    {'c', "2 attachment-types=on|2 attachment-types.types=invoice*.zip", "attached=application/zip Invoice-7.ZIP",
     "refuse 550 5.7.1 attachment-types account: the attachment Invoice-7.ZIP is of a kind that is not taken here "
     "(invoice*.zip)"},
    {'c', "2 attachment-types=on|2 attachment-types.types=.ZIP", "attached=application/zip x.zip",
     "refuse 550 5.7.1 attachment-types account: the attachment x.zip is of a kind that is not taken here (.zip)"},
    {'c', "2 attachment-types=on|2 attachment-types.types=", "attached=x/y run.exe", "accept"},
    {'c', "2 attachment-types=on", "bytes=1", "accept"},
    {'c', "2 attachment-types=on", "", "accept"},
    {'c', "2 attachment-types=on", "attached=text/plain a.txt|more-attached",
     "refuse 550 5.7.1 attachment-types account: the message has so many attachments, or such long names of them, that "
     "not all can be checked"},
    {'c', "2 attachment-types=on|2 attachment-types.types=", "attached=text/plain a.txt|more-attached", "accept"},
    {'c', "2 attachment-types=off", "attached=text/plain a.txt|more-attached", "accept"},
    {'c', "2 attachment-types=on", "state=content:not-asked", "needs content"},
    {'c', "", "attached=x/y run.exe", "accept"},
    {'c', "2 attachment-types=on", "attached=x/y run.exe|state=content:unknown", "accept"},
    {'c', "2 attachment-types=on", "attached=x/y run.exe|standing=member",
     "refuse 550 5.7.1 attachment-types account: " EXE},
    {'c', "2 attachment-types=on", "attached=x/y run.exe|postmaster", "accept"},
    {'c', "0! attachment-types=on", "attached=x/y run.exe|postmaster", "refuse 550 5.7.1 attachment-types site: " EXE},
    {'c', "2 attachment-types=on|2 accept-all=on", "attached=x/y run.exe",
     "accept accept-all account: everybody is let in"},
    {'c', "0! attachment-types=on|2 accept-all=on|2 attachment-types=off", "attached=x/y run.exe",
     "refuse 550 5.7.1 attachment-types site: " EXE},
    {'c', "2 attachment-types=on", "attached=x/y run.exe|hit=white:account:@b.example",
     "accept white-list account: <a@b.example> is on the white list (@b.example)"},
    {'c', "2 attachment-types=watch", "attached=x/y run.exe", "accept; watch attachment-types account: " EXE},
    {'c', "2 attachment-types=file", "attached=x/y run.exe", "file Junk attachment-types account: " EXE},
    {'c', "2 attachment-types=on", "attached=x/y run.exe|fetched", "refuse 550 5.7.1 attachment-types account: " EXE},
    {'r', "2 attachment-types=on", "attached=x/y run.exe", "accept"},

    /* block-agent */
    {'c', AGENT_ON, "agent=Super Bulk Mailer 2.0",
     "refuse 550 5.7.1 block-agent account: mail written with Super Bulk Mailer 2.0 is not taken here (*bulk?mailer*)"},
    {'c', AGENT_ON, "agent=EVIL/7",
     "refuse 550 5.7.1 block-agent account: mail written with EVIL/7 is not taken here (evil/*)"},
    {'c', AGENT_ON, "agent=Mutt", "accept"},
    {'c', AGENT_ON, "agent=", "accept"},
    {'c', "2 block-agent=on", "agent=Mutt", "accept"},
    {'c', "2 block-agent.patterns=*", "agent=Mutt", "accept"},
    {'c', AGENT_ON, "agent=evil/1|state=content:unknown", "accept"},
    {'c', AGENT_ON, "agent=evil/1|postmaster", "accept"},
    {'c', AGENT_ON, "agent=evil/1|standing=member",
     "refuse 550 5.7.1 block-agent account: mail written with evil/1 is not taken here (evil/*)"},
    {'c', "2 block-agent=watch|2 block-agent.patterns=evil/*", "agent=evil/1",
     "accept; watch block-agent account: mail written with evil/1 is not taken here (evil/*)"},
    {'c', "1 block-agent=file|1 block-agent.patterns=evil/*|2 block-agent.folder=Robots", "agent=evil/1",
     "file Robots block-agent domain: mail written with evil/1 is not taken here (evil/*)"},

    /* what was said at RCPT and what is said now */
    {'c', "2 helo-not-ip=file|2 helo-not-ip.folder=One|2 block-agent=file|2 block-agent.patterns=evil/*",
     "helo=1.2.3.4|agent=evil/1", "file One helo-not-ip account: your server calls itself 1.2.3.4, which is no name"},
    {'c', "2 helo-not-ip=file|2 attachment-types=on", "helo=1.2.3.4|attached=x/y run.exe",
     "refuse 550 5.7.1 attachment-types account: " EXE},
    {'c', "0! helo-not-ip=file|2 accept-all=on|2 attachment-types=on", "helo=1.2.3.4|attached=x/y run.exe",
     "file Junk helo-not-ip site: your server calls itself 1.2.3.4, which is no name"},
    {'c', "2 attachment-types=watch|2 max-size=watch|2 max-size.size=1K", "attached=x/y run.exe|bytes=2000",
     "accept; watch max-size account: the message is larger than 1K, the most that is taken here; watch "
     "attachment-types account: " EXE},
};

const struct rule_rows rows_of_content = {rows, sizeof rows / sizeof *rows};

"""OpenSMTPD, delivering to Maildirs."""
import os
import shutil

import packages
import peer

UIDS = {"opensmtpd": 61011, "opensmtpq": 61012, "vmail": 61013}  # in the view

CONFIG = """\
pki {host} cert "{certificate}"
pki {host} key "{key}"
# The load is not to be held back: as shipped a connection takes 100 messages.
smtp limit max-mails 1000000
# All mailboxes are one user's of the system here; as shipped these are the limits of one person.
mda limit max-session-per-user 50 task-hiwat 1000 task-lowat 500 task-release 500
table mailboxes file:{d}/mailboxes
action "here" maildir "{d}/mail/%{{rcpt.user}}" virtual <mailboxes>
{out}
listen on 127.0.0.1 port {smtp} tls pki {host} no-dsn
match from any for domain "{domain}" action "here"
"""
# To relay to one host of one's own is not to be held back by what is politeness towards strange sites: as shipped a connection takes 100 messages, there
# are five to a site, and between two of them, and before a new one, it waits for 2 to 5 seconds. 20 is what Postfix opens to one site as it ships.
OUT = """\
mta limit session-mail-max 1000000 conn-delay-route 0 conn-delay-relay 0 reconn-delay-route 0 max-conn-per-route 20 max-conn-per-host 20
action "out" relay host smtp://127.0.0.1:{sink}
match from any for domain "{domain}" action "out"
"""


class OpenSmtpd(peer.MaildirPeer):
    name, title = "opensmtpd", "OpenSMTPD"
    is_in_view = True
    parts = frozenset(("receive", "relay", "idle-smtp", "startup", "disk"))
    durability = "the queue's files are synced before 250, the Maildir file when it is delivered"
    owner = "nobody"
    lacks = {"starttls": "OpenSMTPD 6.8 as Debian 12 has it can't serve TLS: its handling of keys does not fit OpenSSL 3 (its issues 1171 and 1239)."}

    def prepare(self):
        packages.unpack("opensmtpd")
        packages.write_users(self.directory, [(name, uid, self.directory / "mail") for name, uid in UIDS.items()])
        for name in ("spool", "empty"):
            (self.directory / name).mkdir(mode=0o711)
        out = OUT.format(sink=self.sink_port, domain=peer.SINK_DOMAIN) if self.sink_port else ""
        config = self.directory / "etc/smtpd.conf"
        config.write_text(CONFIG.format(host=peer.HOST, certificate=self.certificate, key=self.private_key(), d=self.directory, out=out,
                                        smtp=self.smtp_port, domain=peer.DOMAIN))
        config.chmod(0o600)

    def private_key(self):
        """It takes no key that others can read."""
        path = self.directory / "key.pem"
        shutil.copy(self.key, path)
        path.chmod(0o600)
        return path

    def add_mailboxes(self, count):
        super().add_mailboxes(count)
        for place, _, _ in os.walk(self.directory / "mail"):
            os.chown(place, UIDS["vmail"], UIDS["vmail"])
        (self.directory / "mailboxes").write_text("".join(f"u{n}@{peer.DOMAIN} vmail\n" for n in range(count)))

    def commands(self):
        return [packages.in_view("opensmtpd", self.directory, ["/usr/sbin/smtpd", "-d"], ("/run", "/var/spool", "/var/lib"),
                                 ((self.directory / "spool", "/var/spool/smtpd"), (self.directory / "empty", "/var/lib/opensmtpd/empty")))]

    def queue_directories(self):
        return [self.directory / "spool/queue", self.directory / "spool/incoming"]

    def queued(self):
        return peer.files_below(*self.queue_directories())

    def log(self):
        return (self.directory / "output").read_text(errors="replace")[-2000:]

    @classmethod
    def version(cls):
        packages.unpack("opensmtpd")
        return f"OpenSMTPD {packages.version('opensmtpd')}"

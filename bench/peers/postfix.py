"""Postfix, with Dovecot's LMTP behind it (the usual pair) or with its own delivery to Maildirs."""
import os
import pwd

import peer

PROGRAMS = "/usr/lib/postfix/sbin"

MASTER = (peer.ROOT / "tools/postfix_master.cf").read_text()

MAIN = """\
compatibility_level = 3.6
queue_directory = {d}/queue
data_directory = {d}/data
command_directory = /usr/sbin
daemon_directory = {programs}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {d}/log
maillog_file_prefixes = {d}
myhostname = {host}
myorigin = {domain}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks = 127.0.0.0/8
local_recipient_maps =
alias_maps =
alias_database =
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = hash:{d}/mailboxes
{delivery}
smtpd_tls_security_level = may
smtpd_tls_chain_files = {key}, {certificate}
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
# No look-ups in the DNS for the load's clients: there is none.
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtp_host_lookup = native
# The load is not to be held back: as shipped a client waits up to a second when mail comes in faster than it goes out.
in_flow_delay = 0
# As many processes as there are sessions; 100 as shipped.
default_process_limit = {processes}
transport_maps = inline:{{ {routes} }}
import_environment = MAIL_CONFIG
"""


class Postfix(peer.MaildirPeer):
    delivery = ""

    def prepare(self):
        owner = pwd.getpwnam("postfix")
        for name in ("config", "queue", "data"):
            (self.directory / name).mkdir()
        os.chown(self.directory / "data", owner.pw_uid, -1)
        (self.directory / "config/master.cf").write_text(MASTER.format(port=self.smtp_port, pickup=60, qmgr=300))
        routes = f"{{ {peer.SINK_DOMAIN} = smtp:[127.0.0.1]:{self.sink_port} }}" if self.sink_port else "{ nowhere.invalid = error: }"
        user = pwd.getpwnam(self.owner)
        (self.directory / "config/main.cf").write_text(MAIN.format(
            d=self.directory, programs=PROGRAMS, host=peer.HOST, domain=peer.DOMAIN, certificate=self.certificate, key=self.key, routes=routes,
            processes=max(100, self.connections), delivery=self.delivery.format(d=self.directory, uid=user.pw_uid, gid=user.pw_gid)))

    def add_mailboxes(self, count):
        super().add_mailboxes(count)
        (self.directory / "mailboxes").write_text("".join(f"u{n}@{peer.DOMAIN} u{n}/\n" for n in range(count)))
        peer.run("/usr/sbin/postmap", "-c", self.directory / "config", f"hash:{self.directory}/mailboxes")
        peer.run("/usr/sbin/postfix", "-c", self.directory / "config", "check")

    def commands(self):
        return [[f"{PROGRAMS}/master", "-c", self.directory / "config", "-d"]]

    def queue_directories(self):
        return [self.directory / "queue" / d for d in ("maildrop", "incoming", "active", "deferred")]

    def queued(self):
        return peer.files_below(*self.queue_directories())

    @classmethod
    def version(cls):
        return "Postfix " + peer.run("/usr/sbin/postconf", "-dh", "mail_version").strip()


class PostfixMaildir(Postfix):
    name, title = "postfix-maildir", "Postfix, own Maildir delivery"
    parts = frozenset(("receive", "relay", "idle-smtp", "startup", "disk"))
    durability = "the queue file is synced before 250, the Maildir file when it is delivered"
    delivery = """\
virtual_mailbox_base = {d}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}"""


DOVECOT = """\
base_dir = {d}/dovecot/run
state_dir = {d}/dovecot/state
log_path = {d}/dovecot.log
protocols = lmtp
listen = 127.0.0.1
# Users who exist on this machine, instead of the package's.
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
ssl = no
mail_location = maildir:~
passdb {{
  driver = passwd-file
  args = username_format=%n {d}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={d}/mail/%n
}}
service lmtp {{
  unix_listener {d}/lmtp {{
    mode = 0666
  }}
  # As many processes as Postfix may open connections; 100 as shipped, so nothing changes.
  process_limit = {processes}
}}
# Chroots are in the package's own directory; here there is none.
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service auth {{
  unix_listener auth-userdb {{
    mode = 0666
  }}
}}
"""


class PostfixDovecot(Postfix):
    name, title = "postfix-dovecot", "Postfix and Dovecot (LMTP, Maildir)"
    parts = frozenset(("receive",))
    durability = "the queue file is synced before 250, the Maildir file and its directory when it is delivered"
    delivery = "virtual_transport = lmtp:unix:{d}/lmtp"
    owner = "mail"

    def prepare(self):
        super().prepare()
        for name in ("run", "state"):
            (self.directory / "dovecot" / name).mkdir(parents=True)
        (self.directory / "dovecot.conf").write_text(DOVECOT.format(d=self.directory, user=self.owner, group=self.owner, processes=100))

    def add_mailboxes(self, count):
        super().add_mailboxes(count)
        (self.directory / "users").write_text("".join(f"u{n}:{self.credential}\n" for n in range(count)))

    def commands(self):
        return [["/usr/sbin/dovecot", "-F", "-c", self.directory / "dovecot.conf"], *super().commands()]

    @classmethod
    def version(cls):
        return f"{super().version()}, Dovecot {peer.first_line('/usr/sbin/dovecot', '--version')}"

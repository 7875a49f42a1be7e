"""Dovecot as the POP3 server, with its two usual kinds of mailboxes. Its LMTP fills them: so it has the sizes and its indexes from the start."""
import os
import pwd
import shutil

import peer

CONFIG = """\
base_dir = {d}/run
state_dir = {d}/state
log_path = {d}/log
protocols = pop3 lmtp
listen = 127.0.0.1
default_internal_user = dovecot
default_login_user = dovenull
first_valid_uid = 1
mail_location = {location}
# The password of a login is sent without TLS, as the other servers here allow it, too.
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
ssl_dh =
passdb {{
  driver = passwd-file
  args = username_format=%n {d}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={d}/mail/%n
}}
# All connections come from one machine.
mail_max_userip_connections = 0
# The manual (Caching): off as shipped, so that each login costs the whole check of the password.
auth_cache_size = 10M
# "High-performance mode" of the manual (LoginProcess): login processes serve many connections; as many as there are processors.
service pop3-login {{
  service_count = 0
  process_min_avail = {cores}
  client_limit = {clients}
  process_limit = 100
  vsz_limit = 1G
  # Chroots are in the package's own directory; here there is none.
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
# The manual (PerformanceTuning): processes serve a hundred sessions one after the other instead of one.
service pop3 {{
  service_count = 100
  process_min_avail = {cores}
  process_limit = {connections}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service anvil {{
  chroot =
  client_limit = {all}
}}
service auth {{
  client_limit = {all}
}}
service stats {{
  chroot =
  client_limit = {all}
}}
"""


class Dovecot(peer.Peer):
    packages = ("dovecot-core", "dovecot-pop3d", "dovecot-lmtpd")
    parts = frozenset(("pop3", "idle-pop3", "startup", "disk"))
    durability = "the message and its directory are synced before 250 of LMTP"
    greets_at = "pop3"
    location = ""
    owner = "mail"

    def prepare(self):
        owner = pwd.getpwnam(self.owner)
        self.lmtp_port = peer.free_port()
        for name in ("run", "state", "mail"):
            (self.directory / name).mkdir()
        shutil.chown(self.directory / "mail", self.owner, self.owner)
        # Twice as many connections to auth and anvil as sessions: each login process has one for each.
        (self.directory / "dovecot.conf").write_text(CONFIG.format(
            d=self.directory, location=self.location, uid=owner.pw_uid, gid=owner.pw_gid, certificate=self.certificate, key=self.key,
            cores=os.cpu_count(), clients=max(1000, self.connections), connections=max(1024, self.connections), all=max(4096, 2 * self.connections),
            pop3=self.pop3_port, lmtp=self.lmtp_port))

    @classmethod
    def version(cls):
        return f"Dovecot {peer.first_line('/usr/sbin/dovecot', '--version')}"

    def commands(self):
        return [["/usr/sbin/dovecot", "-F", "-c", self.directory / "dovecot.conf"]]

    def add_mailboxes(self, count):
        (self.directory / "users").write_text("".join(f"u{n}:{self.credential}\n" for n in range(count)))
        self.mailboxes = count

    def mail_directories(self):
        return [self.directory / "mail"]

    def queued(self):
        return 0

    def clear(self):
        for user in (self.directory / "mail").iterdir():
            shutil.rmtree(user)


class DovecotMaildir(Dovecot):
    name, title = "dovecot-maildir", "Dovecot, Maildir"
    location = "maildir:~/Maildir"

    def delivered(self):
        return peer.files_below(*(self.directory / "mail" / f"u{n}" / "Maildir" / part for n in range(self.mailboxes) for part in ("new", "cur")))


class DovecotSdbox(Dovecot):
    name, title = "dovecot-sdbox", "Dovecot, sdbox"
    location = "sdbox:~/sdbox"

    def delivered(self):
        """A message is a file u.UID."""
        return sum(name.startswith("u.") for n in range(self.mailboxes) for _, _, names in os.walk(self.directory / "mail" / f"u{n}/sdbox") for name in names)

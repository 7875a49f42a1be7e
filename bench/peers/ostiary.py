"""Ostiary itself: the defaults, but for what the load needs."""
import os
import shutil

import peer

PROGRAM = peer.ROOT / "build/ostiary"
CONFIG = """\
hostname = "{host}"
data_directory = "{d}/data"
user = "nobody"
listeners = {{
    {{ service = "smtp", address = "127.0.0.1", port = {smtp} }},
    {{ service = "submission", address = "127.0.0.1", port = {submission} }},
    {{ service = "pop3", address = "127.0.0.1", port = {pop3} }},
}}
tls = {{ certificate = "{certificate}", key = "{key}" }}
-- The password of a POP3 login is sent without TLS, as the other servers here allow it, too.
trusted_networks = {{ "127.0.0.0/8" }}
-- No look-ups in the DNS for the load's clients: there is none.
dns = {{ servers = {{ "127.0.0.1@9" }}, timeout = "1s" }}
smtp = {{ check_sender = false, transactions = 100000000 }}
-- All connections come from one machine.
processes = {{ connections = {connections}, connections_per_address = 100000 }}
-- Mailboxes without a quota, as elsewhere.
store = {{ default_quota = 0 }}
my = {{ socket = "my.sock" }}
log = {{ target = "{d}/log" }}
{more}
"""
# Where mail is relayed, loopback may send to other sites.
RELAY = """\
client_networks = {{ "127.0.0.0/8" }}
courier = {{ smart_host = "127.0.0.1:{port}", smart_host_tls = "none" }}
"""


class Ostiary(peer.Peer):
    name, title = "ostiary", "Ostiary"
    parts = frozenset(("receive", "relay", "pop3", "idle-smtp", "idle-pop3", "startup", "disk"))
    durability = "the body's volume and the database's log are synced before 250"

    def prepare(self):
        # The server becomes a user of its own and has to come through.
        (self.directory / "data").mkdir()
        shutil.chown(self.directory / "data", "nobody", "nogroup")
        self.log_path = self.directory / "log"
        self.log_path.touch()
        shutil.chown(self.log_path, "nobody", "nogroup")
        self.config = self.directory / "ostiary.conf"
        more = RELAY.format(port=self.sink_port) if self.sink_port else ""
        self.config.write_text(CONFIG.format(host=peer.HOST, d=self.directory, smtp=self.smtp_port, submission=self.submission_port,
                                             pop3=self.pop3_port, certificate=self.certificate, key=self.key,
                                             connections=max(4000, self.connections), more=more))

    @classmethod
    def version(cls):
        return peer.first_line(PROGRAM, "version")

    def command(self, *words):
        return peer.run(PROGRAM, *words, "--config", self.config)

    def commands(self):
        return [[PROGRAM, "serve", "--config", self.config]]

    def add_mailboxes(self, count):
        users = self.directory / "users.passwd"
        users.write_text("".join(f"u{n}@{peer.DOMAIN}:{self.credential}::::::\n" for n in range(count)))
        self.command("domain", "add", peer.DOMAIN)
        self.command("account", "import", users, "--format", "dovecot")
        self.mailboxes = count

    def status(self):
        return peer.as_json(PROGRAM, "store", "status", "--json", "--config", self.config)

    def delivered(self):
        accounts = peer.as_json(PROGRAM, "account", "list", "--json", "--config", self.config)
        return sum(account["messages"] for account in accounts)

    def queued(self):
        return self.status()["queued"]

    def clear(self):
        """Begins anew: removing each message would leave compaction to the next round."""
        running = bool(self.processes)
        self.stop()
        shutil.rmtree(self.directory / "data")
        (self.directory / "data").mkdir()
        shutil.chown(self.directory / "data", "nobody", "nogroup")
        self.add_mailboxes(self.mailboxes)
        if running:
            self.start()

    def mail_directories(self):
        return [self.directory / "data"]

    def log(self):
        return self.log_path.read_text(errors="replace")[-2000:] if os.path.exists(self.log_path) else ""

"""Exim, delivering to Maildirs."""
import os

import packages
import peer

UID = 61001  # of Debian-exim in the view

CONFIG = """\
primary_hostname = {host}
local_interfaces = 127.0.0.1
daemon_smtp_ports = {smtp}
spool_directory = {d}/spool
# The manual's advice for many messages.
split_spool_directory = true
log_file_path = {d}/log/%slog
pid_file_path = {d}/exim.pid
domainlist local_domains = {domain}
hostlist relay_from_hosts = 127.0.0.0/8
acl_smtp_rcpt = check_rcpt
tls_advertise_hosts = *
tls_certificate = {certificate}
tls_privatekey = {key}
# No look-ups in the DNS for the load's clients: there is none. Nor by RFC 1413, as Debian has it.
host_lookup =
rfc1413_query_timeout = 0s
dns_ipv4_lookup = *
# The load is not to be held back: as shipped no more than 20 connections and 1,000 messages in each, and from the eleventh message of a connection on they
# wait for the next run of the queue.
smtp_accept_max = {connections}
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
# Connections wait to be accepted instead of being lost; 20 as shipped.
smtp_connect_backlog = 1024
ignore_bounce_errors_after = 2d
timeout_frozen_after = 7d
never_users = root

begin acl

check_rcpt:
  deny domains = +local_domains
       local_parts = ^[.] : ^.*[@%!/|]
  accept hosts = +relay_from_hosts
         domains = ! +local_domains
         control = submission
  require message = relay not permitted
          domains = +local_domains
  require verify = recipient
  accept

begin routers

elsewhere:
  driver = manualroute
  domains = ! +local_domains
  transport = remote_smtp
  route_list = {sink_domain} 127.0.0.1::{sink}
  self = send
  no_more

mailboxes:
  driver = accept
  local_parts = lsearch;{d}/users
  transport = maildir

begin transports

remote_smtp:
  driver = smtp
  allow_localhost

maildir:
  driver = appendfile
  directory = {d}/mail/$local_part_data
  maildir_format
  delivery_date_add
  envelope_to_add
  return_path_add
  user = {owner}
  group = {group}
  mode = 0600

begin retry

* * F,2h,15m; G,16h,1h,1.5; F,4d,6h
"""


class Exim(peer.MaildirPeer):
    name, title = "exim", "Exim"
    is_in_view = True
    parts = frozenset(("receive", "relay", "idle-smtp", "startup", "disk"))
    durability = "the two files of the queue are synced before 250, the Maildir file when it is delivered"
    owner, group_name = "nobody", "nogroup"

    def prepare(self):
        packages.unpack("exim")
        etc = packages.write_users(self.directory, [("Debian-exim", UID, self.directory / "spool")])
        for name in ("spool", "log"):
            (self.directory / name).mkdir()
            os.chown(self.directory / name, UID, UID)
        (etc / "exim4").mkdir()
        (etc / "exim4/exim4.conf").write_text(CONFIG.format(
            host=peer.HOST, smtp=self.smtp_port, d=self.directory, domain=peer.DOMAIN, certificate=self.certificate, key=self.key,
            connections=max(200, self.connections), sink_domain=peer.SINK_DOMAIN, sink=self.sink_port or 9, owner=self.owner, group=self.group_name))

    def add_mailboxes(self, count):
        super().add_mailboxes(count)
        # "The value" of a look-up is what may stand in a path.
        (self.directory / "users").write_text("".join(f"u{n}: u{n}\n" for n in range(count)))

    def commands(self):
        # Debian's own: a daemon, and a run of the queue each half hour; in the foreground.
        return [packages.in_view("exim", self.directory, ["/usr/sbin/exim4", "-bdf", "-q30m"])]

    def queue_directories(self):
        return [self.directory / "spool" / d for d in ("input", "msglog")]

    def queued(self):
        return sum(name.endswith("-H") for _, _, names in os.walk(self.directory / "spool/input") for name in names)

    def log(self):
        return "".join(path.read_text(errors="replace")[-1500:] for path in sorted((self.directory / "log").iterdir(), reverse=True))

    @classmethod
    def version(cls):
        packages.unpack("exim")
        return f"Exim {packages.version('exim')}"

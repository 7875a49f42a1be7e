"""A real Postfix on loopback as the other site: postfix.test with mailboxes, and a way to example.test's server."""
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from ports import free_port

PATIENCE = 60
PROGRAMS = "/usr/lib/postfix/sbin"
AVAILABLE = os.geteuid() == 0 and os.path.exists(f"{PROGRAMS}/master")

MASTER = (pathlib.Path(__file__).resolve().parents[2] / "tools/postfix_master.cf").read_text()

MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
command_directory = /usr/sbin
daemon_directory = {programs}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {directory}/maillog
maillog_file_prefixes = {directory}
myhostname = mail.postfix.test
mydomain = postfix.test
myorigin = postfix.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks = 127.0.0.0/8
local_recipient_maps =
alias_maps =
alias_database =
virtual_mailbox_domains = postfix.test
virtual_mailbox_base = {directory}/mail
virtual_mailbox_maps = inline:{{ {mailboxes} }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_reject_unlisted_recipient = yes
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtp_host_lookup = native
smtp_tls_security_level = may
transport_maps = inline:{{ {routes} }}
minimal_backoff_time = 5s
maximal_backoff_time = 10s
queue_run_delay = 5s
import_environment = MAIL_CONFIG
{more}
"""


class Postfix:
    """`routes`: {domain: port on 127.0.0.1}; `users` have mailboxes at postfix.test; `more` are lines for main.cf."""

    def __init__(self, routes=None, users=("carol", "dave"), more=""):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="postfix-test-"))
        self.directory.chmod(0o755)
        self.port = free_port()
        nobody, owner = pwd.getpwnam("nobody"), pwd.getpwnam("postfix")
        for name, uid in (("config", 0), ("queue", 0), ("data", owner.pw_uid), ("mail", nobody.pw_uid)):
            (self.directory / name).mkdir()
            os.chown(self.directory / name, uid, -1)
        mailboxes = ", ".join(f"{{ {u}@postfix.test = {u}/ }}" for u in users)
        lines = ", ".join(f"{{ {domain} = smtp:[127.0.0.1]:{port} }}" for domain, port in (routes or {}).items())
        (self.directory / "config/master.cf").write_text(MASTER.format(port=self.port, pickup=1, qmgr=1))
        (self.directory / "config/main.cf").write_text(MAIN.format(
            directory=self.directory, programs=PROGRAMS, mailboxes=mailboxes, uid=nobody.pw_uid, gid=nobody.pw_gid,
            routes=lines or "{ nowhere.invalid = error: }", more=more))
        prepare = subprocess.run(["/usr/sbin/postfix", "-c", self.directory / "config", "check"], capture_output=True, text=True)
        assert prepare.returncode == 0, prepare.stderr
        self.process = subprocess.Popen([f"{PROGRAMS}/master", "-c", self.directory / "config", "-d"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while not self.greets():
            assert self.process.poll() is None and time.monotonic() < end, self.log()
            time.sleep(0.05)

    def greets(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 10) as s:
                return s.recv(3) == b"220"
        except OSError:
            return False

    def log(self):
        path = self.directory / "maillog"
        return path.read_text(errors="replace") if path.exists() else ""

    def mail(self, user):
        """The messages in a mailbox, as bytes."""
        return [p.read_bytes() for p in sorted((self.directory / "mail" / user).glob("new/*"))]

    def flush(self):
        subprocess.run(["/usr/sbin/postqueue", "-c", self.directory / "config", "-f"], check=True)

    def queue(self):
        return subprocess.run(["/usr/sbin/postqueue", "-c", self.directory / "config", "-j"], capture_output=True, text=True,
                              check=True).stdout

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        shutil.rmtree(self.directory, ignore_errors=True)

"""A real Dovecot as somebody else's POP3 server: its own configuration, users and Maildirs in a directory of its own, on 127.0.0.1."""
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time

from ports import free_port, give_back

PATIENCE = 60
CONFIG = """
base_dir = {d}/run
state_dir = {d}/state
log_path = {d}/dovecot.log
login_log_format_elements = user=<%u> method=%m rip=%r %c
auth_verbose = yes
protocols = pop3
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
disable_plaintext_auth = {disable_plaintext}
auth_mechanisms = {mechanisms}
ssl = {ssl}
ssl_cert = <{d}/cert.pem
ssl_key = <{d}/key.pem
ssl_dh =
mail_location = maildir:~/Maildir
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {d}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={d}/home/%u
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service auth {{
  unix_listener auth-userdb {{
    mode = 0666
  }}
}}
{extra}
"""


class Dovecot:
    def __init__(self, users=(("alice", "wonderland"),), mechanisms="plain login", ssl="yes", disable_plaintext="no", extra=""):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="ostiary-dovecot-"))
        self.directory.chmod(0o755)
        self.pop3, self.pop3s = free_port(), free_port()
        account = pwd.getpwnam("mail") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.uid, self.gid = account.pw_uid, account.pw_gid
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", self.directory / "key.pem", "-out", self.certificate],
                       check=True, capture_output=True)
        (self.directory / "users").write_text("".join(f"{name}:{password}\n" for name, password in users))
        for name, _ in users:
            for part in ("new", "cur", "tmp"):
                (self.home(name) / part).mkdir(parents=True)
        config = self.directory / "dovecot.conf"
        config.write_text(CONFIG.format(d=self.directory, user="dovenull" if os.geteuid() == 0 else account.pw_name,
                                        group="dovenull" if os.geteuid() == 0 else subprocess.getoutput("id -gn"), uid=self.uid, gid=self.gid,
                                        pop3=self.pop3, pop3s=self.pop3s, mechanisms=mechanisms, ssl=ssl, disable_plaintext=disable_plaintext,
                                        extra=extra))
        self.own()
        self.config = config
        self.process = None
        self.start()

    @property
    def certificate(self):
        return self.directory / "cert.pem"

    def start(self):
        self.process = subprocess.Popen(["dovecot", "-F", "-c", self.config], stdin=subprocess.DEVNULL,
                                        stdout=(self.directory / "out.log").open("ab"), stderr=subprocess.STDOUT)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log()
            try:
                with socket.create_connection(("127.0.0.1", self.pop3), 10) as s:
                    if s.recv(3) == b"+OK":
                        return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(self.log())

    def log(self):
        return "".join((self.directory / name).read_text(errors="replace") for name in ("out.log", "dovecot.log") if (self.directory / name).exists())

    def home(self, name):
        return self.directory / "home" / name / "Maildir"

    def own(self):
        if os.geteuid() == 0:
            for path in (self.directory / "home", *(self.directory / "home").rglob("*")):
                os.chown(path, self.uid, self.gid)

    def put(self, name, message, key=None):
        """A message into the maildrop, with the line ends that a Maildir has."""
        self.count = getattr(self, "count", 0) + 1
        path = self.home(name) / "tmp" / f"{1700000000 + self.count}.{key or self.count}.test"
        path.write_bytes(message.encode() if isinstance(message, str) else message)
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)
        path.rename(self.home(name) / "new" / path.name)  # whole or not there

    def messages(self, name):
        """All of the maildrop. Dovecot moves and deletes what it has in hand: then it is looked at anew."""
        while True:
            try:
                return [p.read_bytes() for part in ("new", "cur") for p in sorted((self.home(name) / part).iterdir())]
            except FileNotFoundError:
                continue

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)

    def close(self):
        self.stop()
        give_back(self.pop3)
        give_back(self.pop3s)
        shutil.rmtree(self.directory, ignore_errors=True)

"""A real DNS server (NSD) on loopback with zones of the test's own, and a server that never answers."""
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from ports import free_port

HEAD = """$ORIGIN {zone}.
$TTL {ttl}
@ IN SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 {ttl}
@ IN NS ns.{zone}.
"""


class Zones:
    """NSD with `zones`, a dict of zone names to their records; SOA and NS are added. A record's name is relative to its
    zone, "@" is the zone itself. A zone whose text is None is known to NSD but can't be loaded: SERVFAIL."""

    def __init__(self, zones, ttl=60):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="ostiary-nsd-"))
        self.port = free_port()
        self.names = []
        self.ttl = ttl
        self.process = None
        self.others = []  # further "zone=server" of settings()
        for name, text in zones.items():
            self.write(name, text)
        self.start()

    def write(self, name, text):
        """The zone is served so after the next start()."""
        path = self.directory / f"{name}.zone"
        if text is not None:
            head = HEAD.format(zone=name, ttl=self.ttl)
            path.write_text(f"{head}ns IN A 127.0.0.1\n{text}\n")
        if name not in self.names:
            self.names.append(name)

    def start(self):
        self.stop()
        text = f"""server:
  ip-address: 127.0.0.1@{self.port}
  username: ""
  chroot: ""
  database: ""
  zonesdir: "{self.directory}"
  pidfile: "{self.directory}/nsd.pid"
  xfrdfile: "{self.directory}/xfrd.state"
  zonelistfile: "{self.directory}/zone.list"
  xfrdir: "{self.directory}"
  server-count: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
"""
        for name in self.names:
            text += f'zone:\n  name: "{name}"\n  zonefile: "{name}.zone"\n'
        config = self.directory / "nsd.conf"
        config.write_text(text)
        log = (self.directory / "nsd.log").open("ab")
        self.process = subprocess.Popen(["/usr/sbin/nsd", "-d", "-c", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        self.wait()

    def wait(self):
        """Until it answers a question: one for the SOA of the first zone."""
        name = self.names[0] if self.names else "x.test"
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        question = b"\x12\x34\0\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\6\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(("127.0.0.1", self.port))
            s.settimeout(0.2)
            end = time.monotonic() + 60
            while time.monotonic() < end:
                assert self.process.poll() is None, (self.directory / "nsd.log").read_text()
                try:
                    s.send(question)
                    if s.recv(2000)[:2] == b"\x12\x34":
                        return
                except OSError:  # nothing listens there yet
                    time.sleep(0.05)
        raise AssertionError("nsd does not answer")

    def add_other(self, zone, port):
        """A zone that another server at this port has: a silent one's, a dead port's."""
        self.others.append(f"{zone}=127.0.0.1@{port}")

    def settings(self):
        """Lines for Server(): the server asks here for these zones."""
        words = [f'"{name}=127.0.0.1@{self.port}"' for name in self.names] + [f'"{other}"' for other in self.others]
        return f"dns.zones = {{ {', '.join(words)} }}"

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Silent:
    """Takes questions and never answers them."""

    def __init__(self):
        self.port = free_port()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))

    def close(self):
        self.udp.close()


def reverse(address):
    """192.0.2.7 -> 7.2.0.192, 2001:db8::1 -> its nibbles: what stands before a DNS list's zone and the reverse zones."""
    if ":" not in address:
        return ".".join(reversed(address.split(".")))
    return ".".join(reversed(socket.inet_pton(socket.AF_INET6, address).hex()))


def dns_list(*addresses, answer="127.0.0.2", reason="listed"):
    """The records of a DNS list's zone, with the test entries that RFC 5782 wants."""
    lines = []
    for address in ("127.0.0.2", "::ffff:127.0.0.2", *addresses):
        lines.append(f"{reverse(address)} IN A {answer}")
        lines.append(f'{reverse(address)} IN TXT "{reason}"')
    return "\n".join(lines)

"""The DNS breaks: everything fails, nothing is answered, answers take five seconds, are refused or make no sense. Strangers' mail passes rules that want to know
what the DNS says, members' mail goes out by MX. Nobody hears a permanent refusal, nothing is bounced, and when the DNS is back all of it arrives.

A try is a message about which the name server was asked while it was broken in one way: one that the resolver's memory answered for met nothing.
"""
import concurrent.futures
import os
import random
import re
import signal
import smtplib
import socket
import struct
import threading
import time

from ports import free_port
from sandbox import PATIENCE, Server, wait_until
from scripted_server import Peer

from .promise import Broken, Outcome, end_all, processors, refused_for_good

PROMISES = ("whatever the DNS does, nobody is refused for good, nothing bounces, and all of it arrives when it is back",)
# The last two take the resolver a minute to forgive, in which it hardly asks.
WAYS = ("servfail", "refused", "garbage", "empty", "slow", "silent")
QUICK, GRUDGES = WAYS[:4], WAYS[4:]
# (campaigns, rounds of breakage in each, messages in and out in each round, the ways; whether the minute for which failures are remembered is waited for, or the
# resolver, and in the end the server, is started anew, which forgets them; how many seconds a campaign's server may wait for the DNS: less than a slow answer takes, more, or so much that its
# resolver has learnt to wait for one)
EFFORTS = {"test": (1, 3, 2, QUICK, False, (2,)), "short": (1, 6, 3, WAYS, False, (2, 10)), "full": (8, 15, 4, WAYS, True, (2, 10, 20)),
           "long": (60, 20, 4, WAYS, True, (2, 10, 20))}
SLOW_SECONDS = 5
A, NS, SOA, PTR, MX = 1, 2, 6, 12, 15
SETTINGS = """dns.zones = {{ "test=127.0.0.1@{dns}", "127.in-addr.arpa=127.0.0.1@{dns}" }}
dns.timeout = {timeout}
dns.dnssec = false
dns_lists = {{ {{ zone = "list.test" }} }}
courier = {{ port = {far}, private_networks = {{ "127.0.0.0/8" }}, retry_first = "1s", retry_longest = "3s" }}
call_back.per_host = 10000
client_networks = {{ "127.0.0.5" }}"""
MEMBER = ("127.0.0.5", 0)
# Each of them asks the DNS, or has the courier ask it.
RULES = ("return-path=on", "verify-sender=on", "reverse-sender=on", "no-ptr=on", "dnsbl=on")


# What a message is asked about: its number is in the domain of its sender or recipient, or in the address that it comes from.
SUBJECTS = ((re.compile(r"s(\d+)\.elsewhere\.test$"), "in"), (re.compile(r"d(\d+)\.far\.test$"), "out"))
ADDRESS = re.compile(r"(\d+)\.(\d+)\.1\.127\.(?:in-addr\.arpa|list\.test)$")


def address_of(number):
    return f"127.1.{number // 250}.{number % 250 + 1}"


def subject_of(name):
    """("in" or "out", the message's number), or None."""
    for pattern, direction in SUBJECTS:
        found = pattern.search(name)
        if found:
            return direction, int(found[1])
    found = ADDRESS.match(name)
    return ("in", int(found[2]) * 250 + int(found[1]) - 1) if found else None


def name_bytes(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def records(name, kind):
    """What the world looks like: [(type, data)], or None for a name that is not there."""
    reverse = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)\.127\.in-addr\.arpa", name)
    if reverse:
        return [(PTR, name_bytes("mail.ip-127-{2}-{1}-{0}.elsewhere.test".format(*reverse.groups())))] if kind == PTR else []
    host = re.fullmatch(r"mail\.ip-(\d+)-(\d+)-(\d+)-(\d+)\.elsewhere\.test", name)
    if host:
        return [(A, bytes(map(int, host.groups())))] if kind == A else []
    if name.endswith("list.test"):
        listed = name in ("list.test", "2.0.0.127.list.test", "2.0.0.7.f.0.0.0.0.f.f.f.f." + "0." * 20 + "list.test")
        return ([(A, socket.inet_aton("127.0.0.2"))] if kind == A and name != "list.test" else []) if listed else None
    if name.startswith("mx."):
        return [(A, socket.inet_aton("127.0.0.1"))] if kind == A else []
    if name.endswith((".elsewhere.test", ".far.test")):
        return [(MX, struct.pack(">H", 10) + name_bytes(f"mx.{name}"))] if kind == MX else []
    return []


class NameServer:
    """Answers by UDP in the way that `way` says, None: as it should."""

    def __init__(self, seed):
        self.port, self.way, self.choose, self.asked = free_port(), None, random.Random(seed), 0
        self.met = set()  # (way, direction, number) of what was asked
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                packet, client = self.udp.recvfrom(4096)
            except OSError:
                return
            self.asked += 1
            reply = self.reply(packet, self.way)
            if reply and self.way == "slow":
                timer = threading.Timer(SLOW_SECONDS, self.send, (reply, client))
                timer.daemon = True
                timer.start()
            elif reply:
                self.send(reply, client)

    def send(self, reply, client):
        try:
            self.udp.sendto(reply, client)
        except OSError:
            pass  # closed meanwhile

    def reply(self, packet, way):
        end = packet.index(b"\0", 12) + 5
        question, labels, at = packet[12:end], [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode().lower())
            at += packet[at] + 1
        name, kind = ".".join(labels), struct.unpack(">H", packet[at + 1:at + 3])[0]
        subject = subject_of(name)
        if subject:
            self.met.add((way, *subject))
        if way == "silent":
            return None
        if way == "garbage":
            return packet[:2] + self.choose.randbytes(self.choose.randint(0, 200))
        if way in ("servfail", "refused"):
            return packet[:2] + struct.pack(">HHHHH", 0x8180 | (2 if way == "servfail" else 5), 1, 0, 0, 0) + question
        if way == "empty":  # a header that promises an answer which is not there
            return packet[:2] + struct.pack(">HHHHH", 0x8580, 1, 1, 0, 0) + question
        found = records(name, kind)
        answers = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind_, 1, 5, len(data)) + data for kind_, data in found or [])
        data = name_bytes("ns.test") * 2 + struct.pack(">IIIII", 1, 60, 60, 60, 1)
        zone = name_bytes("127.in-addr.arpa" if name.endswith("arpa") else "test")
        soa = b"" if found else zone + struct.pack(">HHIH", SOA, 1, 1, len(data)) + data
        return packet[:2] + struct.pack(">HHHHH", 0x8580 | (3 if found is None else 0), 1, len(found or []), 1 if soa else 0, 0) + question + answers + soa

    def close(self):
        self.udp.close()


class World:
    def __init__(self, directory, seed, timeout):
        self.choose, self.names, self.far, self.server = random.Random(seed), NameServer(seed), Peer(), None
        try:
            self.server = Server(SETTINGS.format(dns=self.names.port, far=self.far.port, timeout=timeout), parent=directory)
            self.server.run("rules", "set", "alice@example.test", *RULES)
        except BaseException:
            self.close()
            raise
        self.lock = threading.Lock()
        self.number, self.waiting, self.taken, self.sent, self.deferred, self.through_slowly = 0, set(), set(), set(), 0, 0

    def close(self):
        end_all(self.names.close, self.far.close, *([self.server.end] if self.server else []))

    def tries(self):
        return sum(way is not None for way, *_ in list(self.names.met))

    def try_in(self, number):
        """A stranger's, from an address and a domain of its own that nobody has asked about. True when it was taken."""
        address, way = address_of(number), self.names.way
        try:
            with smtplib.SMTP("127.0.0.1", self.server.port(25), timeout=PATIENCE, source_address=(address, 0)) as smtp:
                smtp.ehlo(f"mail.ip-{address.replace('.', '-')}.elsewhere.test")
                for step in (lambda: smtp.mail(f"a@s{number}.elsewhere.test"), lambda: smtp.rcpt("alice@example.test"),
                             lambda: smtp.data(f"Subject: dns {number}\r\n\r\nx\r\n")):
                    code = self.look(number, way, step)
                    if code != 250:
                        with self.lock:
                            self.deferred += 1
                        return False
        except smtplib.SMTPServerDisconnected:
            return False
        with self.lock:
            self.through_slowly += way == "slow"
        return True

    def look(self, number, way, step):
        """The reply's code, which is no refusal for good."""
        try:
            reply = step()
        except smtplib.SMTPResponseException as problem:  # of DATA before the text
            reply = problem.smtp_code, problem.smtp_error
        if refused_for_good(reply):
            raise Broken(f"mail {number}, the DNS {way or 'fine'}: refused for good: {refused_for_good(reply)}", lost=1)
        return reply[0]

    def try_all_in(self, numbers):
        """All at once: each waits for the DNS."""
        with concurrent.futures.ThreadPoolExecutor(max(1, len(numbers))) as pool:
            for number, is_taken in zip(numbers, pool.map(self.try_in, numbers)):
                (self.taken if is_taken else self.waiting).add(number)
        self.waiting -= self.taken

    def send_out(self, number):
        try:
            with smtplib.SMTP("127.0.0.1", self.server.port(25), timeout=PATIENCE, source_address=MEMBER) as smtp:
                smtp.sendmail("bob@example.test", [f"friend@d{number}.far.test"], f"Subject: dns {number}\r\n\r\nx\r\n")
        except (OSError, smtplib.SMTPException) as problem:
            raise Broken(f"a member's mail was not taken while the DNS is {self.names.way}: {problem}") from problem

    def take_numbers(self, count):
        self.number += count
        return range(self.number - count + 1, self.number + 1)

    def forget(self):
        """A resolver that knows nothing yet."""
        def resolvers():
            return {pid for pid, words in self.server.children().items() if words.split()[2] == "resolver"}
        old = resolvers()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: resolvers() - old, "another resolver")

    def wait_for_courier(self, way, out, waits, asked):
        """It has met it, too: each of its messages was tried, and the name server, which `asked` questions had come to before, heard of it."""
        wait_until(lambda: self.has_tried(out), f"the courier's tries while the DNS is {way}")
        if not waits:
            wait_until(lambda: self.has_asked(way, out), f"the courier's questions while the DNS is {way}")
            return
        try:
            wait_until(lambda: self.names.asked > asked, f"a question while the DNS is {way}")
        except AssertionError:
            # A name server that is not believed in is asked again a minute later, about any message of all that wait.
            wait_until(lambda: self.names.asked > asked, f"a question while the DNS is {way}, in twice that time")

    def has_tried(self, out):
        tried = {row["recipient"] for row in self.server.run_json("queue", "list") if row["attempts"]}
        return all(f"friend@d{number}.far.test" in tried for number in set(out) - set(self.arrived()))

    def has_asked(self, way, out):
        return any((way, "out", number) in self.names.met for number in out)

    def one_round(self, way, messages, waits):
        if self.names.way in GRUDGES and not waits:
            self.forget()
        self.names.way = way
        asked = self.names.asked
        out = self.take_numbers(messages)
        with concurrent.futures.ThreadPoolExecutor(messages) as pool:
            list(pool.map(self.send_out, out))
        self.sent |= set(out)
        self.try_all_in(self.take_numbers(messages))
        self.wait_for_courier(way, out, waits, asked)
        if self.choose.random() < 0.5:
            self.retry()
        self.through_slowly += len(set(out) & set(self.arrived())) if way == "slow" else 0

    def arrived(self):
        """The numbers of what came to the other site."""
        return sorted(int(found[1]) for found in (re.search(r"Subject: dns (\d+)", str(message)) for message in list(self.far.messages)) if found)

    def retry(self):
        self.try_all_in(sorted(self.waiting))

    def end(self, waits):
        self.names.way = None
        if not waits:
            self.server.stop()
            self.server.start()
        until = time.monotonic() + 3 * PATIENCE
        while self.waiting and time.monotonic() < until:
            self.retry()
            time.sleep(0.5 if self.waiting else 0)  # a sender that comes again, not a wait for something
        if self.waiting:
            raise Broken(f"the DNS is back, and these are still put off: {sorted(self.waiting)}", lost=len(self.waiting))
        while self.server.run_json("store", "status")["queued"] and time.monotonic() < until:
            time.sleep(0.2)
        queue = self.server.run("queue", "list").stdout
        out = self.arrived()
        if set(out) != self.sent or len(out) != len(set(out)):
            raise Broken(f"sent out {sorted(self.sent)}, arrived {out}: {queue}", lost=len(self.sent - set(out)), doubled=len(out) - len(set(out)))
        there = sorted(int(re.search(rb"^Subject: dns (\d+)", text, re.M)[1]) for text in self.server.messages())
        if set(there) != self.taken or len(there) != len(set(there)):
            raise Broken(f"taken {sorted(self.taken)}, there {there}", lost=len(self.taken - set(there)), doubled=len(there) - len(set(there)))
        reports = self.server.messages("bob@example.test")
        if reports:
            raise Broken(f"bob got a report: {reports[0][:1500]!r}")
        refused = self.server.run_json("ledger", "--verdict", "refuse")
        if refused:
            raise Broken(f"the ledger tells of refusals: {refused[:2]}")
        self.server.stop()
        self.server.run("store", "check")


def campaign(seed, rounds, messages, ways, waits, timeouts, report):
    outcome = Outcome(PROMISES[0])
    choose = random.Random(seed)
    with report.directory(outcome, f"campaign {seed} of {rounds} rounds") as directory:
        world = World(directory, seed, choose.choice(timeouts))
        try:
            order = list(ways)
            choose.shuffle(order)
            for way in [*order, *(choose.choice((*ways, None)) for _ in range(rounds))][:rounds]:
                world.one_round(way, messages, waits)
                outcome.tries = world.tries()
            world.end(waits)
            outcome.figures = {"put off": world.deferred, "through while answers were slow": world.through_slowly, "questions": world.names.asked}
        finally:
            world.close()
    return outcome


def run(effort, seed, report):
    campaigns, *words = EFFORTS[effort]
    choose = random.Random(seed)
    total = Outcome(PROMISES[0])
    plan = [(choose.randrange(1 << 30), *words) for _ in range(campaigns)]
    for outcome in report.each(campaign, plan, at_once=processors()):
        total.add(outcome)
    return [total]

"""POP3: logins, RETR of a whole maildrop, and its deletion."""
import base64
import hashlib
import json
import poplib
import time

import fill
import peer as peers_module
from measure import Row, alternate, figures, say

PART = "pop3"
LOAD = peers_module.ROOT / "build/release/bench/pop3_load"
MESSAGES, QUICK_MESSAGES, SIZE, ROUNDS = 10000, 1000, 4096, 3
SESSIONS = (1, 10, 50)
SALT = b"ostiary bench"
# A hash that costs next to nothing: what is left is the server.
CHEAP = "{SSHA512}" + base64.b64encode(hashlib.sha512(peers_module.PASSWORD.encode() + SALT).digest() + SALT).decode()
# (words, credential as Dovecot writes it or None for the run's usual one, accounts that log in in a round, logins of each)
SCHEMES = (("SHA512-CRYPT", None, 300, 1), ("SSHA512", CHEAP, 300, 1), ("SHA512-CRYPT, again within minutes", None, 50, 10))


def load(*words):
    return json.loads(peers_module.run(LOAD, *words))


class Pair:
    """Two rows of the same thing: how fast, and what it costs."""

    def __init__(self, name, thing, labels):
        self.rate = Row(PART, name, f"{thing}s/s", "higher", labels)
        self.cost = Row(PART, name, f"us CPU a {thing}", "lower", labels)

    def measure(self, server, count, *words):
        server.settle(10)
        before = server.cpu_seconds()
        result = load(*words)
        if result["messages" if "messages" in result else "logins"] != count:
            raise peers_module.BenchError(f"{server.title}: {self.rate.name}: {count} were wanted: {result}")
        server.settle(10)
        self.rate.add(server, result["rate"])
        self.cost.add(server, (server.cpu_seconds() - before) / count * 1e6)

    def rows(self):
        for row in (self.rate, self.cost):
            say(figures(row))
        return [self.rate, self.cost]


def started(each, work, mailboxes, credential, servers):
    server = each(work, connections=200)
    servers.append(server)
    server.credential = credential or server.credential
    server.add_mailboxes(mailboxes)
    server.start()
    return server


def measure_logins(classes, quick, work, words, credential, accounts, each_account):
    """Every row and round has accounts of its own, which never logged in before; each has a message, so that none is made at its first login."""
    accounts, rounds = accounts // (5 if quick else 1), 1 if quick else ROUNDS
    count, servers, pairs = accounts * each_account, [], []
    try:
        for each in classes:
            server = started(each, work, accounts * rounds * len(SESSIONS), credential, servers)
            fill.fill(server, server.mailboxes, lambda n: f"u{n}@{peers_module.DOMAIN}", 1024)
        for place, sessions in enumerate(SESSIONS):
            pair = Pair(f"login, {words}, {sessions} session{'s' * (sessions > 1)}", "login", {"scheme": words, "sessions": sessions})

            def once(server, number, pair=pair, sessions=sessions, place=place):
                first = accounts * (place * rounds + number)
                if each_account > 1:
                    load(*login_words(server, first, accounts, sessions, accounts))
                pair.measure(server, count, *login_words(server, first, accounts, sessions, count))

            alternate(servers, rounds, once)
            pairs += pair.rows()
    finally:
        for server in servers:
            server.close()
    return pairs


def login_words(server, first, accounts, sessions, count):
    return "logins", "127.0.0.1", server.pop3_port, f"u*@{peers_module.DOMAIN}", first, accounts, peers_module.PASSWORD, sessions, count


def messages_left(server, number):
    client = poplib.POP3("127.0.0.1", server.pop3_port, timeout=peers_module.PATIENCE)
    client.user(f"u{number}@{peers_module.DOMAIN}")
    client.pass_(peers_module.PASSWORD)
    count = client.stat()[0]
    client.quit()
    return count


def measure_maildrops(classes, quick, work):
    count, rounds = (QUICK_MESSAGES, 1) if quick else (MESSAGES, ROUNDS)
    todo = [(Pair(f"RETR of {count:,}, one at a time", "message", {"window": 1}), "retr", 1),
            (Pair(f"RETR of {count:,}, a hundred under way", "message", {"window": 100}), "retr", 100),
            (Pair(f"DELE of {count:,} and QUIT", "message", {"window": 100}), "dele", 100)]
    servers = []

    def once(server, number):
        for pair, verb, window in todo:
            pair.measure(server, count, verb, "127.0.0.1", server.pop3_port, f"u{number}@{peers_module.DOMAIN}", peers_module.PASSWORD, window)
        left = messages_left(server, number)
        if left:
            raise peers_module.BenchError(f"{server.title}: {left} messages are there after all were deleted")

    try:
        for each in classes:
            server = started(each, work, rounds, None, servers)
            began = time.monotonic()
            fill.fill(server, count * rounds, lambda n: f"u{n % rounds}@{peers_module.DOMAIN}", SIZE)
            say(f"{PART}: {server.title} has {count * rounds:,} messages after {time.monotonic() - began:.0f} s")
        alternate(servers, rounds, once)
    finally:
        for server in servers:
            server.close()
    return [row for pair, _, _ in todo for row in pair.rows()]


def measure_classes(classes, quick, work):
    """Rows of rate and cost for each thing done."""
    rows = [row for scheme in SCHEMES for row in measure_logins(classes, quick, work, *scheme)]
    return rows + measure_maildrops(classes, quick, work)

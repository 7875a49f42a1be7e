"""POP3: logins, RETR of a whole maildrop, and its deletion."""
import base64
import hashlib
import json
import time

import fill
import peer as peers_module
from measure import Row, alternate, figures, say

PART = "pop3"
LOAD = peers_module.ROOT / "build/release/bench/pop3_load"
MESSAGES, QUICK_MESSAGES, SIZE, ROUNDS = 10000, 1000, 4096, 3
ACCOUNTS, SESSIONS = 100, (1, 10, 50)
SALT = b"ostiary bench"
# A hash that costs next to nothing: what is left is the server.
CHEAP = "{SSHA512}" + base64.b64encode(hashlib.sha512(peers_module.PASSWORD.encode() + SALT).digest() + SALT).decode()
# {words: (credential as Dovecot writes it; None: the run's usual one, logins a round with one session)}
SCHEMES = {"SHA512-CRYPT": (None, 400), "SSHA512": (CHEAP, 2000)}


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


def measure_logins(classes, quick, work, words):
    credential, usual = SCHEMES[words]
    count, servers, pairs = usual // (10 if quick else 1), [], []
    try:
        for each in classes:
            started(each, work, ACCOUNTS, credential, servers)
        for sessions in SESSIONS:
            pair = Pair(f"login, {words}, {sessions} session{'s' * (sessions > 1)}", "login", {"scheme": words, "sessions": sessions})

            def once(server, _, pair=pair, sessions=sessions):
                pair.measure(server, count, "logins", "127.0.0.1", server.pop3_port, f"u*@{peers_module.DOMAIN}", ACCOUNTS, peers_module.PASSWORD,
                             sessions, count)

            alternate(servers, 1 if quick else ROUNDS, once)
            pairs += pair.rows()
    finally:
        for server in servers:
            server.close()
    return pairs


def measure_maildrops(classes, quick, work):
    count, rounds = (QUICK_MESSAGES, 1) if quick else (MESSAGES, ROUNDS)
    todo = [(Pair(f"RETR of {count:,}, one at a time", "message", {"window": 1}), "retr", 1),
            (Pair(f"RETR of {count:,}, a hundred under way", "message", {"window": 100}), "retr", 100),
            (Pair(f"DELE of {count:,} and QUIT", "message", {"window": 100}), "dele", 100)]
    servers = []

    def once(server, number):
        for pair, verb, window in todo:
            pair.measure(server, count, verb, "127.0.0.1", server.pop3_port, f"u{number}@{peers_module.DOMAIN}", peers_module.PASSWORD, window)

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
    rows = [row for words in SCHEMES for row in measure_logins(classes, quick, work, words)]
    return rows + measure_maildrops(classes, quick, work)

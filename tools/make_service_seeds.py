#!/usr/bin/env python3
"""Writes a seed for each method of each service into fuzz/corpus/service_*: a call that the house (fuzz/house.h) answers.

  tools/make_service_seeds.py    after a method, a field or a word of the house was added

A seed is a method's number, a caller, an attachment and a message, spelled as fuzz/message_maker.c reads them. What is not named in CALLS is 0 or empty.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVICES = {"reader": "store_read", "writer": "store_write", "auth": "auth", "courier": "courier", "script": "script", "my": "my", "resolver": "resolver"}
ALICE, BOB, CAROL = "alice@example.test", "bob@example.test", "carol@example.test"
ALICE_ID, INBOX = 3, 4  # as a new store counts
GRANTS = ("grant of alice", "grant of bob", "grant of carol")  # words behind those of the table in house.c
NUMBER_WORD, LENGTH_WORD, NUMBER_BYTES, RAW_BYTES = 128, 160, 192, 240  # the classes of message_maker.c's first bytes
MAIL = b"Subject: x\r\n\r\ny\r\n"
LOGIN = {"mechanism": "PLAIN", "peer_address": "192.0.2.7", "secure": True, "data": b"\0alice@example.test\0secret", "has_data": True}
DUE = {"now": 1 << 62, "limit": 10}

# service: file: (method, fields, attachment) or a list of those. "worn-…" take away what all others need: see run_fuzz.py.
CALLS = {
    "reader": {
        "resolve": {"local_part": "alice", "domain": "example.test", "judged": True},
        "credentials": {"login": ALICE},
        "may-send": {"grant": GRANTS[0], "local_part": "alice", "domain": "example.test"},
        "maildrop": {"grant": GRANTS[0]},
        "fetch": {"grant": GRANTS[0], "mailbox_id": INBOX, "uids": [1], "max_bytes": 100},
        "queue-due": DUE,
        "queue-entries": DUE | {"destination": "elsewhere.test"},
        "queue-fetch": {"message_id": 1, "max_bytes": 100},
        "list": {"list_id": 1, "limit": 10},
        "secrets": {},
        "name-hits": {"name": "elsewhere.test"},
        "remotes": {},
        "remote-seen": {"remote_id": 1, "uidls": ["a"]},
        "code-for": {"address": "x@elsewhere.test"},
    },
    "writer": {
        "spool": {"expected_size": 100},
        "deliver": {"reverse_path": "x@elsewhere.test", "recipients": [{"account_id": ALICE_ID, "mailbox_id": INBOX, "address": ALICE}], "received_at": 1 << 60, "protocol": "SMTP"},
        "expunge": {"grant": GRANTS[0], "mailbox_id": INBOX, "uids": [1]},
        "change": {"change": 7, "alias": {"address": "x@example.test", "targets": [ALICE]}},
        "list": {"kind": 2},
        "status": {},
        "compact": {"min_dead_percent": 50},
        "credentials": {"account_id": ALICE_ID, "credentials": [{"kind": "crypt", "value": "secret"}]},
        "queue-wait": {},
        "queue-list": {"limit": 10},
        "queue-change": {"action": 1, "everything": True},
        "import": {"account": ALICE, "mailbox": "INBOX", "received_at": 1 << 60},
        "ledger-note": {"rows": [{"reference": 1, "at": 1 << 60, "attempts": 1, "verdict": 1, "rule": "dnsbl", "recipient": ALICE}]},
        "ledger-list": {"grant": GRANTS[0], "limit": 10},
        "reject-counts": {"period": 1 << 60, "until": 1 << 61},
        "door-change": {"grant": GRANTS[0], "items": [{"kind": 1, "level": 3, "owner": ALICE, "name": "white-list", "value": "on"}]},
        "door-list": {"grant": GRANTS[0], "limit": 10},
        "door-history": {"grant": GRANTS[0], "limit": 10},
        "remote-seen": {"remote_id": 1, "uidls": ["a"]},
        "worn-people": [("change", {"change": 4, "account": {"address": who}}) for who in (ALICE, BOB, CAROL)],
        "worn-quota": ("change", {"change": 5, "account": {"address": ALICE, "quota": 1}, "set_quota": True}),
    },
    "auth": {
        "step": LOGIN | {"service": 2},
        "change-password": [("step", LOGIN | {"service": 3}), ("change-password", {"grant": GRANTS[0], "address": ALICE, "password": b"a better secret"})],
        "report": {"refused": 3, "peer_address": "192.0.2.7", "recipient": ALICE, "code": 99},
        "window": {"peer_address": "192.0.2.7"},
        "clients": {},
        "watch": {},
        "guess": {"peer_address": "192.0.2.7", "recipient": ALICE},
        "greylist": {"peer_address": "192.0.2.7", "reverse_path": "x@elsewhere.test", "recipient": ALICE, "wait_seconds": 100},
    },
    "courier": {
        "probe": {"address": ALICE, "next_hop": "pop.elsewhere.test:110"},
        "call-back": {"sender": "x@elsewhere.test"},
        "whois": {"ip": b"\x20\x01\x0d\xb8" + bytes(12)},
        "fetch-now": {"account": ALICE},
        "fetch-state": {"account": ALICE},
    },
    "script": {"check": {"facts": (ROOT / "fuzz/corpus/facts/nothing").read_bytes()}},
    "my": {method: [("login", {"login": ALICE, "password": "secret"}), (method, fields)] for method, fields in {
        "login": {},
        "door-change": {"items": [{"kind": 1, "level": 3, "owner": ALICE, "name": "white-list", "value": "on"}]},
        "door-list": {"limit": 10},
        "door-history": {"limit": 10},
        "ledger-list": {"limit": 10},
        "fetch-state": {},
        "fetch-now": {},
    }.items()},
    "resolver": {"query": {"name": "elsewhere.test", "type": 1}},
}
ATTACHMENTS = {("writer", "deliver"): MAIL, ("writer", "import"): MAIL}


def read_contract(name):
    """{message: [(number, is repeated, type, field)]} of a .proto file of ours."""
    text = re.sub(r"//.*", "", (ROOT / f"src/ipc/{name}.proto").read_text())
    fields = r"(repeated )?(\w+) (\w+) = (\d+);"
    return {message: sorted((int(number), bool(many), kind, field) for many, kind, field, number in re.findall(fields, body))
            for message, body in re.findall(r"message (\w+) \{([^}]*)\}", text)}


def read_methods():
    """{service's .proto: {method: (number, .proto and message of its request)}}, by the tables of ipc/services.c."""
    text, found = (ROOT / "src/ipc/services.c").read_text(), {}
    for table, body in re.findall(r"struct method (\w+)_methods\[\] = \{(.*?)\n\};", text, re.S):
        rows = re.findall(r'ROW\(\w+, "([\w-]+)", (\w+)__(\w+),', body)
        found[table] = {method: (number, contract, "".join(map(str.capitalize, message.split("_")))) for number, (method, contract, message) in enumerate(rows)}
    return found


def read_words():
    table = re.search(r"words\[\] = \{(.*?)\n\};", (ROOT / "fuzz/house.c").read_text(), re.S)[1]
    return [word.replace("\\n", "\n") for word in re.findall(r'"((?:[^"\\]|\\.)*)"', table)] + list(GRANTS)


class Speller:
    def __init__(self, contract, words):
        self.messages, self.words = read_contract(contract), words

    def number(self, value):
        if value < NUMBER_WORD:
            return bytes([value])
        return bytes([NUMBER_BYTES + 7]) + value.to_bytes(8, "big")

    def text(self, value):
        if value in self.words:
            return bytes([self.words.index(value)])
        raw = value.encode() if isinstance(value, str) else value
        if len(raw) < RAW_BYTES - LENGTH_WORD:
            return bytes([LENGTH_WORD + len(raw)]) + raw
        return bytes([RAW_BYTES + len(raw) // 125]) + raw  # up to so many: only the last of a seed can be one

    def value(self, kind, value):
        if kind == "bool":
            return bytes([bool(value)])
        if kind in ("bytes", "string"):
            return self.text(value or "")
        if kind in self.messages:
            return self.message(kind, value)
        return self.number(value or 0)

    def message(self, name, given):
        unknown = set(given) - {field for _, _, _, field in self.messages[name]}
        assert not unknown, f"{name} has no {unknown}"
        out = b""
        for _, is_list, kind, field in self.messages[name]:
            value = given.get(field)
            if is_list:
                assert len(value or []) < 4, field
                out += bytes([len(value or [])]) + b"".join(self.value(kind, one) for one in value or [])
            elif kind in self.messages:
                out += bytes([value is not None]) + (self.message(kind, value) if value is not None else b"")
            else:
                out += self.value(kind, value)
        return out


def spell(service, calls, methods, words):
    out = b""
    for method, fields in calls:
        number, contract, message = methods[method]
        attachment = ATTACHMENTS.get((service, method), b"")
        # The caller 0 is whoever may call it and comes first.
        out += bytes([number, 0, 128 + len(attachment) if attachment else 0]) + attachment + Speller(contract, words).message(message, fields)
    return out


def main():
    tables, words = read_methods(), read_words()
    for service, name in SERVICES.items():
        directory = ROOT / f"fuzz/corpus/service_{service}"
        missing = set(tables[name]) - set(CALLS[service])
        if missing:
            sys.exit(f"make_service_seeds: {service}: no call of {', '.join(sorted(missing))}")
        for file, given in CALLS[service].items():
            calls = given if isinstance(given, list) else [given if isinstance(given, tuple) else (file, given)]
            (directory / file).write_bytes(spell(service, calls, tables[name], words))
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Holds the architecture: which folder of src/ may include which.

The table is the design. An include that is not in it fails, and so does a folder that nobody wrote down.
"""
import pathlib
import re
import sys

SRC = pathlib.Path(__file__).resolve().parent.parent / "src"

# folder: folders it may include besides itself.
EDGES = {
    "base": [],
    "format": ["base"],
    "run": ["base"],
    "ipc": ["base", "run"],
    "config": ["base", "format"],
    "dns": ["base", "format", "run", "ipc", "config"],
    "policy": ["base", "format"],
    "script": ["base", "format", "run", "ipc", "config", "policy"],
    "queue": ["base", "format"],
    "intake": ["base", "format", "run", "ipc", "config", "policy"],
    "facts": ["base", "format", "run", "ipc", "config", "policy", "dns", "intake"],
    "auth": ["base", "format", "run", "ipc", "config", "policy"],
    # Doors: what items mean and how rules merge (policy/door_item.h, policy/ruleset.h) is pure, and the same everywhere.
    "store": ["base", "format", "run", "ipc", "config", "policy"],
    "smtp": ["base", "format", "run", "ipc", "config", "policy", "dns", "intake", "facts"],
    "pop3": ["base", "format", "run", "ipc", "config", "policy", "intake", "facts"],
    "pwd": ["base", "run", "ipc", "config", "policy"],
    "my": ["base", "run", "ipc", "config"],
    "deliver": ["base", "format", "run", "ipc", "config", "policy", "dns", "queue", "intake"],
    "fetch": ["base", "format", "run", "ipc", "config", "policy", "dns", "intake", "facts"],
    "ctl": ["base", "format", "run", "ipc", "config", "policy"],
    "proc": ["base", "format", "run", "ipc", "config", "policy", "dns", "intake", "facts", "auth", "store", "smtp", "pop3", "pwd", "my",
             "deliver", "fetch", "script"],
    ".": ["ctl", "proc", "base"],
}
# Single headers that open a door of their own, with the reason.
DOORS = {
    ("fetch", "auth/digest.h"): "the digests of SCRAM and APOP",
    ("ctl", "proc/remote_key.h"): "passwords of remote accounts are sealed where they are typed",
    ("smtp", "auth/mechanisms.h"): "the pure list of mechanisms to offer",
    ("pop3", "auth/mechanisms.h"): "the pure list of mechanisms to offer",
    ("pwd", "auth/mechanisms.h"): "the pure list of mechanisms",
    ("ctl", "auth/credentials.h"): "passwords are hashed where they are typed, not in the server",
    ("ctl", "auth/dovecot_scheme.h"): "hashes of other servers are read where they are imported",
    ("ctl", "auth/password.h"): "the rules that a new password has to meet",
    ("ctl", "store/writer.h"): "without a running server the command line starts a writer of its own",
    ("ctl", "store/check.h"): "store check reads a store that no server has open",
    ("ctl", "store/backup.h"): "backup and restore read and write files beside the server",
    ("ctl", "store/export.h"): "mail export reads a person's mail as store check does",
    ("ctl", "store/rebuild.h"): "store rebuild writes a new database while no server runs",
    ("ctl", "proc/blacklist_helper.h"): "the name of the file that the helper reads and the command line keeps",
    ("ctl", "script/engine.h"): "script test and reload try a script as the server would run it",
    ("ctl", "script/service.h"): "with the same timer",
    ("ctl", "script/source.h"): "and from the same file",
    ("ctl", "facts/content.h"): "script test and rules test look at a message as a gate does",
    ("ctl", "dns/service.h"): "doctor asks the DNS by a resolver of its own, as the server's is made",
    ("ctl", "dns/lookup.h"): "doctor asks the DNS",
    ("ctl", "dns/rdata.h"): "doctor reads what DNS lists answer",
    ("ctl", "deliver/hosts.h"): "doctor reads the smart host's name as the courier does",
    ("ctl", "deliver/smtp_client.h"): "doctor talks to the smart host",
    ("ctl", "policy/dns_list.h"): "doctor makes the self-tests of DNS lists",
    ("ctl", "facts/gather.h"): "rules test asks the DNS as a gate does",
    ("ctl", "facts/dns_lists.h"): "rules test asks the DNS lists",
    ("ctl", "proc/supervisor.h"): "serve and sandbox start the server",
    ("ctl", "proc/data_directory.h"): "without a server the command line makes the data directory as the server would",
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def folder_of(path):
    parts = path.relative_to(SRC).parts
    return parts[0] if len(parts) > 1 else "."


def check(path):
    folder = folder_of(path)
    if folder not in EDGES:
        yield f"{path}: the folder '{folder}' is not in tools/check_includes.py"
        return
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match or match[1].endswith(".pb-c.h"):
            continue
        target = match[1].split("/")[0] if "/" in match[1] else "."
        if target == folder or target in EDGES[folder] or (folder, match[1]) in DOORS:
            continue
        yield f"{path.relative_to(SRC.parent)}:{number}: {folder}/ may not include {match[1]}"


def main():
    problems = [p for path in sorted(SRC.rglob("*.[ch]")) for p in check(path)]
    print("\n".join(problems) or "include edges: fine")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())

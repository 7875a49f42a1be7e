"""Size on disk: the same mail-like messages to everybody, and then the blocks that the file system gave, after an orderly stop."""
import os

import fill
import peer as peers_module
from measure import Row, figures, say

PART = "disk"
COUNT, QUICK_COUNT, SECONDS, MAILBOXES = 100000, 1000, 300, 100


def one(server, count):
    """(KiB on disk, KiB of text, messages)"""
    server.add_mailboxes(MAILBOXES)
    server.start()
    os.sync()
    before = server.data_bytes()
    done, octets = fill.fill(server, count, lambda n: f"u{n % MAILBOXES}@{peers_module.DOMAIN}", seconds=SECONDS)
    server.settle(30)
    server.stop()
    os.sync()  # blocks are given when they are written
    return (server.data_bytes() - before) / 1024, octets / 1024, done


def measure_classes(classes, quick, work):
    """One row, one round: the bytes do not depend on the machine's mood."""
    count = QUICK_COUNT if quick else COUNT
    row = Row(PART, f"{count:,} messages of 1 to 40 KiB", "KiB a message", "lower", {"messages": count})
    for each in classes:
        server = each(work)
        try:
            kib, text, done = one(server, count)
        except peers_module.BenchError as problem:
            if server.name == "ostiary":
                raise
            row.notes[server.name] = f"it failed: {str(problem).splitlines()[0][:200]}"
            say(f"{PART}: {server.title}: {problem}")
            continue
        finally:
            server.close()
        row.add(server, kib / done)
        say(f"{PART}: {server.title}: {kib / done:.2f} KiB a message of {text / done:.2f} KiB, {done:,} messages")
        if done < count:
            row.notes[server.name] = f"the first {done:,} of the messages, which is what it took within {SECONDS} s."
    say(figures(row))
    return [row]

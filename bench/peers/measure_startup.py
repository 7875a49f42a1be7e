"""Start-up: from exec until the first greeting, with mailboxes in place and the files in the kernel's cache."""
from measure import Row, alternate, figures, say

PART = "startup"
ROUNDS, QUICK_ROUNDS, MAILBOXES = 10, 3, 10


def measure_classes(classes, quick, work):
    """One row."""
    row, servers = Row(PART, "from exec to the first greeting", "ms", "lower"), []
    try:
        for each in classes:
            servers.append(each(work))
            servers[-1].add_mailboxes(MAILBOXES)
            servers[-1].start()  # makes what is made once: indexes, a database
            servers[-1].stop()

        def once(server, _):
            row.add(server, server.start() * 1000)
            server.stop()

        alternate(servers, QUICK_ROUNDS if quick else ROUNDS, once)
    finally:
        for server in servers:
            server.close()
    say(figures(row))
    return [row]

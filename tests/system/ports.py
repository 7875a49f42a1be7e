"""Ports for the servers of tests. A port is this process's own until it ends, on the whole machine: parts of one run and runs of other checkouts go on at the same
time. They lie below those that the kernel gives to outgoing connections, so that none of these takes the port of a server that is about to start."""
import errno
import fcntl
import os
import pathlib
import random
import socket
import tempfile

OUTGOING = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
FIRST, LAST = 12000, OUTGOING if OUTGOING > 16000 else 32768  # a sandbox started by hand is below them
ADDRESSES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.2"), (socket.AF_INET6, "::1"))
SANDBOX = (25, 26, 106, 110, 465, 587, 906, 995)  # what one listens at on top of its base, and 26, where test_processes.py moves a listener
TRIES = 5000

# Each port has a byte of this file, locked by whoever has the port; the locks end with the process, however that ends. The file stays open: to close
# any descriptor of it would give up all of them.
LOCKS = os.open(pathlib.Path(tempfile.gettempdir()) / f"ostiary-test-ports-{os.geteuid()}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
taken = set()


def is_unused(port):
    """By TCP and UDP, at every address that tests use."""
    for family, address in ADDRESSES:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            try:
                with socket.socket(family, kind) as s:
                    s.bind((address, port))
            except OSError as problem:
                if problem.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):  # a machine without IPv6
                    return False
    return True


def take(port):
    """Is it ours now? Once for each port."""
    if port in taken:
        return False
    try:
        fcntl.lockf(LOCKS, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):
        return False
    if not is_unused(port):
        fcntl.lockf(LOCKS, fcntl.LOCK_UN, 1, port)
        return False
    taken.add(port)
    return True


def give_back(port):
    taken.discard(port)
    fcntl.lockf(LOCKS, fcntl.LOCK_UN, 1, port)


def free_port():
    for _ in range(TRIES):
        port = random.randrange(FIRST, LAST)
        if take(port):
            return port
    raise AssertionError("no free port")


def free_port_base():
    """A base on top of which all of a sandbox's ports are free. Those between them may be others'."""
    for _ in range(TRIES):
        base = random.randrange(FIRST, LAST - max(SANDBOX))
        got = []
        for port in SANDBOX:
            if not take(base + port):
                break
            got.append(base + port)
        else:
            return base
        for port in got:
            give_back(port)
    raise AssertionError("no free ports")

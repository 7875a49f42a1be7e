"""Calls that fail, told to the libraries of faults.c and no_memory.c."""
import errno
import mmap
import os
import struct

from .promise import Broken

# As faults.h has them.
SYNC, PWRITE, PWRITEV, WRITE, SIZE, NAME, ALLOCATION, RECEIVE = (1 << i for i in range(8))
KINDS = {SYNC: "sync", PWRITE: "pwrite", PWRITEV: "pwritev", WRITE: "write", SIZE: "truncate", NAME: "name", ALLOCATION: "allocation", RECEIVE: "receive"}
SHORT = 4096  # faults.h
ERRORS = {errno.ENOSPC: "ENOSPC", errno.EIO: "EIO", errno.EDQUOT: "EDQUOT", SHORT: "short", errno.ENOMEM: "ENOMEM", errno.ECONNRESET: "ECONNRESET"}
ERROR_, KINDS_, SKIP, COUNT, FAILED, LOADED, ROLES_, SEEN = range(8)  # the words of struct faults
ROLES = ("writer", "reader", "gate", "desk", "auth", "courier", "resolver", "backup", "restore", "rebuild")  # fault_roles
FOREVER = 1 << 30
EVERY = 1 << 30  # k


class Faults:
    """The other end of the libraries' page."""

    def __init__(self, path):
        path.write_bytes(bytes(mmap.PAGESIZE))
        path.chmod(0o666)
        with path.open("r+b") as f:
            self.page = mmap.mmap(f.fileno(), mmap.PAGESIZE)

    def get(self, word):
        return struct.unpack_from("=I", self.page, 4 * word)[0]

    def set(self, word, value):
        struct.pack_into("=I", self.page, 4 * word, value)

    def begin(self, error, kinds, skip=0, count=1, role="writer"):
        for word, value in ((ROLES_, 1 << ROLES.index(role)), (KINDS_, kinds), (SKIP, skip), (COUNT, count), (SEEN, 0), (ERROR_, error)):
            self.set(word, value)

    def end(self):
        self.set(ERROR_, 0)


def environment(libraries, page):
    """Of a server whose calls can fail."""
    options = os.environ.get("ASAN_OPTIONS", "")
    return {"LD_PRELOAD": ":".join(str(library) for library in libraries), "OSTIARY_FAULTS": str(page), "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0".strip(":")}


def look_at_end(what, result):
    """A command worked, or said why not."""
    if result.returncode and (result.returncode < 0 or not result.stderr.strip()):
        raise Broken(f"'{what}' ended with {result.returncode} and said nothing: {result.stdout}")


def choose_ks(count, most, choose):
    return range(count) if count <= most else sorted(choose.sample(range(count), most))

"""The processes of one server, wherever they fork to: what CPU they used, those that ended included, and who they are now.

Where a cgroup v2 can be made (root on Debian), the kernel counts: cpu.stat's usage_usec, in microseconds. Elsewhere /proc/PID/stat of the tree is
added up, with what parents collected of children that ended: clock ticks of 10 ms."""
import os
import pathlib
import re
import time

TICK = os.sysconf("SC_CLK_TCK")


def unified_root():
    """Where cgroup v2 is mounted, alone or beside v1; None where it is not, or not ours to write."""
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(place, os.W_OK) and os.access(pathlib.Path(place) / "cgroup.procs", os.W_OK):
            return pathlib.Path(place)
    return None


class ControlGroup:
    how = "cgroup v2, cpu.stat"

    def __init__(self, root, name):
        self.path = root / f"ostiary-bench-{os.getpid()}-{name}"
        self.path.mkdir()

    def command(self, argv):
        """What to execute so that it and all that it starts are counted."""
        return ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', str(self.path / "cgroup.procs"), *map(str, argv)]

    def cpu_seconds(self):
        return int(re.search(r"^usage_usec (\d+)", (self.path / "cpu.stat").read_text(), re.M)[1]) / 1e6

    def pids(self):
        return [int(line) for line in (self.path / "cgroup.procs").read_text().split()]

    def close(self):
        """Whoever is left ends here: a server that was told to stop may leave helpers behind."""
        end = time.monotonic() + 10
        while self.pids():
            (self.path / "cgroup.kill").write_text("1")
            if time.monotonic() > end:
                raise TimeoutError(f"processes of {self.path} do not end")
            time.sleep(0.01)
        self.path.rmdir()


class ProcessTree:
    how = "/proc/PID/stat of the process tree, in ticks of 10 ms"

    def __init__(self):
        self.roots = []

    def command(self, argv):
        return [str(a) for a in argv]

    def pids(self):
        out, todo = [], [p for p in self.roots if pathlib.Path(f"/proc/{p}").exists()]
        while todo:
            pid = todo.pop()
            out.append(pid)
            try:
                todo += map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except OSError:
                continue  # it ended meanwhile: its parent has its time
        return out

    def cpu_seconds(self):
        total = 0
        for pid in self.pids():
            try:
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += sum(int(f) for f in fields[11:15])
        return total / TICK

    def close(self):
        self.roots.clear()


def new_group(name):
    root = unified_root()
    return ControlGroup(root, name) if root else ProcessTree()


def how():
    """In words, how CPU is counted here."""
    return (ControlGroup if unified_root() else ProcessTree).how

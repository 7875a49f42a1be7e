"""Servers that can't be installed beside each other: Debian lets one mail transfer agent be installed, and installing Exim or OpenSMTPD would remove
Postfix. Their packages are downloaded and unpacked into build/peers/NAME, with the libraries that this machine does not have, and run in a view of the
file system of their own, where build/peers/NAME/usr lies over /usr (an overlay, read-only) and a few directories are theirs."""
import pathlib
import shlex
import shutil
import subprocess
import tempfile

import peer

UNPACKED = {
    "exim": ("exim4-daemon-light", "exim4-base", "libdb5.3", "libgnutls-dane0", "libgnutls30", "libidn12", "libidn2-0", "libnsl2", "libpcre2-8-0"),
    "opensmtpd": ("opensmtpd", "libdb5.3", "libevent-2.1-7", "libssl3"),
}


def is_installed(package):
    state = subprocess.run(["dpkg-query", "-W", "-f", "${Status}", package], capture_output=True, text=True)
    return state.stdout == "install ok installed"


def place(name):
    return peer.ROOT / "build/peers" / name


def download(packages, directory):
    """Once with the lists of packages that are there, once more with new ones."""
    command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages]
    if subprocess.run(command, cwd=directory, capture_output=True).returncode != 0:
        peer.run("apt-get", "-q", "update")
        peer.run(*command, cwd=directory)


def unpack(name):
    """The directory where NAME's files are, whole or not at all."""
    target = place(name)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    server, *libraries = UNPACKED[name]
    packages = [server, *(p for p in libraries if not is_installed(p))]
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=target.parent) as directory:
        work = pathlib.Path(directory)
        download(packages, work)
        for archive in work.glob("*.deb"):
            peer.run("dpkg", "-x", archive, work / "root")
        shutil.move(work / "root", target)
    return target


def version(name):
    """As Debian counts, from the package's change log."""
    archive = next((place(name) / "usr/share/doc" / UNPACKED[name][0]).glob("changelog.Debian*.gz"))
    return peer.run("zcat", archive).split("(", 1)[1].split(")", 1)[0]


def write_users(directory, users):
    """An /etc for the view with this machine's users and these: [(name, uid, home)]. Names come from /etc/hosts only: OpenSMTPD looks up each client's,
    and would wait for a DNS that is not there."""
    etc = directory / "etc"
    etc.mkdir()
    for name, line in (("passwd", "{0}:x:{1}:{1}::{2}:/bin/sh\n"), ("group", "{0}:x:{1}:\n")):
        text = pathlib.Path("/etc", name).read_text()
        (etc / name).write_text(text + "".join(line.format(*user) for user in users))
    (etc / "resolv.conf").write_text("lookup file\nnameserver 127.0.0.1\n")
    return etc


def in_view(name, directory, argv, empty=(), bound=()):
    """The command that runs argv in the view: `directory`/etc over /etc, new and empty the directories `empty`, and then (source, place below them) of
    `bound` mounted; there it waits at the gate for Peer.start()."""
    lines = ["set -e", f"mount -t overlay overlay -o lowerdir={place(name)}/usr:/usr /usr",
             f"mount -t overlay overlay -o lowerdir={directory}/etc:/etc /etc"]
    lines += [f"mount -t tmpfs -o mode=755 tmpfs {path}" for path in empty]
    for source, path in bound:
        lines += [f"mkdir -p {shlex.quote(str(path))}", f"mount --bind {shlex.quote(str(source))} {shlex.quote(str(path))}"]
    lines += peer.wait_at_gate(directory)
    return ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", "\n".join([*lines, 'exec "$0" "$@"']), *argv]

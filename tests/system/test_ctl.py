"""The command line from outside: the program OSTIARY (an absolute path) as a person or a script runs it."""

import contextlib
import json
import os
import pathlib
import poplib
import pty
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile

import pytest

from ports import free_port_base

OSTIARY = os.environ.get("OSTIARY", str(pathlib.Path(__file__).resolve().parents[2] / "build" / "ostiary"))
DEADLINE = 60

USAGE, DATA, UNAVAILABLE, CANT_CREATE, TEMPORARY, CONFIG = 64, 65, 69, 73, 75, 78


class House:
    """A directory with a configuration, and the commands run on it."""

    def __init__(self, directory):
        self.directory = directory
        self.config = directory / "ostiary.conf"
        self.port_base = free_port_base()
        self.write_config()

    def write_config(self, extra=""):
        self.config.write_text(
            f'hostname = "mail.example.org"\ndata_directory = "{self.directory}/data"\nuser = "nobody"\n'
            f'listeners = {{ {{ service = "smtp", address = "127.0.0.1", port = {self.port_base + 25} }} }}\n'
            f"auth.hash_cost = 1\n{extra}"
        )

    def run(self, *words, stdin="", status=0):
        done = subprocess.run(
            [OSTIARY, *words, "--config", str(self.config)], input=stdin, capture_output=True, text=True, timeout=DEADLINE
        )
        assert done.returncode == status, done
        if status:
            assert done.stderr.startswith("ostiary: ") and done.stderr.count("\n") == 1, done.stderr
        else:
            assert done.stderr == "", done.stderr
        return done.stderr[len("ostiary: ") :].strip() if status else done.stdout

    def json(self, *words):
        return json.loads(self.run(*words, "--json"))


@contextlib.contextmanager
def server(*words, log):
    """A server that is ready, ended with SIGTERM."""
    ready, tell = os.pipe()
    with open(log, "ab") as output:
        process = subprocess.Popen([OSTIARY, *words, "--ready-fd", str(tell)], stdout=output, stderr=output, pass_fds=[tell])
    os.close(tell)
    try:
        with os.fdopen(ready, "rb") as pipe:
            assert pipe.readline() == b"ready\n", pathlib.Path(log).read_text()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0, pathlib.Path(log).read_text()


@pytest.fixture
def open_path(tmp_path):
    """As root the server becomes another user, who has to come through to its data."""
    path = tmp_path
    while os.geteuid() == 0 and path != path.parent and path.stat().st_uid == os.geteuid():
        if not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
        path = path.parent
    return tmp_path


@pytest.fixture(params=["without a server", "with a server"])
def house(request, open_path):
    house = House(open_path)
    if request.param == "without a server":
        yield house
        return
    with server("serve", "--config", str(house.config), log=open_path / "log"):
        yield house


def test_domains(house):
    assert house.json("domain", "list") == []
    house.run("domain", "add", "Example.ORG")
    house.run("domain", "add", "bücher.example")
    names = [row["name"] for row in house.json("domain", "list")]
    assert names == ["example.org", "xn--bcher-kva.example"]
    assert "example.org" in house.run("domain", "list")
    assert house.run("domain", "add", "example.org", status=DATA)
    assert "is no domain" in house.run("domain", "add", "exa mple", status=DATA)
    house.run("domain", "remove", "bücher.example")
    assert len(house.json("domain", "list")) == 1
    assert house.run("domain", "remove", "nowhere.example", status=DATA)


def test_accounts(house):
    house.run("domain", "add", "example.org")
    house.run("account", "add", "Alice@example.org", "--name", "Alice Lée", "--quota", "1G", "--password-stdin", stdin="secret word\n")
    shown = house.json("account", "show", "alice@example.org")
    assert {key: shown[key] for key in ("address", "name", "quota", "enabled", "messages")} == {
        "address": "alice@example.org",
        "name": "Alice Lée",
        "quota": 1 << 30,
        "enabled": True,
        "messages": 0,
    }
    made = house.json("account", "add", "bob@example.org", "--password-generate")
    assert made["address"] == "bob@example.org" and len(made["password"]) == 23
    assert "password: " in house.run("account", "passwd", "bob@example.org", "--password-generate")
    assert [row["address"] for row in house.json("account", "list")] == ["alice@example.org", "bob@example.org"]
    assert [row["address"] for row in house.json("account", "list", "@example.org")] == ["alice@example.org", "bob@example.org"]
    house.run("account", "set", "alice@example.org", "--quota", "0", "--disable", "--name", "A")
    shown = house.json("account", "show", "alice@example.org")
    assert (shown["quota"], shown["enabled"], shown["name"]) == (0, False, "A")
    house.run("account", "set", "alice@example.org", "--enable")
    assert house.json("account", "show", "alice@example.org")["enabled"] is True
    assert "closed" not in house.run("account", "list")
    house.run("account", "remove", "alice@example.org", status=USAGE)
    house.run("account", "remove", "alice@example.org", "--yes")
    assert house.run("account", "show", "alice@example.org", status=DATA) == "there is no account alice@example.org"


def type_passwords(house, *typed):
    """Runs account passwd on a terminal of its own; what it shows, and its status."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(OSTIARY, [OSTIARY, "account", "passwd", "alice@example.org", "--config", str(house.config)])
    shown = b""
    for line in typed:
        while not shown.rstrip(b" ").endswith(b":"):
            shown += os.read(terminal, 1000)
        shown += b"|"
        os.write(terminal, line)
    with contextlib.suppress(OSError):  # a terminal whose other side is closed gives EIO
        while piece := os.read(terminal, 1000):
            shown += piece
    os.close(terminal)
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_password_on_a_terminal(open_path):
    house = House(open_path)
    house.run("domain", "add", "example.org")
    house.run("account", "add", "alice@example.org", "--password-stdin", stdin="first word\n")
    shown, status = type_passwords(house, b"hidden-word\n", b"hidden-word\n")
    assert status == 0 and "is set" in shown and "hidden-word" not in shown
    shown, status = type_passwords(house, b"hidden-word\n", b"hidden-wort\n")
    assert status == DATA and "the two passwords differ" in shown and "hidden-wor" not in shown
    shown, status = type_passwords(house, b"hidden\x03")
    assert status == DATA and "no password was read" in shown


@pytest.mark.parametrize(
    "words, stdin, status",
    [
        (["add", "no-at-sign", "--password-stdin"], "x\n", DATA),
        (["add", "a@elsewhere.example", "--password-stdin"], "secret word\n", DATA),
        (["add", "taken@example.org", "--password-stdin"], "secret word\n", DATA),
        (["add", "a@example.org", "--password-stdin"], "\n", DATA),
        (["add", "a@example.org", "--password-stdin"], "x" * 600 + "\n", DATA),
        (["add", "a@example.org", "--password-stdin"], "seven77\n", DATA),
        (["add", "adam@example.org", "--password-stdin"], "i am ADAM\n", DATA),
        (["add", "a@example.org"], "", USAGE),
        (["add", "a@example.org", "--quota", "lots", "--password-stdin"], "secret word\n", DATA),
        (["add", "a@example.org", "--password-stdin", "--password-generate"], "secret word\n", USAGE),
        (["set", "taken@example.org"], "", USAGE),
        (["set", "taken@example.org", "--enable", "--disable"], "", USAGE),
        (["set", "nobody@example.org", "--enable"], "", DATA),
        (["passwd", "nobody@example.org", "--password-stdin"], "secret word\n", DATA),
        (["remove", "nobody@example.org", "--yes"], "", DATA),
    ],
)
def test_account_faults(open_path, words, stdin, status):
    house = House(open_path)
    house.run("domain", "add", "example.org")
    house.run("account", "add", "taken@example.org", "--password-stdin", stdin="secret word\n")
    assert house.run("account", *words, stdin=stdin, status=status)
    assert [row["address"] for row in house.json("account", "list")] == ["taken@example.org"]


def test_aliases(house):
    house.run("domain", "add", "example.org")
    for name in ("alice", "bob"):
        house.run("account", "add", f"{name}@example.org", "--password-stdin", stdin="secret word\n")
    house.run("alias", "add", "postmaster@example.org", "alice@example.org")
    house.run("alias", "add", "all@example.org", "alice@example.org", "bob@example.org")
    listed = {row["address"]: sorted(row["targets"]) for row in house.json("alias", "list")}
    assert listed == {"postmaster@example.org": ["alice@example.org"], "all@example.org": ["alice@example.org", "bob@example.org"]}
    house.run("alias", "add", "all@example.org", "bob@example.org")
    assert house.json("alias", "list", "all@example.org")[0]["targets"] == ["bob@example.org"]
    assert "postmaster@example.org -> alice@example.org" in house.run("alias", "list")
    house.run("alias", "remove", "all@example.org")
    assert house.run("alias", "remove", "all@example.org", status=DATA)


def test_store(house):
    house.run("domain", "add", "example.org")
    status = house.json("store", "status")
    assert status["accounts"] == 0 and status["messages"] == 0
    assert house.json("store", "compact", "--dead", "10")["volumes_removed"] == 0
    house.run("store", "compact", "--dead", "100", status=USAGE)


def test_check_and_rebuild(open_path):
    house = House(open_path)
    house.run("domain", "add", "example.org")
    house.run("account", "add", "alice@example.org", "--password-stdin", stdin="secret word\n")
    assert house.json("store", "check")["good"] is True
    before = house.json("account", "list")
    house.run("store", "rebuild")
    assert house.json("account", "list") == before
    assert house.json("store", "check")["good"] is True


@pytest.mark.parametrize(
    "words, status, problem",
    [
        (["acount"], USAGE, "unknown command 'acount'; did you mean 'account'?"),
        (["account", "ad"], USAGE, "unknown command 'account ad'; did you mean 'account add'?"),
        (["config", "explain", "smtp.recipents"], DATA, "there is no setting 'smtp.recipents'; did you mean 'smtp.recipients'?"),
        (["account", "list", "--config", "/nonexistent"], CONFIG, "/nonexistent can't be read: No such file or directory"),
        (["serve", "--config", "/nonexistent"], CONFIG, "/nonexistent can't be read: No such file or directory"),
        (["sandbox", "--port-base", "65000"], USAGE, "--port-base takes a whole number from 0 to 64540, not '65000'"),
        (["sandbox", "--dir", "/proc/nonexistent"], CANT_CREATE, "the directory /proc/nonexistent can't be made: No such file or directory"),
        (["sandbox", "--dir", "/dev/null"], CANT_CREATE, "/dev/null is not a directory that can be written to"),
    ],
)
def test_one_sentence(words, status, problem):
    done = subprocess.run([OSTIARY, *words], capture_output=True, text=True, timeout=DEADLINE)
    assert (done.returncode, done.stderr) == (status, f"ostiary: {problem}\n")
    assert done.stdout == ""


def test_bare_call_lists_commands():
    done = subprocess.run([OSTIARY], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0
    for name in ("serve", "sandbox", "account add", "store rebuild"):
        assert name in done.stdout


def test_config_commands(open_path):
    house = House(open_path)
    assert house.json("config", "check")["good"] is True
    house.write_config('trusted_networks = { "10.0.0.0/8", "::1" }\n')
    printed = house.json("config", "print")
    assert printed["hostname"] == "mail.example.org" and printed["smtp.vrfy"] is False and printed["smtp.recipients"] == 1000
    assert printed["listeners"] == [{"service": "smtp", "address": "127.0.0.1", "port": house.port_base + 25}]
    assert printed["trusted_networks"] == ["10.0.0.0/8", "::1/128"]
    house.write_config()
    explained = house.json("config", "explain")
    assert "smtp.recipients" in [row["name"] for row in explained]
    # What print writes is a configuration that says the same.
    printed = house.run("config", "print")
    house.config.write_text(printed)
    assert house.run("config", "print") == printed
    house.write_config("smtp.recipents = 5\n")
    problem = house.run("config", "check", status=CONFIG)
    assert problem == f"{house.config}:6: unknown key 'smtp.recipents'; did you mean 'smtp.recipients'?"
    done = subprocess.run([OSTIARY, "config", "check", "--json", "--config", house.config], capture_output=True, text=True)
    assert done.returncode == CONFIG and json.loads(done.stdout)["problem"] == problem


def make_certificate(directory, host, days):
    """Paths of a certificate and its key."""
    certificate, key = directory / f"{host}.pem", directory / f"{host}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", str(days), "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"], check=True, capture_output=True)
    return certificate, key


def test_config_check_looks_at_the_certificate(open_path):
    house = House(open_path)
    good, other = make_certificate(open_path, "mail.example.org", 90), make_certificate(open_path, "other.example", 3)
    tls = 'tls = {{ certificate = "{}", key = "{}" }}\n'
    house.write_config(tls.format(*good))
    assert house.run("config", "check") == f"{house.config} is good\n"
    house.write_config(tls.format(*other))
    notes = house.json("config", "check")["notes"]
    assert len(notes) == 1 and "the certificate expires on 20" in notes[0] and "is not made out to mail.example.org" in notes[0]
    with server("serve", "--config", str(house.config), log=open_path / "log"):
        pass
    log = (open_path / "log").read_text()
    assert f"PROBLEM supervisor - {notes[0]}\n" in log
    assert f"listening service=smtp address=127.0.0.1 port={house.port_base + 25}\n" in log
    house.write_config(tls.format(good[0], other[1]))
    problem = house.run("config", "check", status=CONFIG)
    assert problem == house.run("serve", status=CONFIG)
    assert "does not belong to the certificate" in problem and str(good[0]) in problem and str(other[1]) in problem
    house.write_config(tls.format("/no/such.pem", other[1]))
    assert house.run("config", "check", status=CONFIG) == "can't read /no/such.pem: No such file or directory"


def test_config_check_advises(open_path):
    house = House(open_path)
    house.config.write_text(house.config.read_text().replace('"smtp"', '"pop3"'))
    notes = house.json("config", "check")["notes"]
    assert any("nobody can log in" in note for note in notes) and any("no mail comes in" in note for note in notes)
    assert house.run("config", "check").count("note: ") == len(notes)


def test_config_check_looks_at_the_files(open_path):
    """What the server would not start without is an error, the rest a note."""
    house = House(open_path)
    house.write_config('blacklist = { files = { "/no/such/list" } }\n')
    assert house.json("config", "check")["notes"] == ["/no/such/list, which blacklist.files names, can't be read: No such file or directory"]
    house.write_config('courier = { smart_host = "mx.example.net", ca_file = "/no/such.pem" }\n')
    assert house.run("config", "check", status=CONFIG) == "can't read /no/such.pem, which courier.ca_file names: No such file or directory"
    house.write_config('courier = { smart_host = "mx.example.net", smart_host_user = "us", smart_host_password_file = "/no/such" }\n')
    problem = house.run("config", "check", status=CONFIG)
    assert "/no/such" in problem and "courier.smart_host_password_file" in problem
    assert "/no/such" in house.run("serve", status=CONFIG)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_config_check_knows_the_user(open_path):
    house = House(open_path)
    house.config.write_text(house.config.read_text().replace('"nobody"', '"nosuchuser"'))
    assert "there is no user 'nosuchuser'" in house.run("config", "check", status=CONFIG)


def test_help_of_every_command():
    def help_of(*words):
        return subprocess.run([OSTIARY, *words], capture_output=True, text=True, timeout=DEADLINE, check=True).stdout

    commands = [line.strip().split("  ")[0] for line in help_of("help").splitlines() if line.startswith("  ")]
    assert len(commands) > 20
    for command in commands:
        text = help_of(*command.split(), "--help")
        assert f"example: ostiary {command}" in text and text == help_of("help", *command.split())
        assert not any(line != line.rstrip() for line in text.splitlines()), text


def test_counts_are_english(open_path):
    house = House(open_path)
    house.run("domain", "add", "example.org")
    house.run("account", "add", "alice@example.org", "--password-generate")
    assert house.run("domain", "list").split() == ["example.org", "1", "account"]
    assert "used      0 bytes in 0 messages\n" in house.run("account", "show", "alice@example.org")
    assert house.run("store", "check").startswith("all is well in 0 messages, ")
    assert house.run("store", "rebuild").startswith("0 messages and 1 account out of 1 volume (")


def test_a_new_domain_wants_a_postmaster(open_path):
    house = House(open_path)
    said = house.run("domain", "add", "example.org")
    assert "ostiary alias add postmaster@example.org ADDRESS" in said


def test_readme_configuration(open_path):
    """The configuration that the README gives is one that is taken."""
    house = House(open_path)
    readme = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text()
    text = readme.split("```lua\n", 1)[1].split("```", 1)[0]
    certificate, key = make_certificate(open_path, "mail.example.org", 90)
    for old, new in (("/etc/letsencrypt/live/mail.example.org/fullchain.pem", certificate), ("/etc/letsencrypt/live/mail.example.org/privkey.pem", key),
                     ("/var/lib/ostiary", open_path / "data"), ('"ostiary"', '"nobody"')):
        assert old in text
        text = text.replace(old, str(new))
    house.config.write_text(text)
    assert house.run("config", "check") == f"{house.config} is good\n"


def test_port_taken(open_path):
    house = House(open_path)
    with socket.create_server(("127.0.0.1", house.port_base + 25)):
        problem = house.run("serve", status=UNAVAILABLE)
    assert str(house.port_base + 25) in problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every directory")
def test_unreadable_data_directory(open_path):
    house = House(open_path)
    (open_path / "data").mkdir(mode=0)
    assert house.run("account", "list", status=CANT_CREATE)
    assert house.run("serve", status=CANT_CREATE)


def try_sandbox(base):
    """The main job: a stranger's message is read by its recipient, and may not be relayed."""
    with smtplib.SMTP("127.0.0.1", base + 25, timeout=DEADLINE) as client:
        client.sendmail("you@example.net", ["alice@example.test"], "Subject: hello\r\n\r\nA line.\r\n")
        client.sendmail("you@example.net", ["postmaster@example.test"], "Subject: to postmaster\r\n\r\nA line.\r\n")
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail("you@example.net", ["x@elsewhere.example"], "Subject: no\r\n\r\n")
        assert refused.value.recipients["x@elsewhere.example"][0] == 550
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    box = poplib.POP3_SSL("127.0.0.1", base + 995, context=context, timeout=DEADLINE)
    box.user("alice@example.test")
    box.pass_("sandbox")
    count = box.stat()[0]
    lines = box.retr(1)[1]
    box.quit()
    assert b"Subject: hello" in lines
    return count


def test_sandbox_keeps_its_mail(open_path):
    directory, base = open_path / "box", free_port_base()
    with server("sandbox", "--dir", str(directory), "--port-base", str(base), log=open_path / "log"):
        assert try_sandbox(base) == 2
        again = subprocess.run([OSTIARY, "sandbox", "--dir", directory], capture_output=True, text=True, timeout=DEADLINE)
        assert again.returncode == TEMPORARY and "already" in again.stderr
    assert "alice@example.test" in (open_path / "log").read_text()
    config = directory / "ostiary.conf"
    config.write_text(config.read_text() + "\n-- changed by hand\n")
    with server("sandbox", "--dir", str(directory), log=open_path / "log"):
        assert try_sandbox(base) == 4
    assert config.read_text().endswith("-- changed by hand\n")
    other = subprocess.run([OSTIARY, "sandbox", "--dir", directory, "--port-base", "1000"], capture_output=True, text=True, timeout=DEADLINE)
    assert other.returncode == CONFIG and "--port-base" in other.stderr
    with server("serve", "--config", str(config), log=open_path / "log"):
        assert try_sandbox(base) == 6


def test_what_the_sandbox_prints_works(open_path):
    """Each line that it says to try, as it stands there."""
    directory, base = open_path / "with space", free_port_base()
    with server("sandbox", "--dir", str(directory), "--port-base", str(base), log=open_path / "log"):
        lines = dict(line.split(":", 1) for line in (open_path / "log").read_text().splitlines() if line.partition(":")[0] in
                     ("Send", "Submit", "Read", "Manage"))
        assert list(lines) == ["Send", "Submit", "Read", "Manage"]
        said = {}
        for what, line in lines.items():
            command = line.strip().replace("ostiary ", OSTIARY + " ", 1) if what == "Manage" else line.strip()
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=DEADLINE)
            assert done.returncode == 0, (line, done)
            said[what] = done.stdout
        assert "This is a test mailing" in said["Read"] and "bob@example.test" in said["Manage"]


def test_sandbox_in_a_path_too_long(open_path):
    directory = open_path / ("d" * 100)
    done = subprocess.run([OSTIARY, "sandbox", "--dir", directory], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == CANT_CREATE and "leaves no room" in done.stderr and done.stderr.count("\n") == 1
    assert not directory.exists()


def test_temporary_sandbox_is_removed(open_path, monkeypatch):
    # pytest's own directories are too deep for a control socket below them.
    place = pathlib.Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    place.chmod(0o711)
    monkeypatch.setenv("TMPDIR", str(place))
    base = free_port_base()
    with server("sandbox", "--port-base", str(base), log=open_path / "log"):
        assert try_sandbox(base) == 2
        assert len(list(place.iterdir())) == 1
    assert list(place.iterdir()) == []
    place.rmdir()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_sandbox_ended_while_it_starts_leaves_nothing(how):
    place = pathlib.Path(tempfile.mkdtemp(prefix="ostiary-test-"))
    place.chmod(0o711)
    process = subprocess.Popen([OSTIARY, "sandbox", "--port-base", str(free_port_base())], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env=dict(os.environ, TMPDIR=str(place)))
    while not list(place.iterdir()):
        assert process.poll() is None, process.stderr.read()
    process.send_signal(how)
    problem = process.communicate(timeout=DEADLINE)[1]
    assert process.returncode == 0, problem
    assert list(place.iterdir()) == []
    place.rmdir()

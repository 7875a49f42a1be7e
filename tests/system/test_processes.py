"""The processes: start, restart, reload, end, sandboxes, limits of connections, the log."""
import ctypes
import os
import pathlib
import poplib
import re
import signal
import socket
import subprocess
import time

import pytest

from conftest import OSTIARY, PATIENCE, Server, is_gone, unverified, wait_until
from ports import free_port

ROLES = ("writer", "reader", "auth", "desk", "gate", "courier", "resolver")
MESSAGE = "Subject: processes\r\n\r\nHello\r\n"

# From this version on Landlock knows of TCP.
LANDLOCK_CREATE_RULESET, LANDLOCK_WITH_TCP = 444, 4
KEEPS_PORTS = ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1) >= LANDLOCK_WITH_TCP

# What each role meets that tries to leave its sandbox: the errno, or "none" where it may. Without root Landlock answers EACCES where an own root directory answers
# ENOENT. Nobody listens at the port that is called.
OUTSIDE = {"ENOENT", "EACCES"}
CALLED = {"ECONNREFUSED"}
KNOWN_PORT = {"EACCES"} if KEEPS_PORTS else {"none"}
ESCAPES = {
    "open": {"writer": OUTSIDE, "reader": OUTSIDE},
    "make": {"writer": {"none"}, "reader": {"EACCES"}},
    "list": {"writer": {"none"}, "reader": {"none"}},
    "connect": {"courier": CALLED, "resolver": CALLED},
    "datagram": {"resolver": {"none"}},
    "bind": {"courier": {"none"}, "resolver": {"none"}},
    "port": {"courier": KNOWN_PORT, "resolver": KNOWN_PORT},
    "listen": {},
    "unix": {},
    "exec": {},
    "fork": {},
    "signal": {},
    "code": {},
    "flags": {},
    "owner": {},
    "memory": {},
    "trace": {},
    "ring": {},
    "root": {},
    "limits": {},
    "dumpable": {},
    "alarm": {"script": {"none"}},
}


def pid_of(server, role):
    return next((pid for pid, words in server.children().items() if f" {role} " in f" {words} "), None)


def mail_goes_through(server):
    before = len(server.messages())
    server.send(MESSAGE)
    assert len(server.messages()) == before + 1


def log_has(server, pattern):
    return lambda: re.search(pattern, server.log())


def session_members(leader):
    """Those that live in the session that `leader` began."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = stat.read_text().rpartition(") ")[2].split()[:4]
        except OSError:  # gone meanwhile
            continue
        if int(session) == leader and state != "Z":
            found.append(int(stat.parent.name))
    return found


def execute(server):
    with server.log_path.open("ab") as log:
        server.process = subprocess.Popen([OSTIARY, "serve", "--config", server.config], stdout=log, stderr=log, start_new_session=True)


def first_comer(server):
    """Whoever knocks all the time while the server starts."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return server.smtp()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, server.log()


def begin_stop(server, signal_number):
    """Until the server is at it: the log may hold the stop of an earlier start, and two signals at once can be one."""
    before = server.log().count("supervisor - stopping")
    server.process.send_signal(signal_number)
    wait_until(lambda: server.log().count("supervisor - stopping") > before, "the stop")


def fields(line):
    return dict(re.findall(r"(\w+)=(\S+)", line))


# ---- Start and end ----


def test_all_roles_run_and_end(fresh):
    server = fresh()
    for role in ROLES:
        assert pid_of(server, role), (role, server.children())
    children = list(server.children())
    # One that is stopped while it still starts is killed, and rightly so.
    wait_until(lambda: "supervisor - ready" in server.log(), "the start of all")
    assert server.stop() == 0
    assert all(is_gone(pid) for pid in children)
    assert " CRASH " not in server.log()
    assert not (server.directory / "data" / "control.sock").exists()


def test_who_comes_at_the_first_instant_is_served(fresh):
    """A gate begins beside the writer. What it asks of those that are still starting waits for them, and nothing is refused meanwhile."""
    server = fresh()
    for turn in range(1, 6):
        assert server.stop() == 0
        execute(server)
        with first_comer(server) as smtp:
            smtp.ehlo("client.example")
            assert smtp.sendmail("someone@elsewhere.test", ["alice@example.test"], MESSAGE) == {}
        wait_until(lambda: server.log().count("supervisor - ready") == turn + 1, "the start of all")
        assert len(server.messages()) == turn
    assert not log_has(server, " (MAJOR|CRASH) ")()


def is_let_in(server, seconds):
    try:
        with socket.create_connection(("127.0.0.1", server.port(25)), PATIENCE) as s:
            s.settimeout(seconds)
            return s.recv(3) == b"220"
    except TimeoutError:
        return False


@pytest.fixture
def held(fresh):
    """A server whose writer was stopped before it was ready, and the writer's pid. One that was quicker is started again."""
    server = fresh()
    for _ in range(20):
        assert server.stop() == 0
        before = server.log().count("role=writer")
        execute(server)
        writer = wait_until(lambda: pid_of(server, "writer"), "the writer's process")
        os.kill(writer, signal.SIGSTOP)
        wait_until(lambda: pid_of(server, "gate"), "the gate's process")
        if not is_let_in(server, 0.5):
            assert server.log().count("role=writer") == before
            return server, writer
        os.kill(writer, signal.SIGCONT)
    pytest.fail("the writer was always ready before it could be stopped")


def test_a_reload_and_a_gate_that_dies_before_the_doors_open(held):
    server, writer = held
    script = server.directory / "site.lua"
    script.write_text("function judge() end\n")
    os.chmod(server.directory, 0o755)
    server.configure(f'script.file = "{script}"')
    server.reload()
    wait_until(log_has(server, "configuration read again"), "the reload")
    gate = pid_of(server, "gate")
    os.kill(gate, signal.SIGKILL)
    wait_until(lambda: pid_of(server, "gate") not in (None, gate), "another gate")
    assert set(words.split()[2] for words in server.children().values()) == {"writer", "gate"}
    os.kill(writer, signal.SIGCONT)
    wait_until(lambda: pid_of(server, "script"), "the script's process")
    mail_goes_through(server)


def test_more_is_told_than_those_who_are_not_executed_can_be_told(held):
    """Their channels fill up with settings that nobody reads, and so does the writer's. The gate reads its own."""
    server, _ = held
    full, deaf = "a process can't be told what changed", len(ROLES) - 1
    for turn in range(1, 3000):
        server.reload()
        wait_until(lambda turn=turn: server.log().count("configuration read again") >= turn, "the reload")
        if server.log().count(full) >= deaf:
            break
    assert server.log().count(full) == deaf
    mail_goes_through(server)  # with another writer


def test_a_stop_before_the_doors_open(held):
    server, _ = held
    server.process.terminate()
    assert server.process.wait(PATIENCE) == 0
    wait_until(lambda: not session_members(server.process.pid), "the end of all that it started")


def test_each_process_has_the_name_of_its_role(fresh):
    server = fresh()
    names = {words.split()[2]: pathlib.Path(f"/proc/{pid}/comm").read_text().strip() for pid, words in server.children().items()}
    assert names == {role: f"ostiary-{role[:7]}" for role in ROLES}


@pytest.mark.parametrize("milliseconds", [0, 5, 10, 20, 30, 40, 60, 80, 120, 200])
def test_a_stop_during_the_start_leaves_nobody(fresh, milliseconds):
    """Whatever is under way by then."""
    server = fresh()
    assert server.stop() == 0
    command = [OSTIARY, "serve", "--config", server.config]
    with server.log_path.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    time.sleep(milliseconds / 1000)  # the instant that is tried, not a wait for anything
    process.terminate()
    assert process.wait(PATIENCE) in (0, -signal.SIGTERM)  # it may not have got to the point where it minds the signal
    wait_until(lambda: not session_members(process.pid), "the end of all that it started")


def test_children_end_with_the_supervisor(fresh):
    """Also with sessions and a message in hand; the store is free for the next at once."""
    server = fresh()
    session = server.raw(25)
    session.reply()
    for line in ("EHLO client.elsewhere.test", "MAIL FROM:<a@elsewhere.test>", "RCPT TO:<alice@example.test>", "DATA"):
        assert session.ask(line)[0] in (250, 354)
    children = list(server.children())
    assert len(children) >= len(ROLES)
    server.process.kill()
    server.process.wait(PATIENCE)
    wait_until(lambda: all(is_gone(pid) for pid in children), "the end of the children")
    server.start()
    mail_goes_through(server)


def test_idle_sessions_are_told(fresh):
    server = fresh()
    smtp, pop3 = server.raw(25), server.raw(110)
    assert smtp.reply()[0] == 220
    assert pop3.line().startswith(b"+OK")
    server.process.send_signal(signal.SIGTERM)
    assert smtp.reply()[0] == 421
    assert smtp.is_closed()
    while pop3.line():
        pass
    assert server.process.wait(PATIENCE) == 0


def test_transaction_in_hand_is_finished(fresh):
    server = fresh("processes.stop_grace = '60s'")
    session = server.raw(25)
    session.reply()
    assert session.ask("EHLO client.elsewhere.test")[0] == 250
    assert session.ask("MAIL FROM:<a@elsewhere.test>")[0] == 250
    assert session.ask("RCPT TO:<alice@example.test>")[0] == 250
    assert session.ask("DATA")[0] == 354
    session.send("Subject: in hand\r\n\r\n")
    begin_stop(server, signal.SIGTERM)
    session.send("Finished\r\n.\r\n")
    assert session.reply()[0] == 250
    assert session.reply()[0] == 421
    session.close()  # or the server would wait a few seconds for it
    assert server.process.wait(PATIENCE) == 0
    server.start()
    assert any(b"in hand" in message for message in server.messages())


def logged_in(server):
    """A raw POP3 session over TLS, so that what comes and when is the test's to see."""
    session = server.raw(995)
    session.socket = unverified().wrap_socket(session.socket)
    for line in ("", "USER alice@example.test", "PASS sandbox"):
        if line:
            session.send(line + "\r\n")
        assert session.line().startswith(b"+OK"), line
    return session


def test_pop3_is_finished(fresh):
    """RETR goes on to its end, QUIT deletes; who only sits there is told and let go."""
    server = fresh("processes.stop_grace = '60s'")
    body = ("x" * 70 + "\r\n") * 250_000  # more than the sockets' buffers hold
    server.send("Subject: long\r\n\r\n" + body)
    server.send(MESSAGE)
    reading, idle, deleting = logged_in(server), logged_in(server), logged_in(server)
    deleting.send("DELE 2\r\n")
    assert deleting.line().startswith(b"+OK")
    reading.send("RETR 1\r\n")
    assert reading.line().startswith(b"+OK")
    deleting.send("QUIT\r\n")
    assert b"1 message removed" in deleting.line()
    server.process.send_signal(signal.SIGTERM)
    assert idle.line().startswith(b"-ERR [SYS/TEMP]")
    assert idle.is_closed()
    assert server.process.poll() is None
    lines = 0
    while (line := reading.line()) != b".":
        assert line or lines < 20, lines
        lines += line == b"x" * 70
    assert lines == 250_000
    assert reading.line().startswith(b"-ERR [SYS/TEMP]")
    assert reading.is_closed()
    reading.close()  # or the server would wait a few seconds for them
    idle.close()
    assert server.process.wait(PATIENCE) == 0
    server.start()
    assert len(server.messages()) == 1


def test_submission_in_hand_is_finished(fresh):
    server = fresh("processes.stop_grace = '60s'")
    smtp = server.smtp(587)
    smtp.starttls(context=unverified())
    smtp.login("alice@example.test", "sandbox")
    smtp.mail("alice@example.test")
    smtp.rcpt("bob@example.test")
    assert smtp.docmd("DATA")[0] == 354
    smtp.send("Subject: in hand\r\n\r\n")
    begin_stop(server, signal.SIGTERM)
    smtp.send("Finished\r\n.\r\n")
    assert smtp.getreply()[0] == 250
    smtp.close()  # or the server would wait a few seconds for it
    assert server.process.wait(PATIENCE) == 0
    server.start()
    assert any(b"in hand" in message for message in server.messages("bob@example.test"))


def test_second_interrupt_ends_at_once(fresh):
    server = fresh("processes.stop_grace = '1h'")
    session = server.raw(25)
    session.reply()
    session.ask("EHLO client.elsewhere.test")
    session.ask("MAIL FROM:<a@elsewhere.test>")
    session.ask("RCPT TO:<alice@example.test>")
    assert session.ask("DATA")[0] == 354
    begin_stop(server, signal.SIGINT)
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(PATIENCE) == 0
    session.close()


# ---- Restart ----


@pytest.mark.parametrize("role", ROLES)
def test_killed_process_comes_back(server, role):
    old = pid_of(server, role)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: pid_of(server, role) not in (None, old), f"the new {role}")
    assert re.search(rf"0 CRASH supervisor - process died role={role} .*signal=SIGKILL", server.log())

    def works():
        try:
            mail_goes_through(server)
            return True
        except (OSError, EOFError, AssertionError, Exception) as problem:  # noqa: B014 the peers answer 4xx meanwhile
            works.problem = problem
            return False

    wait_until(works, f"mail after the death of the {role}")


# ---- Sandboxes ----


def escapes_met(server, roles):
    """{(role, what): results}, once every role has told of every attempt."""
    met = {}
    for line in server.log().splitlines():
        if " escape " in line:
            record = fields(line)
            met.setdefault((record["role"], record["what"]), set()).add(record["result"])
    return met if all((role, what) in met for role in roles for what in ESCAPES) else None


def test_nobody_escapes(fresh, tmp_path):
    script = tmp_path / "rules.lua"
    script.write_text("function check(mail) end")
    server = fresh(f'script.file = "{script}"', environment={"OSTIARY_ESCAPE_TEST": "1"})
    roles = ROLES + ("script",)
    met = wait_until(lambda: escapes_met(server, roles), "the attempts of all roles")
    for role in roles:
        for what, expected in ESCAPES.items():
            assert met[role, what] <= expected.get(role, {"EPERM"}), (role, what, met)
    # What is off for strangers is on for nobody: mail still goes through.
    mail_goes_through(server)


def test_children_are_not_root_and_hold_no_environment(server):
    for pid, words in server.children().items():
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        uids = re.search(r"^Uid:\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", status, re.M).groups()
        assert "0" not in uids, (words, uids)
        assert re.search(r"^NoNewPrivs:\s+1", status, re.M)
        assert re.search(r"^Seccomp:\s+2", status, re.M)
        if os.geteuid() == 0:
            environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
            assert b"PATH=" not in environment


def test_own_users_of_roles(tmp_path):
    """Where the system has a user "nobody-gate", gates become that one. Its list of users is changed for this server alone."""
    script = tmp_path / "ostiary"
    users = tmp_path / "passwd"
    users.write_text(pathlib.Path("/etc/passwd").read_text() + "nobody-gate:x:64001:64001::/:/bin/false\nnobody-auth:x:64002:64002::/:/bin/false\n")
    inner = f'mount --bind {users} /etc/passwd && exec {OSTIARY} "$@"'
    script.write_text(f"#!/bin/sh\nexec unshare --mount --propagation private sh -c '{inner}' sh \"$@\"\n")
    script.chmod(0o755)
    if os.geteuid() != 0 or subprocess.run([script, "help"], capture_output=True).returncode:
        pytest.skip("needs root that may mount")
    server = Server(binary=script)
    try:
        uids = {role: re.search(r"^Uid:\s+(\d+)", pathlib.Path(f"/proc/{pid_of(server, role)}/status").read_text(), re.M)[1] for role in ROLES}
        assert uids == dict.fromkeys(ROLES, "65534") | {"gate": "64001", "auth": "64002"}
        server.send("Subject: large\r\n\r\n" + ("x" * 70 + "\r\n") * 20000)  # through the spool of another user
        assert len(server.messages()) == 1
    finally:
        server.close()


def test_process_word_is_not_for_people():
    result = subprocess.run([OSTIARY, "process", "writer"], capture_output=True, text=True, timeout=PATIENCE)
    assert result.returncode == 64
    assert "server's own use" in result.stderr


# ---- Reload ----


def greeting(server, port):
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as s:
        return s.recv(1000).decode()


def test_reload(fresh):
    server = fresh()
    port = server.port(25)
    idle = server.raw(25)
    assert "mail.example.test" in idle.line().decode()
    text = server.config.read_text()
    server.config.write_text(text.replace('hostname = "mail.example.test"', 'hostname = "new.example.test"'))
    pids = server.children()
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "new.example.test" in greeting(server, port), "the new name")
    assert server.children().keys() == pids.keys()  # nobody was started anew
    assert idle.ask("NOOP")[0] == 250  # what began before goes on
    assert "mail.example.test" in idle.ask("EHLO x.test")[1]
    idle.close()

    server.config.write_text(text + '\nhostnme = "typo.example.test"\n')
    server.process.send_signal(signal.SIGHUP)
    wait_until(log_has(server, r"3 PROBLEM supervisor - the new configuration is not taken.*hostnme"), "the refusal")
    assert "new.example.test" in greeting(server, port)
    mail_goes_through(server)


def test_reload_moves_listeners(fresh):
    server = fresh()
    text = server.config.read_text()
    old, new = server.port(25), server.port(25) + 1
    assert "base + 25 }" in text
    server.config.write_text(text.replace("base + 25 }", "base + 26 }"))
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: can_connect(new), "the new port")
    assert greeting(server, new).startswith("220")
    wait_until(lambda: not can_connect(old), "the end of the old port")


def accepts(server, recipient):
    session = server.raw(25)
    session.reply()
    session.ask("EHLO client.elsewhere.test")
    session.ask("MAIL FROM:<a@elsewhere.test>")
    code = session.ask(f"RCPT TO:<{recipient}>")[0]
    session.close()
    return code == 250


def can_log_in(server, user):
    try:
        server.pop(user=user).quit()
        return True
    except poplib.error_proto:
        return False


def test_reload_reaches_store_and_auth(fresh):
    """The reader's separator of details, auth's default domain, the writer's size of volumes, and nobody is started anew."""
    server = fresh()
    volumes = server.directory / "data" / "volumes"
    assert not accepts(server, "alice-list@example.test")
    assert can_log_in(server, "alice")
    assert len(list(volumes.iterdir())) == 1
    children = server.children()
    server.configure('smtp.detail_separator = "-"\nauth.default_domain = ""\nstore.volume_size = "1M"\nsmtp.message_size = "1M"\nprocesses.connections = 20000')
    server.reload()
    wait_until(lambda: accepts(server, "alice-list@example.test"), "the reader's new setting")
    wait_until(lambda: not can_log_in(server, "alice"), "auth's new setting")
    assert can_log_in(server, "alice@example.test")

    def has_new_volume():
        server.send("Subject: volume\r\n\r\n" + "\r\n".join(os.urandom(36).hex() for _ in range(4000)))
        return len(list(volumes.iterdir())) > 1

    wait_until(has_new_volume, "the writer's new setting")
    assert server.children() == children
    assert re.search(r"3 PROBLEM supervisor - processes.connections .*next start", server.log())


def certificate_of(stream):
    return stream.getpeercert(binary_form=True)


def test_reload_changes_the_certificate(fresh):
    """New sessions get the new one; a session that runs keeps the old one and goes on."""
    server = fresh()
    running = server.pop()
    waiting = server.smtp(587)  # begun, but not yet encrypted
    old = certificate_of(running.sock)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj", "/CN=new.example.test",
                    "-keyout", server.directory / "tls/key.pem", "-out", server.directory / "tls/certificate.pem"], check=True, capture_output=True)
    server.reload()

    def is_new():
        pop = server.pop()
        found = certificate_of(pop.sock)
        pop.quit()
        return found != old

    wait_until(is_new, "the new certificate")
    assert running.noop().startswith(b"+OK")
    running.quit()
    waiting.starttls(context=unverified())
    assert waiting.noop()[0] == 250
    # One that does not fit its key changes nothing.
    (server.directory / "tls/key.pem").write_text("no key")
    server.reload()
    wait_until(log_has(server, "the new configuration is not taken"), "the refusal")
    assert is_new()
    waiting.quit()


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        return True
    except OSError:
        return False


# ---- Limits ----


def places(server, count):
    """So many sessions that were let in. One place may still be held by a connection that has just ended."""
    held = []

    def is_let_in():
        session = server.raw(25)
        return session.reply()[0] == 220 and (held.append(session) or True)

    for _ in range(count):
        wait_until(is_let_in, "a free place")
    return held


def test_connections_per_address(fresh):
    server = fresh("processes.connections_per_address = 3\nprocesses.gates = 2")
    held = places(server, 3)
    refused = server.raw(25)
    code, words = refused.reply()
    assert code == 421 and "Too many connections from your address" in words
    assert refused.is_closed()
    # Members are counted for themselves.
    pop3 = [server.raw(110) for _ in range(3)]
    assert all(session.line().startswith(b"+OK") for session in pop3)
    assert server.raw(110).line().startswith(b"-ERR [SYS/TEMP] Too many connections from your address")
    held.pop().ask("QUIT")
    held += places(server, 1)
    # What dead gates had counted is forgotten. Both go, since nobody knows which of them has which connection.
    for pid, words in server.children().items():
        if " gate " in f"{words} ":
            os.kill(pid, signal.SIGKILL)
    assert len(places(server, 3)) == 3


def test_connections_of_a_process(fresh):
    """Who has logged in keeps the place."""
    server = fresh("processes.connections = 2")
    held = [server.pop(), server.pop()]
    code, words = server.raw(587).reply()
    assert code == 421 and "Too many connections" in words
    assert server.raw(110).line().startswith(b"-ERR [SYS/TEMP] Too many connections")
    assert all(pop.noop().startswith(b"+OK") for pop in held)
    wait_until(log_has(server, r"1 FAILURE submission - connection refused ip=127.0.0.1 reason=too_many\b"), "its record")


def is_greeted(session):
    return session.reply()[0] == 220


@pytest.mark.parametrize("port,last_words", [(25, b"421 4.3.2 "), (110, b"-ERR [SYS/TEMP] "), (106, b"500 ")])
def test_a_full_house_makes_room(fresh, port, last_words):
    """A client that says nothing for two seconds gives its place to one that does not have to."""
    server = fresh("processes.connections = 2")
    held = [server.raw(port) for _ in range(2)]
    assert all(session.line() for session in held)
    wait_until(lambda: is_greeted(server.raw(25)) if port == 25 else server.raw(port).line()[:3] in (b"+OK", b"200"), "a place")
    ends = [session.line() for session in held[:1]]
    assert ends[0].startswith(last_words) and b"keeps it waiting" in ends[0], ends
    assert held[0].is_closed()
    wait_until(log_has(server, r"PROBLEM (gate|desk) - all connections are taken"), "its record")


def test_a_full_house_of_chatterers_makes_room(fresh):
    """Commands that lead to nothing keep nobody's place."""
    server = fresh("processes.connections = 2")
    held = places(server, 2)

    def is_let_in():
        for session in held:
            session.ask("NOOP")
        return is_greeted(server.raw(25))

    wait_until(is_let_in, "a place")


# ---- The log ----


def test_log_rotates(fresh):
    server = fresh()
    server.stop()
    log = server.directory / "logs.txt"
    server.configure(f'log.target = "{log}"\nlog.rotate_size = 4096\nlog.keep = 2\nlog.level = "all"')
    server.start()

    def has_rotated():
        server.send(MESSAGE)
        return log.with_name("logs.txt.2").exists()

    wait_until(has_rotated, "two rotations")
    # Every process writes to a new file; only root may look at their descriptors.
    if os.geteuid() == 0:
        wait_until(lambda: all_write_to(server, log), "the new file in every process")
    wait_until(lambda: gate_writes_to(server, log), "the gate's record in the new file")
    assert not log.with_name("logs.txt.3").exists()
    for path in (log, log.with_name("logs.txt.1")):
        for line in path.read_text().splitlines():
            assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [0-5] ", line), line


def all_write_to(server, log):
    inode = log.stat().st_ino
    for pid in server.children():
        try:
            inodes = {os.stat(f"/proc/{pid}/fd/{fd}").st_ino for fd in os.listdir(f"/proc/{pid}/fd")}
        except OSError:
            return False
        if inode not in inodes:
            return False
    return True


def gate_writes_to(server, log):
    with server.smtp() as smtp:
        smtp.helo("rotation.elsewhere.test")
        smtp.mail("a@elsewhere.test")
        assert smtp.rcpt("nobody-after-rotation@example.test")[0] == 550
    return "nobody-after-rotation" in log.read_text()


# ---- What can't start ----


def serve(config, **options):
    return subprocess.run([OSTIARY, "serve", "--config", config], capture_output=True, text=True, timeout=PATIENCE, **options)


def config_of(tmp_path, port, more=""):
    config = tmp_path / "ostiary.conf"
    config.write_text(
        f'hostname = "mail.example.test"\nuser = "nobody"\ndata_directory = "{tmp_path}/data"\n'
        f'listeners = {{ {{ service = "smtp", address = "127.0.0.1", port = {port} }} }}\n{more}\n')
    return config


def test_taken_port(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = serve(config_of(tmp_path, port))
    assert result.returncode == 69
    assert result.stderr == (f"ostiary: can't listen for smtp on 127.0.0.1 port {port}: Address already in use; "
                             "another program has the port\n")


def test_unusable_data_directory(tmp_path):
    config = config_of(tmp_path, free_port())
    (tmp_path / "data").write_text("a file")
    result = serve(config)
    assert result.returncode == 73
    assert result.stderr.count("\n") == 1 and "data directory" in result.stderr


def test_missing_certificate(tmp_path):
    result = serve(config_of(tmp_path, free_port(), 'tls = { certificate = "/no/such.pem", key = "/no/such.key" }'))
    assert result.returncode == 78
    assert result.stderr.count("\n") == 1 and "/no/such.pem" in result.stderr


def test_second_server_on_one_directory(server):
    result = serve(server.config)
    assert result.returncode == 69
    assert result.stderr.count("\n") == 1 and "running already" in result.stderr
    mail_goes_through(server)

"""POP-before-SMTP: who logged in a short while ago may send from there."""
import poplib

import pytest

from conftest import PATIENCE, unverified, wait_until


def log_in(server, name="alice"):
    pop = poplib.POP3_SSL("127.0.0.1", server.port(995), timeout=PATIENCE, context=unverified())
    pop.user(f"{name}@example.test")
    pop.pass_("sandbox")
    pop.quit()


def clients(server, *words):
    return server.run_json("clients", "list", *words)["clients"]


def test_shipped_off(fresh):
    server = fresh()
    log_in(server)
    assert clients(server) == []
    assert "POP-before-SMTP is off" in server.run("clients", "list").stdout


def test_windows(fresh):
    server = fresh("submission.pop_before_smtp = true\nsubmission.pop_window = 300")
    assert clients(server) == [] and server.run("clients", "list").stdout == "none\n"
    pop = poplib.POP3_SSL("127.0.0.1", server.port(995), timeout=PATIENCE, context=unverified())
    pop.user("alice")
    with pytest.raises(poplib.error_proto):
        pop.pass_("wrong")
    pop.close()
    assert clients(server) == []
    log_in(server)
    [client] = clients(server)
    assert client["peer_address"] == "127.0.0.1" and client["account"] == "alice@example.test"
    assert 200 < client["seconds_left"] <= 300
    log_in(server, "bob")
    [client] = clients(server)
    assert client["account"] == "bob@example.test"
    assert "127.0.0.1" in server.run("clients", "list").stdout
    assert clients(server, "bob@example.test") and clients(server, "127.0.0.1")
    assert not clients(server, "alice@example.test") and not clients(server, "127.0.0.2")
    assert server.run_json("clients", "flush", "alice@example.test") == {"flushed": 0}
    assert clients(server)
    assert "1 client may not send" in server.run("clients", "flush").stdout
    assert clients(server) == []


def test_it_ends_by_itself(fresh):
    server = fresh("submission.pop_before_smtp = true\nsubmission.pop_window = 1")
    log_in(server)
    wait_until(lambda: not clients(server), "the end of the window")


def test_switched_off_by_a_reload(fresh):
    server = fresh("submission.pop_before_smtp = true\nsubmission.pop_window = 300")
    log_in(server)
    assert clients(server)
    server.configure("submission.pop_before_smtp = false")
    server.reload()
    wait_until(lambda: not clients(server), "the end of all windows")


def may_relay(server, sender="alice@example.test"):
    client = server.raw()
    assert client.reply()[0] == 220
    client.ask("EHLO old.client.test")
    assert client.ask(f"MAIL FROM:<{sender}>")[0] == 250
    code = client.ask("RCPT TO:<friend@elsewhere.test>")[0]
    client.close()
    assert code in (250, 550)
    return code == 250


def test_relaying_while_a_window_is_open(fresh):
    server = fresh("submission.pop_before_smtp = true\nsubmission.pop_window = 300")
    assert not may_relay(server)
    log_in(server)
    assert may_relay(server)
    assert not may_relay(server, "somebody@elsewhere.test")
    server.run("account", "set", "alice@example.test", "--disable")
    assert not may_relay(server)
    server.run("account", "set", "alice@example.test", "--enable")
    assert may_relay(server)
    server.run("clients", "flush", "alice@example.test")
    assert not may_relay(server)


def relay_code(server, client="127.0.0.1"):
    with server.smtp(source_address=(client, 0)) as smtp:
        smtp.ehlo()
        smtp.mail("alice@example.test")
        return smtp.rcpt("friend@elsewhere.test")[0]


def test_the_exact_address(fresh):
    server = fresh("submission.pop_before_smtp = true\nsubmission.pop_window = 300")
    log_in(server)
    assert relay_code(server) == 250
    assert relay_code(server, "127.0.0.2") == 550


def test_a_login_renews_it(fresh):
    server = fresh("submission.pop_before_smtp = true\nsubmission.pop_window = 300")
    log_in(server)
    wait_until(lambda: clients(server)[0]["seconds_left"] < 299, "some of the time to go by")
    log_in(server)
    assert clients(server)[0]["seconds_left"] >= 299


def test_decided_at_mail(fresh):
    """What MAIL found holds until the transaction ends, either way."""
    server = fresh("submission.pop_before_smtp = true\nsubmission.pop_window = 300")
    with server.smtp() as smtp:
        smtp.ehlo()
        smtp.mail("alice@example.test")
        log_in(server)
        assert smtp.rcpt("friend@elsewhere.test")[0] == 550
        smtp.rset()
        smtp.mail("alice@example.test")
        server.run("clients", "flush")
        assert smtp.rcpt("friend@elsewhere.test")[0] == 250
        smtp.rset()
        smtp.mail("alice@example.test")
        assert smtp.rcpt("friend@elsewhere.test")[0] == 550

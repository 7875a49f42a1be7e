"""`ostiary doctor` and mail that has to leave: the smart host, and the host that --outbound names."""
import json
import re

import pytest

from nameserver import free_port

SANDBOX = 'courier.smart_host = "127.0.0.1:{}"\ncourier.smart_host_tls = "{}"'


def outbound(server, *words):
    """The findings about it as (verdict, sentence, advice)."""
    report = json.loads(server.run("doctor", "--json", *words, check=False).stdout)
    return [(f["verdict"], f["finding"], f["advice"]) for f in report["findings"] if f["about"] == "outbound"]


def test_nothing_is_tried_unasked(server):
    [(verdict, finding, advice)] = outbound(server)
    assert verdict == "note" and "was not tried" in finding
    assert "doctor --outbound HOST" in advice and "port 25" in advice
    assert "note     whether mail can leave" in server.run("doctor", check=False).stdout


@pytest.mark.parametrize("answers,greeting,verdict,words", [
    ({}, "220 peer.test", "good", "mail can leave: the mail server {} answers at port {}, without TLS"),
    ({}, "554 5.7.1 go away", "fault", "does not take us in: 554 5.7.1 go away"),
    ({}, "hello", "fault", "does not take us in"),
])
def test_a_named_host(server, peer, answers, greeting, verdict, words):
    other = peer(answers, greeting=greeting)
    name = f"127.0.0.1:{other.port}"
    [(found, finding, advice)] = outbound(server, "--outbound", name)
    assert found == verdict and words.format(name, other.port) in finding
    assert (advice == "") == (verdict == "good")
    # Nothing was sent.
    assert not other.messages and not [line for line in other.lines if line.upper().startswith(("MAIL", "RCPT", "DATA"))]


def test_a_host_that_is_not_there(server):
    port = free_port()
    [(verdict, finding, advice)] = outbound(server, "--outbound", f"127.0.0.1:{port}")
    assert verdict == "fault" and finding == f"the mail server 127.0.0.1:{port} can't be reached at port {port}: Connection refused"
    assert "ask yours, or set courier.smart_host" in advice
    assert server.run("doctor", "--outbound", f"127.0.0.1:{port}", check=False).returncode == 2
    for name in ("[::1", "127.0.0.1:0", "x:99999", ":25", ""):
        [(verdict, finding, _)] = outbound(server, f"--outbound={name}")
        assert verdict == "fault", name


def test_the_smart_host(fresh, peer):
    other = peer()
    server = fresh(SANDBOX.format(other.port, "none"))
    [(verdict, finding, _)] = outbound(server)
    assert (verdict, finding) == ("good", f"mail can leave: the smart host 127.0.0.1:{other.port} answers at port {other.port}, without TLS")
    server.configure(SANDBOX.format(other.port, "starttls"))
    [(verdict, finding, advice)] = outbound(server)
    assert verdict == "fault" and "offers no STARTTLS: courier.smart_host_tls asks for it" in finding and "waits in the queue" in advice
    # Both, where a host is named as well.
    server.configure(SANDBOX.format(free_port(), "none"))
    assert [verdict for verdict, _, _ in outbound(server, "--outbound", f"127.0.0.1:{other.port}")] == ["fault", "good"]


def test_a_smart_host_with_a_password(fresh):
    """Another Ostiary: its certificate has to be right, and the password is tried, and not shown."""
    far, near = fresh(), fresh()
    certificate = re.search(r'certificate = "([^"]+)"', far.config.read_text())[1]
    secret = near.directory / "secret"
    secret.write_text("not the password\n")
    secret.chmod(0o600)
    near.configure(f'courier.smart_host = "127.0.0.1:{far.port(587)}"\ncourier.smart_host_tls = "starttls"\n'
                   f'courier.smart_host_user = "alice@example.test"\ncourier.smart_host_password_file = "{secret}"\n')
    [(verdict, finding, _)] = outbound(near)
    assert verdict == "fault" and "has a certificate that is not believed" in finding
    assert "mechanism" not in far.log()
    near.configure(f'courier.ca_file = "{certificate}"')
    [(verdict, finding, _)] = outbound(near)
    assert verdict == "fault" and "does not let us log in: 535" in finding and "not the password" not in finding
    secret.write_text("sandbox\n")
    [(verdict, finding, _)] = outbound(near)
    assert verdict == "good" and finding.endswith(f"at port {far.port(587)}, with TLS, and takes our password")
    secret.unlink()
    [(verdict, finding, _)] = outbound(near)
    assert verdict == "fault" and "courier.smart_host_password_file can't be read: No such file" in finding

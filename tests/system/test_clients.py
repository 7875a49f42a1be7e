"""Real clients: what people have."""
import shutil
import subprocess

import pytest

from conftest import PATIENCE

MESSAGE = "From: alice@example.test\nTo: bob@example.test\nSubject: {}\n\nby a real client\n"


def run(*command, text_input=None, environment=None):
    result = subprocess.run(command, input=text_input, capture_output=True, text=True, timeout=PATIENCE, env=environment)
    assert result.returncode == 0, (command, result.stdout, result.stderr)
    return result.stdout


def write_private(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


def arrived(server, subject, user="bob@example.test"):
    return any(f"\nSubject: {subject}\n".encode() in text for text in server.messages(user))


@pytest.mark.parametrize("options", [
    ["--port", "25"], ["--port", "25", "--tls"], ["--port", "587", "--tls", "--auth", "PLAIN"], ["--port", "587", "--tls", "--auth", "LOGIN"],
    ["--port", "465", "--tls-on-connect", "--auth", "PLAIN"]])
def test_swaks(server, options):
    options = list(options)
    options[1] = str(server.port(int(options[1])))
    if "--auth" in options:
        options += ["--auth-user", "alice@example.test", "--auth-password", "sandbox"]
    subject = "swaks " + " ".join(options[2:4]).replace("--", "")
    run("swaks", "--server", "127.0.0.1", "--from", "alice@example.test", "--to", "bob@example.test", "--header", f"Subject: {subject}", *options)
    assert arrived(server, subject)


@pytest.mark.parametrize("auth", ["plain", "login", "scram-sha-256"])
@pytest.mark.parametrize("starttls", ["on", "off"])
def test_msmtp(server, tmp_path, auth, starttls):
    port = server.port(587 if starttls == "on" else 465)
    config = write_private(tmp_path / "msmtprc", f"""defaults
tls on
tls_starttls {starttls}
tls_certcheck off
account default
host 127.0.0.1
port {port}
from alice@example.test
auth {auth}
user alice@example.test
password sandbox
""")
    subject = f"msmtp {auth} {starttls}"
    run("msmtp", "-C", str(config), "bob@example.test", text_input=MESSAGE.format(subject))
    assert arrived(server, subject)


def test_curl_sends_and_reads(server, tmp_path):
    letter = tmp_path / "letter"
    letter.write_text(MESSAGE.format("curl").replace("\n", "\r\n"))
    run("curl", "-sS", "--max-time", "30", f"smtp://127.0.0.1:{server.port(25)}/client.test", "--mail-from", "a@elsewhere.test",
        "--mail-rcpt", "carol@example.test", "--upload-file", str(letter))
    listing = run("curl", "-sSk", "--max-time", "30", f"pop3s://127.0.0.1:{server.port(995)}/", "-u", "carol@example.test:sandbox")
    count = len(listing.split("\n")) - 1
    text = run("curl", "-sSk", "--max-time", "30", f"pop3s://127.0.0.1:{server.port(995)}/{count}", "-u", "carol@example.test:sandbox")
    assert "Subject: curl" in text
    for mechanism in ("PLAIN", "LOGIN"):
        run("curl", "-sSk", "--max-time", "30", "--ssl-reqd", f"pop3://127.0.0.1:{server.port(110)}/", "-u", "carol@example.test:sandbox",
            "--login-options", f"AUTH={mechanism}")


@pytest.mark.parametrize("auth", ["user", "plain", "scram-sha-256"])
@pytest.mark.parametrize("starttls", ["on", "off"])
def test_mpop(server, tmp_path, auth, starttls):
    server.send(MESSAGE.format("for mpop"), to="bob@example.test")
    port = server.port(110 if starttls == "on" else 995)
    config = write_private(tmp_path / "mpoprc", f"""defaults
tls on
tls_starttls {starttls}
tls_certcheck off
account default
host 127.0.0.1
port {port}
auth {auth}
user bob@example.test
password sandbox
delivery mbox {tmp_path}/mbox
uidls_file {tmp_path}/uidls
keep on
""")
    run("mpop", "-C", str(config))
    assert "Subject: for mpop" in (tmp_path / "mbox").read_text()
    size = (tmp_path / "mbox").stat().st_size
    run("mpop", "-C", str(config))  # UIDLs: nothing comes twice
    assert (tmp_path / "mbox").stat().st_size == size


def test_fetchmail(server, tmp_path):
    server.send(MESSAGE.format("for fetchmail"), to="carol@example.test")
    rc = write_private(tmp_path / "fetchmailrc", f"""poll 127.0.0.1 service {server.port(995)} protocol pop3
  username "carol@example.test" password "sandbox" ssl no sslcertck
  mda "cat >> {tmp_path}/mbox"
""")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "FETCHMAILHOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    run("fetchmail", "-f", str(rc), "--pidfile", str(tmp_path / "pid"), "-i", str(tmp_path / "ids"), environment=environment)
    assert "Subject: for fetchmail" in (tmp_path / "mbox").read_text()
    assert server.messages("carol@example.test") == []  # fetched means deleted


def test_getmail(server, tmp_path):
    server.send(MESSAGE.format("for getmail"), to="bob@example.test")
    rc = write_private(tmp_path / "getmailrc", f"""[retriever]
type = SimplePOP3SSLRetriever
server = 127.0.0.1
port = {server.port(995)}
username = bob@example.test
password = sandbox

[destination]
type = MDA_external
path = /usr/bin/tee
arguments = ("-a", "{tmp_path}/mbox")
allow_root_commands = true
ignore_stderr = true

[options]
delete = false
read_all = false
""")
    run("getmail", "--getmaildir", str(tmp_path), "--rcfile", str(rc))
    assert "Subject: for getmail" in (tmp_path / "mbox").read_text()
    size = (tmp_path / "mbox").stat().st_size
    run("getmail", "--getmaildir", str(tmp_path), "--rcfile", str(rc))  # UIDLs: nothing comes twice
    assert (tmp_path / "mbox").stat().st_size == size


def send_with_mutt(server, tmp_path, subject, more):
    rc = write_private(tmp_path / "muttrc", f"""set smtp_url="smtps://alice%40example.test@127.0.0.1:{server.port(465)}/"
set smtp_pass="sandbox"
{more}
set from="alice@example.test"
set use_from=yes
set ssl_verify_host=no
set ssl_verify_dates=no
set certificate_file="{tmp_path}/certificates"
set copy=no
set record=""
""")
    certificate = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port(465)}"], input="", capture_output=True, text=True).stdout
    begin, end = certificate.index("-----BEGIN"), certificate.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----\n")
    (tmp_path / "certificates").write_text(certificate[begin:end])
    run("mutt", "-F", str(rc), "-s", subject, "bob@example.test", text_input="hello\n",
        environment={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "dumb", "LC_ALL": "C.UTF-8"})
    assert arrived(server, subject)


def test_mutt_sends(server, tmp_path):
    send_with_mutt(server, tmp_path, "from mutt", 'set smtp_authenticators="scram-sha-256:plain"')


def test_mutt_chooses_for_itself(fresh, tmp_path):
    """Debian 12's mutt takes -PLUS where it is offered and fails with it under TLS 1.3."""
    send_with_mutt(fresh("auth.channel_binding = false"), tmp_path, "mutt chose", "")


@pytest.mark.parametrize("tool", ["swaks", "msmtp", "curl", "mpop", "fetchmail", "getmail", "mutt"])
def test_the_clients_are_there(tool):
    assert shutil.which(tool), f"{tool} is not installed: ./dev test installs it"

"""The site's script: its process comes and goes with the setting, ends when it hangs, and is left alone when it does so again and again."""
import json
import pathlib
import re
import subprocess

import pytest

from conftest import OSTIARY, PATIENCE, wait_until

MESSAGE = "Subject: script\r\n\r\nHello\r\n"
HANGS = "string.find(('a'):rep(40000), ('.-'):rep(40) .. 'b')"
ACCEPTS = "function check(mail) return 'accept' end\n"
KILLED = "the script took longer than script.seconds and was killed"


def pid_of(server):
    return next((pid for pid, words in server.children().items() if " script " in f" {words} "), None)


def mail_goes_through(server):
    before = len(server.messages())
    server.send(MESSAGE)
    assert len(server.messages()) == before + 1


def times(server, text):
    return server.log().count(text)


def with_script(fresh, tmp_path, text, settings=""):
    path = tmp_path / "rules.lua"
    path.write_text(text)
    return fresh(f'script.file = "{path}"\n{settings}'.strip()), path


def test_comes_and_goes(fresh, tmp_path):
    server = fresh()
    assert pid_of(server) is None
    path = tmp_path / "rules.lua"
    path.write_text(ACCEPTS)
    server.configure(f'script.file = "{path}"')
    server.reload()
    wait_until(lambda: "script - loaded" in server.log(), "the script's process")
    assert pid_of(server)
    mail_goes_through(server)
    server.configure('script.file = ""')
    server.reload()
    wait_until(lambda: pid_of(server) is None, "the end of the script's process")
    wait_until(lambda: "the new settings need none role=script" in server.log(), "the word of the supervisor")
    mail_goes_through(server)
    server.configure(f'script.file = "{path}"')
    server.reload()
    wait_until(lambda: times(server, "script - loaded") == 2, "the second process")
    assert server.stop() == 0
    assert " CRASH " not in server.log()


def test_start_with_it(fresh, tmp_path):
    server, path = with_script(fresh, tmp_path, "print('hello there')\n" + ACCEPTS)
    wait_until(lambda: "script - loaded" in server.log(), "the script")
    assert 'printed text="hello there"' in server.log()
    pid = pid_of(server)
    path.write_text("-- new\n" + ACCEPTS)
    server.reload()
    wait_until(lambda: times(server, "script - loaded") == 2, "the new text")
    assert pid_of(server) == pid
    assert server.stop() == 0
    assert " CRASH " not in server.log()


def test_broken_file(fresh, tmp_path):
    """The server starts, says what is wrong with file and line, and goes on; so does a reload."""
    server, path = with_script(fresh, tmp_path, "function check(mail)\n  return 'accept'\n")
    wait_until(lambda: re.search(r"PROBLEM script - the script can't be used.*rules\.lua:3: 'end' expected", server.log()), "the problem")
    mail_goes_through(server)
    path.write_text(ACCEPTS)
    server.reload()
    wait_until(lambda: "script - loaded" in server.log(), "the script")
    path.unlink()
    server.reload()
    wait_until(lambda: re.search(r"PROBLEM supervisor - the script .*rules\.lua can't be read: No such file", server.log()), "the problem")
    wait_until(lambda: "the file could not be read when the server read its configuration" in server.log(), "the script's own word")
    mail_goes_through(server)


def test_killed_and_left_alone(fresh, tmp_path):
    """A file whose top level never ends: the server is ready nevertheless, the process is killed three times, then left alone until a reload."""
    server, path = with_script(fresh, tmp_path, HANGS + "\n" + ACCEPTS, "script.seconds = '1s'")
    mail_goes_through(server)
    wait_until(lambda: "is left alone for 60 s" in server.log(), "the rest")
    assert times(server, KILLED) == 3
    assert pid_of(server) is None
    mail_goes_through(server)
    path.write_text(ACCEPTS)
    server.reload()
    wait_until(lambda: "script - loaded" in server.log(), "the new script")
    assert times(server, KILLED) == 3
    mail_goes_through(server)
    assert " CRASH " not in server.log()


# ---- What it says, and to whom ----

def rcpt(server, recipient, ip_helo="client.elsewhere.test", sender="someone@elsewhere.test"):
    """The reply to RCPT."""
    session = server.raw(25)
    session.reply()
    assert session.ask(f"EHLO {ip_helo}")[0] == 250
    assert session.ask(f"MAIL FROM:<{sender}>")[0] == 250
    reply = session.ask(f"RCPT TO:<{recipient}>")
    session.ask("QUIT")
    session.close()
    return reply


RULES = """function check(mail)
  if mail.sender:find("^hang@") then return string.find(("a"):rep(40000), (".-"):rep(40) .. "b") end
  if mail.sender:find("^wrong@") then return nil .. "x" end
  if mail.sender:find("^bad@") then return "reject", "no mail from " .. mail.sender .. " at " .. mail.ip end
  if mail.sender:find("^later@") then return "defer", "come again" end
  if mail.sender:find("^list@") then return "file", "Lists" end
  if mail.stage == "content" and mail.header("x-spam") then return "reject", "spam: " .. mail.subject end
end
"""


def test_each_decides(fresh, tmp_path):
    """Alice lets the script decide, bob does not; what it says is the reply's reason."""
    server, _ = with_script(fresh, tmp_path, RULES)
    server.run("rules", "set", "alice@example.test", "site-script=on")
    code, text = rcpt(server, "alice@example.test", sender="bad@elsewhere.test")
    assert code == 550 and "no mail from bad@elsewhere.test at 127.0.0.1" in text and "Reference" in text, text
    assert rcpt(server, "bob@example.test", sender="bad@elsewhere.test")[0] == 250
    code, text = rcpt(server, "alice@example.test", sender="later@elsewhere.test")
    assert code == 451 and "come again" in text, text
    assert rcpt(server, "alice@example.test")[0] == 250
    # An error of the script is no opinion.
    assert rcpt(server, "alice@example.test", sender="wrong@elsewhere.test")[0] == 250
    wait_until(lambda: re.search(r"PROBLEM script - the script has no opinion problem=.*rules\.lua:3: attempt to concatenate", server.log()), "the problem")


def test_message(fresh, tmp_path):
    """With site-script.message it is asked again behind DATA."""
    server, _ = with_script(fresh, tmp_path, RULES)
    server.run("rules", "set", "alice@example.test", "site-script=on", "site-script.message=on")
    mail_goes_through(server)
    with server.smtp() as smtp:
        smtp.helo("client.elsewhere.test")
        assert smtp.mail("someone@elsewhere.test")[0] == smtp.rcpt("alice@example.test")[0] == 250
        code, text = smtp.data("Subject: =?utf-8?q?win_now?=\r\nX-Spam: yes\r\n\r\nHello\r\n")
    assert code == 550 and b"spam: win now" in text, text
    assert len(server.messages()) == 1


def test_mail_flows_while_it_is_killed(fresh, tmp_path):
    """A call that never ends: its sender is let in, another one meanwhile too; the process comes back and decides again."""
    server, _ = with_script(fresh, tmp_path, RULES, "script.seconds = '1s'")
    server.run("rules", "set", "alice@example.test", "site-script=on")
    assert rcpt(server, "alice@example.test", sender="bad@elsewhere.test")[0] == 550
    before = pid_of(server)
    hanging, other = server.raw(25), server.raw(25)
    for session, sender in ((hanging, "hang@elsewhere.test"), (other, "bad@elsewhere.test")):
        session.reply()
        assert session.ask("EHLO client.elsewhere.test")[0] == 250
        assert session.ask(f"MAIL FROM:<{sender}>")[0] == 250
    hanging.send("RCPT TO:<alice@example.test>\r\n")
    other.send("RCPT TO:<bob@example.test>\r\n")
    assert other.reply()[0] == 250
    assert hanging.reply()[0] == 250
    wait_until(lambda: times(server, KILLED) == 1, "the supervisor's word")
    wait_until(lambda: pid_of(server) not in (None, before), "the next process")
    wait_until(lambda: rcpt(server, "alice@example.test", sender="bad@elsewhere.test")[0] == 550, "its opinion")
    hanging.close()
    other.close()


def test_all_are_answered_while_it_is_killed(fresh, tmp_path):
    """Those that wait behind a call that never ends have an answer, too: no opinion, or come again where a person wants that."""
    server, _ = with_script(fresh, tmp_path, RULES, "script.seconds = '1s'")
    server.run("rules", "set", "alice@example.test", "site-script=on")
    server.run("rules", "set", "bob@example.test", "site-script=on", "site-script.on-unknown=defer")
    assert rcpt(server, "alice@example.test", sender="bad@elsewhere.test")[0] == 550
    sessions = []
    for recipient, sender in [("alice", "hang"), ("bob", "hang")] + 3 * [("alice", "bad"), ("bob", "bad")]:
        session = server.raw(25)
        session.reply()
        assert session.ask("EHLO client.elsewhere.test")[0] == 250
        assert session.ask(f"MAIL FROM:<{sender}@elsewhere.test>")[0] == 250
        sessions.append((recipient, sender, session))
    for recipient, _, session in sessions:
        session.send(f"RCPT TO:<{recipient}@example.test>\r\n")
    for recipient, sender, session in sessions:
        code = session.reply()[0]
        unknown = 451 if recipient == "bob" else 250
        assert code == unknown or (sender == "bad" and code == 550), (recipient, sender, code)
        session.close()
    wait_until(lambda: rcpt(server, "bob@example.test", sender="bad@elsewhere.test")[0] == 550, "its opinion")


# ---- The command line ----

EXAMPLES = pathlib.Path(__file__).parents[2] / "doc" / "examples"


def script_test(*words, text_input=None):
    return subprocess.run([OSTIARY, "script", "test", *map(str, words), "--config", "/nonexistent/ostiary.conf"], capture_output=True, text=True,
                          input=text_input, timeout=PATIENCE)


def whois(tmp_path, network, country):
    path = tmp_path / "whois.txt"
    path.write_text(f"inetnum: 192.0.2.0 - 192.0.2.255\nnetname: {network}\ncountry: {country}\nsource: RIPE\n")
    return ["--ip", "192.0.2.7", "--whois-file", path]


def attached(name):
    return ("Subject: files\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nhello\n--x\nContent-Type: application/octet-stream\n"
            f"Content-Disposition: attachment; filename=\"{name}\"\n\nAAAA\n--x--\n")


# The example, what it is told, a message, and what it says at the last stage.
CALLS = [
    ("country", ("EXAMPLE-HOME", "DE"), [], None, ("nothing", "")),
    ("country", ("EXAMPLE-HOME", "XX"), [], None, ("file", "Abroad")),
    ("country", ("Example-Bulk-7", "DE"), [], None, ("reject", "no mail is taken from the network EXAMPLE-BULK-7")),
    ("country", None, ["--ip", "192.0.2.7"], None, ("nothing", "")),
    ("suspicious", None, ["--ptr", "mail.example.net", "--helo", "mail.example.net"], None, ("nothing", "")),
    ("suspicious", None, ["--helo", "mail.example.net"], None, ("nothing", "")),
    ("suspicious", None, ["--helo", "localhost"], None,
     ("defer", "come again in a few minutes: its address has no name, it says HELO without a domain")),
    ("suspicious", None, ["--helo", "example.org", "--ptr", "pool-7.Dyn.example.net", "--recipient", "a@example.org"], None,
     ("defer", "come again in a few minutes: its name is that of a private line, it says HELO with our own name")),
    ("newsletters", None, [], "Subject: x\n\nhello\n", ("nothing", "")),
    ("newsletters", None, [], "List-Id: <choir.example.net>\n\nhello\n", ("file", "Lists")),
    ("newsletters", None, [], "List-Unsubscribe: <mailto:x@example.net>\n\nhello\n", ("file", "Newsletters")),
    ("newsletters", None, [], attached("Invoice.PDF.exe"), ("reject", "programs are not taken by mail: Invoice.PDF.exe")),
    ("newsletters", None, [], attached("invoice.pdf"), ("nothing", "")),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_examples(call, tmp_path):
    name, network, words, message, expected = call
    words = words + (whois(tmp_path, *network) if network else []) + (["--mail", "-"] if message else [])
    result = script_test(EXAMPLES / f"{name}.lua", *words, "--json", text_input=message)
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["good"] and len(answer["stages"]) == (2 if message else 1)
    last = answer["stages"][-1]
    assert (last["result"], last["text"]) == expected


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.lua")} == {call[0] for call in CALLS}


def test_test_tells_what_is_wrong(tmp_path):
    path = tmp_path / "rules.lua"
    for text, sentence in (("function check(mail)\n  return 'refuse'\nend\n", "rules.lua:1: check returned \"refuse\"; it may return"),
                           ("function check(mail)\n  x = mail.nothing.at.all\nend\n", "rules.lua:2: attempt to index a nil value"),
                           ("function chekc(mail) end\n", "the file makes no function check(mail)"),
                           ("function check(mail) " + HANGS + " end\n", "it took longer than script.seconds allows, 2 s, and was killed"),
                           ("function check(mail) while true do end end\n", "it took 1000000 steps, and script.steps allows no more")):
        path.write_text(text)
        result = script_test(path)
        assert result.returncode == 65 and sentence in result.stderr and len(result.stderr.splitlines()) == 1, result
        answer = script_test(path, "--json")
        assert sentence in json.loads(answer.stdout)["problem"] and answer.returncode == 65
    result = script_test(tmp_path / "none.lua")
    assert result.returncode == 66 and "can't be read: No such file" in result.stderr
    path.write_text(ACCEPTS)
    assert script_test(path, "--ip", "nowhere").returncode == 64
    assert script_test(path, "--mail", tmp_path / "none.eml").returncode == 66


def test_test_shows(tmp_path):
    path = tmp_path / "rules.lua"
    path.write_text("function check(mail) print(mail.stage, mail.helo, mail.ptr, mail.tls) return 'reject', mail.sender .. mail.recipient end")
    result = script_test(path, "--helo", "h.example", "--sender", "", "--recipient", "b@example.org", "--tls")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == 'printed: "rcpt h.example nil true"'
    assert lines[1].startswith('rcpt: reject "b@example.org" (fewer than ')


def test_reload_says_what_is_wrong(fresh, tmp_path):
    """And leaves the server alone, which goes on with what it has."""
    server, path = with_script(fresh, tmp_path, ACCEPTS)
    wait_until(lambda: "script - loaded" in server.log(), "the script")
    path.write_text("function check(mail)\n  if\nend\n")
    result = server.run("reload", check=False)
    assert result.returncode == 78 and "rules.lua:3: unexpected symbol near 'end'" in result.stderr, result
    result = server.run("config", "check", "--json", check=False)
    check = json.loads(result.stdout)
    assert result.returncode == 78 and not check["good"] and "rules.lua:3: unexpected symbol" in check["problem"], "as reload says"
    assert times(server, "configuration read again") == 0
    path.write_text(ACCEPTS)
    assert server.run("reload").returncode == 0
    wait_until(lambda: times(server, "script - loaded") == 2, "the new text")

"""The site's script: its process comes and goes with the setting, ends when it hangs, and is left alone when it does so again and again."""
import re

from conftest import wait_until

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

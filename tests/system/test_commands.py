"""Every command of the table, as the program itself lists it: its help, its example, its JSON, its exit codes."""
import json
import re
import shlex
import subprocess

import pytest

from conftest import OSTIARY, PATIENCE

USAGE, DATA = 64, 65
LINE = re.compile(r"^  ([a-z-]+(?: [a-z-]+)?) {2,}(\S.*\.)$", re.M)


def ostiary(*words):
    return subprocess.run([OSTIARY, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)


def commands():
    """{name: its one sentence}"""
    return dict(LINE.findall(ostiary("help").stdout))


COMMANDS = commands()
HELP = {name: ostiary(*name.split(), "--help") for name in COMMANDS}
WITH_JSON = [name for name in COMMANDS if " [--json]" in HELP[name].stdout]


def test_the_list_is_whole():
    assert len(COMMANDS) > 50 and {"serve", "queue list", "help"} <= set(COMMANDS)
    assert len(COMMANDS) == len([line for line in ostiary("help").stdout.splitlines() if line.startswith("  ")])


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name):
    """What it is for, how it is called, and an example that holds to that."""
    result = HELP[name]
    assert result.returncode == 0 and result.stderr == ""
    sentence, usage, *_, example = [line for line in result.stdout.splitlines() if line]
    assert sentence == COMMANDS[name]
    assert usage.startswith(f"usage: ostiary {name}") and usage.endswith(" [--config FILE]")
    assert example.startswith(f"example: ostiary {name}")
    known = set(re.findall(r"\[--([a-z-]+)", usage))
    for option in known:
        assert re.search(rf"^  --{option}\b.*\n      \S", result.stdout, re.M), option
    words = shlex.split(example[len("example: ostiary "):])[len(name.split()):]
    assert {word[2:] for word in words if word.startswith("--")} <= known
    assert ostiary("help", *name.split()).stdout == result.stdout
    assert ostiary(*name.split(), "-h").stdout == result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_unknown_option(name):
    result = ostiary(*name.split(), "--no-such-option")
    assert result.returncode == USAGE and result.stdout == ""
    assert result.stderr.startswith(f"ostiary: 'ostiary {name}' has no option '--no-such-option'")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_too_much(name):
    usage = HELP[name].stdout.splitlines()[2]
    if "..." in usage:
        return
    result = ostiary(*name.split(), "--", *["x"] * 10)
    assert result.returncode == USAGE and "'x' is too much" in result.stderr and result.stdout == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_without_a_configuration(name):
    """Each that needs one says which file it looked for; none of them waits for anything, or does something."""
    usage = HELP[name].stdout.splitlines()[2]
    needed = re.sub(r"\[[^]]*\]", "", usage[len(f"usage: ostiary {name}"):]).replace("...", "").split()
    if name in ("sandbox", "version", "help") or needed or name.startswith("queue ") or name in ("config explain", "rules list", "rules test"):
        return
    result = ostiary(*name.split(), "--config", "/nonexistent/ostiary.conf")
    assert result.returncode == 78 and "/nonexistent/ostiary.conf" in result.stderr and result.stdout == "", result


def test_groups():
    """`ostiary queue` lists its commands, and what is mistyped is guessed."""
    for group in {name.split()[0] for name in COMMANDS if " " in name}:
        assert set(dict(LINE.findall(ostiary(group, "--help").stdout))) == {n for n in COMMANDS if n.startswith(group + " ")}
    for words, meant in (("queue lits", "queue list"), ("acount", "account"), ("queue list --jsn", "--json"), ("watch --onec", "--once")):
        result = ostiary(*words.split())
        assert result.returncode == USAGE and f"did you mean '{meant}'?" in result.stderr


# ---- JSON ----

# What each one is called with, on a server that has a message in its queue. {id} is that message's.
CALLS = {
    "address add": ["alice@example.test", "shop"],
    "address list": ["alice@example.test"],
    "address remove": ["alice@example.test", "shop"],
    "code-for": ["alice@example.test"],
    "history": [],
    "ledger": ["--since", "7d"],
    "rejects": ["--by-rule"],
    "rules replay": ["sender-tld=on"],
    "list add": ["alice@example.test", "white", "friend@example.net"],
    "list import": ["--site", "denied", "{directory}/denied.txt"],
    "list remove": ["alice@example.test", "white", "friend@example.net"],
    "list show": ["--site"],
    "passcode add": ["alice@example.test", "Aunt May"],
    "passcode list": ["alice@example.test"],
    "passcode revoke": ["alice@example.test", "Aunt May"],
    "rules list": [],
    "rules lock": ["max-size=on"],
    "rules set": ["alice@example.test", "white-list=on"],
    "rules show": ["alice@example.test"],
    "rules test": ["--from", "friend@example.net", "--to", "alice@example.test"],
    "rules unlock": ["max-size"],
    "rules unset": ["alice@example.test", "white-list"],
    "undo": ["alice@example.test"],
    "account add": ["new@example.test", "--password-generate"],
    "account forward": ["bob@example.test", "bob@elsewhere.test", "--keep"],
    "account import": ["{directory}/users.csv"],
    "account list": [],
    "account passwd": ["carol@example.test", "--password-generate"],
    "account show": ["alice@example.test"],
    "alias list": [],
    "backup": ["{directory}/backup"],
    "blacklist check": ["192.0.2.7"],
    "blacklist import": ["{directory}/blocked.txt"],
    "blacklist list": [],
    "clients flush": [],
    "clients list": [],
    "config check": [],
    "config explain": ["smtp.recipients"],
    "config print": [],
    "doctor": [],
    "domain list": [],
    "mail export": ["{directory}/exported", "--account", "alice@example.test"],
    "mail import": ["{directory}/exported", "--account", "bob@example.test"],
    "mailinglist list": [],
    "mailinglist show": ["choir@example.test"],
    "queue bounce": ["nobody.invalid"],
    "queue drop": ["nobody.invalid", "--yes"],
    "queue hold": ["{id}"],
    "queue list": [],
    "queue release": ["{id}"],
    "queue retry": ["{id}"],
    "queue show": ["{id}"],
    "script test": ["{directory}/rules.lua"],
    "store check": [],
    "store compact": [],
    "store status": [],
    "version": [],
    "watch": ["--once"],
}
# test_ledger.py and test_rules_ctl.py want a refusal, test_remote.py a provider.
ELSEWHERE = {"explain", "allow", "remote add", "remote fetch", "remote list", "remote remove", "remote set"}
WITHOUT_A_SERVER = {"restore": ["{directory}/backup"], "store rebuild": []}
STATUS = {"doctor": (0, 1, 2)}


@pytest.fixture(scope="module")
def filled(server):
    server.run("queue", "pause", "out")
    server.run("alias", "add", "sales@example.test", "alice@example.test", "friend@far.invalid")
    server.run("mailinglist", "add", "choir@example.test")
    server.run("mailinglist", "join", "choir@example.test", "bob@example.test")
    server.send("Subject: waits\n\nx", to="sales@example.test")
    (server.directory / "users.csv").write_text("address,password\ndora@example.test,a long password\n")
    (server.directory / "denied.txt").write_text("192.0.2.0/24 # spam\n")
    (server.directory / "rules.lua").write_text("function check(mail) end\n")
    (server.directory / "blocked.txt").write_text("192.0.2.0/24 spam\n")
    return server


def fill_in(words, server):
    message = server.run_json("queue", "list")[0]["id"] if "{id}" in words else ""
    return [word.format(directory=server.directory, id=message) for word in words]


def test_each_has_a_call():
    """A new command with --json gets a row above; one that shows something has --json."""
    assert set(WITH_JSON) == set(CALLS) | set(WITHOUT_A_SERVER) | ELSEWHERE
    showing = [n for n in COMMANDS if n.split()[-1] in ("list", "show", "check", "print", "explain", "status", "watch", "doctor", "version")]
    assert set(showing) <= set(WITH_JSON)


@pytest.mark.parametrize("name", CALLS)
def test_json(filled, name):
    result = filled.run(*name.split(), *fill_in(CALLS[name], filled), "--json", check=False)
    assert result.returncode in STATUS.get(name, (0,)), result
    value = json.loads(result.stdout)
    assert isinstance(value, (dict, list)) and (value or name in ("clients list", "code-for", "rejects"))


def test_forwarding_as_json(filled):
    assert filled.run_json("account", "forward", "carol@example.test", "x@elsewhere.test") == {"address": "carol@example.test", "targets": ["x@elsewhere.test"]}
    assert filled.run_json("account", "forward", "carol@example.test")["targets"] == ["x@elsewhere.test"]
    assert filled.run_json("account", "forward", "carol@example.test", "--off") == {"address": "carol@example.test", "targets": []}


def test_a_pause_as_json(fresh):
    """On a server of its own: while the way out is open, the courier would begin with what the others' tests have in the queue."""
    server = fresh()

    def paused():
        status = server.run_json("store", "status")
        return status["paused_in"], status["paused_out"]

    assert paused() == (False, False)
    server.run("queue", "pause", "out")
    assert paused() == (False, True)
    server.run("queue", "pause", "in")
    server.run("queue", "resume", "out")
    assert paused() == (True, False)
    assert "intake is paused                           yes" in server.run("store", "status").stdout
    server.run("queue", "pause", "out")
    server.run("queue", "resume", "in")
    assert paused() == (False, True)


def test_json_without_a_server(fresh):
    server = fresh()
    server.send("Subject: kept\n\nx")
    server.run("backup", str(server.directory / "backup"))
    server.stop()
    assert server.run_json("store", "rebuild")["messages"] == 1
    (server.directory / "data").rename(server.directory / "old-data")
    assert isinstance(server.run_json("restore", *fill_in(WITHOUT_A_SERVER["restore"], server)), dict)


# ---- What is not there ----

@pytest.mark.parametrize("verb", ["retry", "hold", "release", "drop", "bounce", "show"])
def test_an_id_that_is_not_in_the_queue(filled, verb):
    more = ["--yes"] if verb == "drop" else []
    for name in ("ffffff", "ffffff.1"):
        for form in ([], ["--json"]):
            result = filled.run("queue", verb, name, *more, *form, check=False)
            assert result.returncode == DATA and f"there is no {name} in the queue" in result.stderr and result.stdout == "", result


def test_some_ids_that_are_not_in_the_queue(filled):
    """The others are changed all the same; an entry that has the state already is there."""
    there = filled.run_json("queue", "list")[0]["id"]
    filled.run("queue", "release", there)
    result = filled.run("queue", "hold", "ffffff", there, "eeeeee", check=False)
    assert result.returncode == DATA
    assert "there is no ffffff in the queue, nor are 1 others; of the rest 1 recipient held" in result.stderr
    assert [entry["state"] for entry in filled.run_json("queue", "list") if entry["id"] == there] == ["held"]
    assert filled.run_json("queue", "hold", there) == {"changed": 0}
    result = filled.run("queue", "hold", there.split(".")[0] + ".999", check=False)
    assert result.returncode == DATA
    filled.run("queue", "release", there)
    # A domain that nothing waits for is no mistake.
    assert filled.run_json("queue", "retry", "@nowhere.invalid") == {"changed": 0}


@pytest.mark.parametrize("words", [
    ("domain", "remove", "nowhere.test"), ("domain", "set", "nowhere.test", "--unknown-refuse"),
    ("account", "show", "x@example.test"), ("account", "set", "x@example.test", "--name", "x"), ("account", "remove", "x@example.test", "--yes"),
    ("account", "passwd", "x@example.test", "--password-generate"), ("account", "forward", "x@example.test"),
    ("alias", "remove", "x@example.test"), ("mailinglist", "show", "x@example.test"), ("mailinglist", "remove", "x@example.test"),
    ("mailinglist", "set", "x@example.test", "--name", "x"), ("mailinglist", "join", "x@example.test", "a@b.test"),
    ("mailinglist", "leave", "choir@example.test", "stranger@b.test"), ("blacklist", "remove", "198.51.100.9"),
    ("mail", "export", "/tmp/ostiary-never-made", "--account", "x@example.test"),
], ids=" ".join)
def test_what_is_not_there(filled, words):
    result = filled.run(*words, check=False)
    assert result.returncode == DATA and len(result.stderr.splitlines()) == 1 and result.stdout == "", result

"""doc/ostiary.1.scd says what the program says: each command, each option, nothing more."""
import functools
import json
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import OSTIARY

PAGES = pathlib.Path(__file__).parents[2] / "doc"
TEXT = (PAGES / "ostiary.1.scd").read_text()
COMMON = {"config", "json", "help"}


def say(*words):
    return subprocess.run([OSTIARY, *words], capture_output=True, text=True, check=True).stdout


@functools.cache
def commands():
    """{command: its options}, by the program's own help."""
    out = {}
    for line in say("help").splitlines():
        entry = re.match(r"  (\S+(?: \S+)?)  +\S", line)
        if entry:
            out[entry[1]] = set(re.findall(r"^  --([a-z-]+)", say(*entry[1].split(), "--help"), re.M)) - COMMON
    return out


def entries():
    """{command: the options of its line}, by the manual."""
    out = {}
    for line in TEXT.splitlines():
        for command, rest in re.findall(r"(?:^|, )\*([a-z][a-z-]*(?: [a-z-]+)?)\*([^,]*)", line) if line.startswith("*") else ():
            out.setdefault(command, set(re.findall(r"--([a-z-]+)", rest)) - COMMON)
    return out


def test_the_manual_has_each_command_with_its_options():
    program, manual = commands(), entries()
    assert len(program) > 40
    missing = sorted(set(program) - set(manual))
    assert not missing, f"doc/ostiary.1.scd does not have: {missing}"
    wrong = {c: sorted(options ^ manual[c]) for c, options in program.items() if options != manual[c]}
    assert not wrong, f"options of the program or of doc/ostiary.1.scd only: {wrong}"
    gone = sorted(c for c in manual if " " in c and c.split()[0] in {p.split()[0] for p in program} and c not in program)
    assert not gone, f"doc/ostiary.1.scd still has: {gone}"


@pytest.mark.parametrize("command", sorted(commands()))
def test_each_example_is_of_its_command(command):
    """`ostiary COMMAND --help` ends with an example that begins with the command."""
    assert f"\nexample: ostiary {command}" in say(*command.split(), "--help")


@pytest.mark.skipif(not shutil.which("scdoc"), reason="scdoc is not installed")
@pytest.mark.parametrize("page", ["ostiary.1.scd", "ostiary.conf.5.scd", "ostiary-script.5.scd"])
def test_the_pages_can_be_made(page):
    result = subprocess.run(["scdoc"], input=(PAGES / page).read_text(), capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout.startswith(".\\"), result.stderr


GUIDES = [PAGES.parent / "README.md", *(PAGES / name for name in ("moving-house.md", "rules.md", "from-simbeymail.md", "from-sims.md"))]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_the_guides_name_commands_that_are_there(guide):
    """Each `ostiary ...` of a guide is a command, with options that it has."""
    program = commands()
    lines = re.findall(r"(?:^ +|`)ostiary ([^`#\n]+)", guide.read_text(), re.M)
    assert len(lines) > 5
    for line in lines:
        words = line.split()
        if words[0] == "my":
            words, line = words[1:], re.sub(r"--login(-stdin| \S+)", "", line)
        name = " ".join(words[:2]) if " ".join(words[:2]) in program else words[0]
        assert name in program, f"{guide.name}: there is no 'ostiary {line}'"
        unknown = set(re.findall(r"--([a-z-]+)", line)) - program[name] - COMMON
        assert not unknown, f"{guide.name}: 'ostiary {name}' has no {unknown}"


def test_the_configuration_of_the_readme(tmp_path):
    text = re.search(r"```lua\n(.*?)```", GUIDES[0].read_text(), re.S)[1]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem",
                    "-subj", "/CN=mail.example.org", "-addext", "subjectAltName=DNS:mail.example.org", "-days", "90"], check=True, capture_output=True)
    text = text.replace("/etc/letsencrypt/live/mail.example.org", str(tmp_path)).replace('user = "ostiary"', 'user = "nobody"')
    config = tmp_path / "ostiary.conf"
    config.write_text(text)
    assert say("config", "check", "--config", str(config)) == f"{config} is good\n"


def rules():
    return json.loads(say("rules", "list", "--json"))


def test_the_page_of_rules_has_each_rule_and_setting():
    text = (PAGES / "rules.md").read_text()
    for rule in rules():
        assert f"**{rule['name']}**" in text and rule["summary"] in text, rule["name"]
        for setting in rule["settings"]:
            if not setting["name"].endswith(".folder"):
                assert f"`{setting['name']}={setting['default']}`" in text, setting
    gone = set(re.findall(r"(?m)^\*\*([a-z-]+)\*\*", text)) - {rule["name"] for rule in rules()}
    assert len(rules()) > 30 and not [name for name in gone if "-" in name], gone


def test_what_simbeymail_called_it():
    rows = dict(re.findall(r"(?m)^\| (MUI_\w+) \| `([a-z-]+)`", (PAGES / "from-simbeymail.md").read_text()))
    assert rows == {rule["simbeymail"]: rule["name"] for rule in rules() if rule["simbeymail"]} and len(rows) == 21

"""Accounts imported from a table and from Dovecot's passwd-file, and real logins with what was imported."""
import base64
import crypt
import hashlib
import json
import poplib

import pytest

SECRET = "correct horse"
# Made by Dovecot 2.3's own tool, of "secret word".
FOREIGN = {
    "sha": "{SHA}PDUC6jG3V40qqE4XqHRFLkyoMVM=",
    "ssha-hex": "{SSHA.HEX}9ecd26988a890b03a652dc4130ff245160c60ee9b240977e",
    "ssha256": "{SSHA256}7kmJXHTezBOGoIDsgOvdHcVv4CmEyVj/xB3zTO4r4tKVs+4i",
    "sha512": "{SHA512}fOXiyQ05YN/eMu5/hCegoO0CDda5pBYuEaN9EuqV1ZbWIQdXvnQnyj+5FCqAQGUGeGjr7aZ9mJtfWlX0sA11kA==",
    "smd5": "{SMD5}yH2tYiT3lS6w67mJ7HFyxS7FhlE=",
    "plain-md5": "{PLAIN-MD5}74a11ef33c5252edfa87c4eb8b566c2a",
    "pbkdf2": "{PBKDF2}$1$SAVmMo8rBli8BBXh$5000$b4cc13b035b5c7c90ad41b482a57450769637db6",
    "argon2i": "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$b7ZwLreaZTfRyBaVKHsSWA$M7eIVYK31gvZgENq+G2d6xxN1XIweY0voSD6ONP2AVY",
    "argon2id": "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$IRgk0fVYKjt7E+/FcMBbEQ$WVrSgn50vv9KncAz806NRam621rwqCO9WeuIWSQlSkQ",
    "scram": "{SCRAM-SHA-256}4096,EkbIYkFX8K9hN7DUHQWRuQ==,rsq4WeN8y0RA5Jkde07Phlr5wHCUXmKBrY3dytewHY8=,"
             "+FvU/QFB0TiMS/LmIpdZB5ofI3KjYdIxafRqjV+TeHs=",
    "bcrypt": "{BLF-CRYPT}$2y$05$UcL9vbdb58tBFNodfqbDQelWIig94.m8PpYkMP/EVQ5.nnChlwsoC",
    "md5": "{MD5}$1$BiWqyAhQ$37tT.p6GuTWAhtC6R4pRy1",
    "des": "{DES-CRYPT}JUSv5ytXCeaUg",
    "b64": "{CRYPT.B64}JDJ5JDA1JDEzZC5NS0hsb2xudTd5UFRMbktxUHVsd0EuTHVxOGY1aVU2MXd6V0dCMDlDYkp1MEZKL1l5",
}


def can_log_in(server, user, password):
    try:
        server.pop(f"{user}@example.test", password).quit()
        return True
    except poplib.error_proto:
        return False


def test_every_scheme_logs_in(fresh):
    s = fresh()
    lines = ["# people", ""] + [f"{name}:{text}:1000:1000::/home/{name}::" for name, text in FOREIGN.items()]
    lines.append("noscheme:" + crypt.crypt("secret word", crypt.METHOD_SHA256))
    lines.append("plain@example.test:{PLAIN}secret word")
    file = s.directory / "users"
    file.write_text("\n".join(lines) + "\n")
    out = s.run("account", "import", str(file), "--domain", "example.test").stdout
    assert out == f"{len(FOREIGN) + 2} accounts added, 0 lines left out\n"
    for name in [*FOREIGN, "noscheme", "plain"]:
        assert can_log_in(s, name, "secret word"), name
    for name in ("sha", "argon2id", "scram", "plain"):
        assert not can_log_in(s, name, "Secret word"), name


def test_passwd_file(fresh):
    s = fresh()
    file = s.directory / "passwd"
    file.write_text(
        "dora:{PLAIN}pw-of-dora:::Dora Ek,room 7:/home/dora::userdb_quota_rule=*:storage=5M userdb_mail=maildir:~/M\n"
        "erik@example.test:{CRAM-MD5}118e3daefda758fc5ba3bc52873914a7908a4818ff5e5545c543ef98290b15a4\n"
        "alice:{PLAIN}x\n"
        "frida@elsewhere.test:{PLAIN}x\n"
        "gone:!\n"
        "broken\n")
    result = s.run("account", "import", str(file), "--domain", "example.test", "--json", check=False)
    assert result.returncode == 65 and result.stderr == ""
    told = json.loads(result.stdout)
    assert told["added"] == 1 and told["left_out"] == 5 and not told["dry_run"]
    assert [(p["line"], p["address"]) for p in told["problems"]] == [
        (2, "erik@example.test"), (3, "alice@example.test"), (4, "frida@elsewhere.test"), (5, "gone@example.test"), (6, "")]
    for problem, said in zip(told["problems"], ("new password", "already an account", "not one of ours", "locked", "colon")):
        assert said in problem["problem"], problem
    shown = s.run_json("account", "show", "dora@example.test")
    assert shown["name"] == "Dora Ek" and shown["quota"] == 5 << 20
    assert can_log_in(s, "dora", "pw-of-dora")


def test_table(fresh):
    s = fresh()
    assert s.stop() == 0  # also without a server
    salt = b"salty"
    ssha = base64.b64encode(hashlib.sha1(SECRET.encode() + salt).digest() + salt).decode()
    file = s.directory / "users.csv"
    file.write_bytes(
        b"\xef\xbb\xbfAddress,Name,Password,Hash,Quota,Forward,Keep,Shoe size\r\n"
        + f'hanna@example.test,"Öst, Hanna",{SECRET},,1G,,,42\r\n'.encode()
        + f"ivar@example.test,Ivar,{{SSHA}}{ssha},,,hanna@example.test;i@elsewhere.test,yes,\r\n".encode()
        + f"jan@example.test,,,{crypt.crypt(SECRET, crypt.METHOD_SHA512)},0,kim@example.test,,\r\n".encode()
        + b'kim@example.test,"Kim ""K"" K",longer password,,,,,\r\n'
        + b"not an address,,x,,,,,\r\n"
        + b"lars@example.test,,x,,much,,,\r\n"
        + b"mia@example.test,,x,,,nobody@example.test,,\r\n"
        + b"nils@example.test,,x,x,,,,\r\n"
        + b"olle@example.test,,,,,,,\r\n"
        + b'"pia@example.test,,x\r\n')
    dry = s.run("account", "import", str(file), "--dry-run", check=False)
    assert dry.returncode == 65 and "5 accounts would be added, 5 lines left out" in dry.stdout
    assert "not used: the columns Shoe size" in dry.stdout
    assert not any("hanna" in row["address"] for row in s.run_json("account", "list"))
    result = s.run("account", "import", str(file), check=False)
    assert result.returncode == 65
    for said in ("line 6, not an address", "line 7, lars@example.test: a quota takes a size", "line 9, nils@example.test: a password and",
                 "line 10, olle@example.test: no password", "line 11: a quote",
                 "line 8, mia@example.test: the account is added, but not its forwarding", "5 accounts added, 6 lines left out"):
        assert said in result.stdout, result.stdout
    aliases = {row["address"]: row["targets"] for row in s.run_json("alias", "list")}
    assert aliases["ivar@example.test"] == ["ivar@example.test", "hanna@example.test", "i@elsewhere.test"]
    assert aliases["jan@example.test"] == ["kim@example.test"]
    shown = s.run_json("account", "show", "hanna@example.test")
    assert (shown["name"], shown["quota"]) == ("Öst, Hanna", 1 << 30)
    assert s.run_json("account", "show", "jan@example.test")["quota"] == 0
    s.start()
    for name, password in (("hanna", SECRET), ("ivar", SECRET), ("jan", SECRET), ("kim", "longer password")):
        assert can_log_in(s, name, password), name
    # SCRAM too, since the password itself was known.
    assert not can_log_in(s, "hanna", "wrong")


@pytest.mark.parametrize("content,words,status,said", [
    (b"", (), 65, "the file is empty"),
    (b"name,password\nx,y\n", (), 65, 'names no column "address"'),
    (b"x", ("--format", "xml"), 64, "csv or dovecot"),
    (None, (), 66, "can't be read"),
])
def test_whole_file_is_wrong(server, content, words, status, said):
    file = server.directory / "whole.csv"
    file.unlink(missing_ok=True)
    if content is not None:
        file.write_bytes(content)
    result = server.run("account", "import", str(file), *words, check=False)
    assert result.returncode == status and said in result.stderr and result.stdout == "", result


def test_changing_an_imported_password(fresh):
    """By the PWD service: the imported hash makes way for our own kinds."""
    s = fresh()
    file = s.directory / "users"
    file.write_text(f"sha@example.test:{FOREIGN['sha']}\n")
    s.run("account", "import", str(file))
    pwd = s.raw(106)
    assert pwd.line().startswith(b"200")
    for line, code in (("user sha@example.test", b"300"), ("pass secret word", b"200"), ("newpass a-brand-new-one", b"200")):
        pwd.send(line + "\r\n")
        assert pwd.line().startswith(code), line
    pwd.close()
    assert can_log_in(s, "sha", "a-brand-new-one") and not can_log_in(s, "sha", "secret word")

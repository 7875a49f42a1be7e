"""Who may send to other sites through us, and that nobody else does, in whatever notation; and who is let in at all."""
import re
import smtplib

import pytest

from conftest import unverified, wait_until
from nameserver import dns_list

OURS = "mail.example.test"

# What the relays of the 1990s were talked into, and what their successors tried: (recipient, may it be a name of ours)
FORMS = [
    "<x@elsewhere.test>",
    "<X@ELSEWHERE.TEST>",
    "<x%elsewhere.test@example.test>",
    "<x%elsewhere.test@EXAMPLE.test>",
    "<x%elsewhere.test%example.test>",
    "<x%elsewhere.test@[127.0.0.1]>",
    f"<x%elsewhere.test@{OURS}>",
    "<x@elsewhere.test@example.test>",
    "<x@example.test@elsewhere.test>",
    "<@example.test:x@elsewhere.test>",
    "<@example.test,@elsewhere.test:x@elsewhere.test>",
    "<@[127.0.0.1]:x@elsewhere.test>",
    "<elsewhere.test!x@example.test>",
    "<elsewhere.test!x>",
    f"<{OURS}!elsewhere.test!x>",
    "<example.test!elsewhere.test!x@[127.0.0.1]>",
    '<"x@elsewhere.test"@example.test>',
    '<"x@elsewhere.test">',
    '<"x%elsewhere.test"@example.test>',
    '<"elsewhere.test!x"@example.test>',
    '<"x@elsewhere.test"@[127.0.0.1]>',
    '<"\\x@elsewhere.test"@example.test>',
    "<x\\@elsewhere.test@example.test>",
    "<x@[127.0.0.1]>",
    "<x@[IPv6:::1]>",
    "<x@127.0.0.1>",
    "<x@[192.0.2.1]>",
    f"<x@{OURS}>",
    "<x@elsewhere.test.>",
    "<x@elsewhere.test.example.test>",
    "<x@example.test.elsewhere.test>",
    "<<x@elsewhere.test>>",
    "<x@elsewhere.test>@example.test>",
    "x@elsewhere.test",
    '"x@elsewhere.test"',
    "<x@elsewhere.test,alice@example.test>",
    "<x@elsewhere.test alice@example.test>",
    "<alice@example.test> <x@elsewhere.test>",
    "<alice+x@elsewhere.test@example.test>",
    "<postmaster%elsewhere.test>",
    "<\"\"@elsewhere.test>",
    "<x@\x00example.test>",
    "<x@elsewhere.test\x00@example.test>",
    "<x@xn--elsewhere-.test>",
]
SENDERS = ["<spam@elsewhere.test>", "<alice@example.test>", "<>", "<postmaster@example.test>", f"<x@{OURS}>", "<x@[127.0.0.1]>"]


def kept(server):
    """What goes out stays in the queue, to be looked at."""
    server.run("queue", "pause", "out")
    return server


def recipients(server):
    return sorted(entry["recipient"] for entry in server.run_json("queue", "list"))


@pytest.fixture(scope="module")
def stranger_server():
    from conftest import Server
    s = kept(Server("smtp.errors = 1000"))
    yield s
    s.close()


@pytest.mark.parametrize("sender", SENDERS)
def test_no_notation_relays_for_strangers(stranger_server, sender):
    raw = stranger_server.raw()
    assert raw.reply()[0] == 220
    assert raw.ask(f"EHLO {OURS}")[0] == 250
    assert raw.ask(f"MAIL FROM:{sender}")[0] == 250
    for form in FORMS:
        code, text = raw.ask(f"RCPT TO:{form}")
        assert 500 <= code < 600, (form, code, text)
    assert raw.ask("DATA")[0] == 554
    raw.close()
    assert recipients(stranger_server) == []


def test_no_notation_relays_by_way_of_a_server_that_trusts_us(fresh):
    """Where names are known elsewhere, they go there as they are: what that server refuses from strangers it may take from us."""
    server = kept(fresh("smtp.errors = 1000"))
    server.run("domain", "add", "backup.test", "--backup")
    server.run("domain", "add", "main.test", "--backup", "--next-hop", "127.0.0.1:1")
    server.run("domain", "add", "moved.test", "--next-hop", "127.0.0.1:1")
    server.run("domain", "add", "twin.test", "--alias-of", "moved.test")
    server.run("alias", "add", "a%b@moved.test", "alice@example.test")
    with server.smtp() as smtp:
        assert smtp.docmd("EHLO", "x.test")[0] == 250
        assert smtp.docmd("MAIL", "FROM:<x@other.test>")[0] == 250
        for domain in ("backup.test", "main.test", "moved.test", "TWIN.test"):
            for form in ("x%elsewhere.test", "elsewhere.test!x", '"x@elsewhere.test"', "x%elsewhere.test%y.test"):
                reply = smtp.docmd("RCPT", f"TO:<{form}@{domain}>")
                assert (reply[0], reply[1][:5]) == (550, b"5.7.1"), (form, domain, reply)
        assert smtp.docmd("RCPT", "TO:<a%b@moved.test>")[0] == 250
        assert smtp.docmd("RCPT", "TO:<x@backup.test>")[0] == 250


def test_the_postmaster_of_our_address_is_reached(stranger_server):
    with stranger_server.smtp() as smtp:
        assert smtp.docmd("EHLO", "x.test")[0] == 250
        assert smtp.docmd("MAIL", "FROM:<>")[0] == 250
        assert smtp.docmd("RCPT", "TO:<postmaster@[127.0.0.1]>")[0] == 250
        assert smtp.docmd("RCPT", "TO:<postmaster>")[0] == 250


MESSAGE = "Subject: out\r\n\r\nbody\r\n"


def test_a_member_sends_here_and_there_in_one_transaction(fresh):
    server = kept(fresh())
    with server.smtp(587) as smtp:
        smtp.starttls(context=unverified())
        smtp.login("alice@example.test", "sandbox")
        assert smtp.sendmail("alice@example.test", ["bob@example.test", "x@elsewhere.test", "y@other.test"], MESSAGE) == {}
        code, text = smtp.docmd("MAIL", "FROM:<alice@example.test>")
        assert code == 250
        for form in ("<x@[127.0.0.1]>", "<x%elsewhere.test@example.test>", "<x@elsewhere.test.>"):
            assert 500 <= smtp.docmd("RCPT", f"TO:{form}")[0] < 600, form
        assert smtp.docmd("RCPT", "TO:<x@[192.0.2.1]>")[0] == 250
    assert recipients(server) == ["x@elsewhere.test", "y@other.test"]
    assert b"Subject: out" in server.messages("bob@example.test")[-1]


def test_the_daily_limit(fresh):
    server = kept(fresh("submission.daily_recipients = 2"))
    with server.smtp(587) as smtp:
        smtp.starttls(context=unverified())
        smtp.login("alice@example.test", "sandbox")
        refused = smtp.sendmail("alice@example.test", ["a@elsewhere.test", "b@elsewhere.test", "c@elsewhere.test", "bob@example.test"],
                                MESSAGE)
        assert list(refused) == ["c@elsewhere.test"] and refused["c@elsewhere.test"][0] == 452
        assert smtp.sendmail("alice@example.test", ["bob@example.test"], MESSAGE) == {}
        with pytest.raises(smtplib.SMTPRecipientsRefused) as error:
            smtp.sendmail("alice@example.test", ["d@elsewhere.test"], MESSAGE)
        assert error.value.recipients["d@elsewhere.test"][0] == 452
    assert recipients(server) == ["a@elsewhere.test", "b@elsewhere.test"]


def test_a_client_network_relays(fresh):
    server = kept(fresh('client_networks = { "127.0.0.0/8" }'))
    server.send("Subject: from the printer\r\n\r\nbody\r\n", to=["x@elsewhere.test", "alice@example.test"], sender="printer@lan.test")
    text = server.messages()[-1]
    assert b"\nDate: " in text and b"\nMessage-ID: <" in text
    with server.smtp() as smtp:
        smtp.ehlo()
        smtp.mail("printer@lan.test")
        for form in ("<x@[127.0.0.1]>", "<x@[192.0.2.1]>", "<x%elsewhere.test@example.test>", '<"x@elsewhere.test"@example.test>'):
            assert 500 <= smtp.docmd("RCPT", f"TO:{form}")[0] < 600, form
    assert recipients(server) == ["x@elsewhere.test"]


def test_pop_before_smtp(fresh):
    server = kept(fresh("submission.pop_before_smtp = true\nsubmission.pop_window = 600"))

    def relay(sender):
        with server.smtp() as smtp:
            smtp.ehlo()
            smtp.mail(sender)
            return smtp.rcpt("x@elsewhere.test")[0]

    assert relay("alice@example.test") == 550
    server.pop().quit()
    assert relay("alice@example.test") == 250
    assert relay("bob@example.test") == 550  # somebody else's address
    assert relay("x@other.test") == 550
    with server.smtp() as smtp:  # a stranger at the same address still reaches us
        smtp.sendmail("x@other.test", ["bob@example.test"], MESSAGE)
        smtp.sendmail("alice@example.test", ["x@elsewhere.test"], MESSAGE)
    assert recipients(server) == ["x@elsewhere.test"]
    server.run("clients", "flush")
    assert relay("alice@example.test") == 550


def rcpt(server, sender, to="alice@example.test", client="127.0.0.1"):
    with server.smtp(source_address=(client, 0)) as smtp:
        smtp.ehlo()
        smtp.mail(sender)
        return smtp.rcpt(to)


def test_a_return_path_has_to_lead_somewhere(fresh, zones):
    served = zones({"good.test": "@ IN MX 10 mx", "host.test": "@ IN A 192.0.2.1", "null.test": "@ IN MX 0 .",
                    "empty.test": '@ IN TXT "nothing"', "broken.test": None, "test": ""})
    server = fresh("smtp.check_sender = true\n" + served.settings())
    for sender, code, enhanced in (("x@good.test", 250, "2.1.5"), ("x@host.test", 250, "2.1.5"), ("", 250, "2.1.5"),
                                   ("alice@example.test", 250, "2.1.5"), ("x@null.test", 550, "5.7.27"),
                                   ("x@empty.test", 550, "5.1.8"), ("x@nowhere.test", 550, "5.1.8"),
                                   ("x@broken.test", 451, "4.4.3"), ("x@[192.0.2.1]", 250, "2.1.5")):
        reply = rcpt(server, sender)
        assert (reply[0], reply[1].split()[0].decode()) == (code, enhanced), (sender, reply)
    assert rcpt(server, "x@nowhere.test", "postmaster@example.test")[0] == 250
    assert re.search(r'return-path refused: rule return-path \(built in\) evidence="?x@nowhere.test[^ ]*"? ip=127.0.0.1 from=x@nowhere.test', server.log())


def test_dns_lists(fresh, zones):
    """From 127.0.0.5: a list that has 127.0.0.1 fails its self-test."""
    served = zones({"black.test": dns_list("127.0.0.5", reason="you send spam"), "friend.test": dns_list("127.0.0.5")})
    black = '{ zone = "black.test" }'
    server = fresh(f"dns_lists = {{ {black} }}\n" + served.settings())
    code, text = rcpt(server, "x@other.test", client="127.0.0.5")
    assert code == 554
    assert re.fullmatch(b"5.7.1 alice@example.test does not take this: your address 127.0.0.5 is listed by black.test: "
                        b"you send spam. Reference [0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", text)
    assert rcpt(server, "x@other.test")[0] == 250
    assert rcpt(server, "x@other.test", "postmaster@example.test", "127.0.0.5")[0] == 250
    assert rcpt(server, "x@other.test", "nobody@example.test", "127.0.0.5")[1].startswith(b"5.1.1")
    assert 'recipient refused: rule dnsbl (built in) evidence=black.test ip=127.0.0.5' in server.log()
    with server.smtp(587, source_address=("127.0.0.5", 0)) as smtp:
        smtp.starttls(context=unverified())
        smtp.login("alice@example.test", "sandbox")
        smtp.sendmail("alice@example.test", ["bob@example.test"], MESSAGE)
    server.stop()
    server.configure(f'dns_lists = {{ {black}, {{ zone = "friend.test", kind = "white" }} }}')
    server.start()
    assert rcpt(server, "x@other.test", client="127.0.0.5")[0] == 250
    server.stop()
    server.configure(f'dns_lists = {{ {black} }}\nclient_networks = {{ "127.0.0.4/30" }}')
    server.start()
    assert rcpt(server, "x@other.test", client="127.0.0.5")[0] == 250


def test_own_black_list(fresh):
    server = fresh()
    assert rcpt(server, "x@other.test")[0] == 250
    server.run("blacklist", "add", "127.0.0.0/8", "--reason", "spam source")
    wait_until(lambda: rcpt(server, "x@other.test")[0] == 554, "the refusal")
    assert rcpt(server, "x@other.test")[1].startswith(
        b"5.7.1 alice@example.test does not take this: your address 127.0.0.1 is listed by this site's black list: spam source. "
        b"Reference ")
    assert rcpt(server, "x@other.test", "postmaster@example.test")[0] == 250
    server.run("blacklist", "add", "!127.0.0.1")
    wait_until(lambda: rcpt(server, "x@other.test")[0] == 250, "the exception")

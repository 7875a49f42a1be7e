"""What another server is asked for and told, by what it says that it knows; and whom a report goes to."""
import pytest

from conftest import unverified, wait_until
from test_courier import HOST, QUICK, is_empty, reports, sends_to, submit

EIGHT_BIT = "Subject: out\r\n\r\nGr\u00fc\u00dfe\r\n".encode()


def envelope(there):
    return [line for line in there.lines if line.startswith(("MAIL", "RCPT"))]


def test_all_that_a_server_knows_is_used(fresh, peer):
    there = peer(keywords=("PIPELINING", "SIZE 100000", "8BITMIME", "SMTPUTF8", "DSN"))
    near = fresh(sends_to(there.port))
    submit(near, ["bob@one.test"], EIGHT_BIT, mail=["BODY=8BITMIME", "RET=HDRS", "ENVID=QQ+2B1"],
           rcpt=["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;b+2Bob@one.test"])
    is_empty(near)
    (_, _, body), = there.messages
    mail, rcpt = envelope(there)
    assert mail == f"MAIL FROM:<alice@example.test> SIZE={len(body)} BODY=8BITMIME RET=HDRS ENVID=QQ+2B1"
    assert rcpt == "RCPT TO:<bob@one.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bob@one.test"
    assert body.endswith(EIGHT_BIT.split(b"\r\n\r\n")[1])
    assert near.messages() == []  # the other server reports, not we


def test_nothing_is_asked_that_a_server_does_not_know(fresh, peer):
    there = peer(keywords=())
    near = fresh(sends_to(there.port))
    submit(near, ["bob@one.test"], mail=["RET=HDRS", "ENVID=QQ+2B1"], rcpt=["NOTIFY=FAILURE", "ORCPT=rfc822;b+2Bob@one.test"])
    is_empty(near)
    assert envelope(there) == ["MAIL FROM:<alice@example.test>", "RCPT TO:<bob@one.test>"]


@pytest.mark.parametrize("keywords, recipient, text, mail, status", [
    (("SIZE 2000", "8BITMIME"), "bob@one.test", b"Subject: large\r\n\r\n" + b"x" * 70 * 40 + b"\r\n", (), "5.3.4"),
    (("PIPELINING",), "bob@one.test", EIGHT_BIT, ("BODY=8BITMIME",), "5.6.3"),
    (("8BITMIME",), "b\u00f6b@one.test", EIGHT_BIT, ("BODY=8BITMIME", "SMTPUTF8"), "5.6.7"),
])
def test_what_a_server_cannot_take_is_not_tried(fresh, peer, keywords, recipient, text, mail, status):
    there = peer(keywords=keywords)
    near = fresh(sends_to(there.port))
    submit(near, [recipient], text, mail=mail)
    (message, _), = reports(near)
    is_empty(near)
    assert b"\nAction: failed\n" in message.as_bytes() and f"\nStatus: {status}\n".encode() in message.as_bytes()
    assert envelope(there) == [] and there.messages == []


def test_who_hears_of_a_delay_and_of_the_end(fresh, peer):
    there = peer({"RCPT": "451 4.3.0 not now"})
    near = fresh(sends_to(there.port, QUICK + 'courier.warn_after = "1s"\ncourier.give_up = "8s"'))
    near.run("alias", "add", "away@example.test", "nobody@one.test")
    near.send("Subject: a bounce\n\nof somebody\n", to="away@example.test", sender="")
    submit(near, ["end@one.test"], rcpt=["NOTIFY=FAILURE"])
    submit(near, ["delay@one.test"], rcpt=["NOTIFY=DELAY"])
    submit(near, ["never@one.test"], rcpt=["NOTIFY=NEVER"])
    is_empty(near)
    told = sorted((f["Final-Recipient"].removeprefix("rfc822; "), f["Action"]) for _, fields in reports(near, 4) for f in fields[1:])
    assert told == [("delay@one.test", "delayed"), ("end@one.test", "failed"), ("nobody@one.test", "delayed"),
                    ("nobody@one.test", "failed")]  # the last two as postmaster, who has that alias
    assert len(near.messages()) == 4
    assert near.log().count("failed, nobody is told") == 2


def test_the_days_allowance_is_an_accounts_own(fresh):
    near = fresh(HOST + "submission.daily_recipients = 3")
    near.run("queue", "pause", "out")

    def takes(who, *recipients):
        """The codes of RCPT; what is taken is sent."""
        with near.smtp(587) as smtp:
            smtp.starttls(context=unverified())
            smtp.login(f"{who}@example.test", "sandbox")
            smtp.mail(f"{who}@example.test")
            codes = [smtp.rcpt(recipient)[0] for recipient in recipients]
            if 250 in codes:
                assert smtp.data("Subject: out\r\n\r\nHello\r\n")[0] == 250
            return codes

    assert takes("alice", "a@one.test", "bob@example.test", "b@one.test") == [250, 250, 250]
    assert takes("alice", "c@one.test", "d@one.test", "e@two.test", "bob@example.test") == [250, 452, 452, 250]
    assert takes("bob", "a@one.test", "b@one.test", "c@one.test", "d@one.test") == [250, 250, 250, 452]
    # It outlives the process that counted, and mail to people here is none of it.
    assert near.stop() == 0
    near.start()
    assert takes("alice", "f@one.test", "bob@example.test") == [452, 250]
    wait_until(lambda: len(near.messages("bob@example.test")) == 3, "what went to bob")
    assert len(near.run_json("queue", "list")) == 6

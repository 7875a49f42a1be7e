"""Mail that was sent on for somebody and did not arrive there: who hears of it, and that nothing is lost."""
from conftest import wait_until
from test_courier import QUICK, is_empty, reports, sends_to, submit

BOB, CAROL = {"user": "bob@example.test"}, {"user": "carol@example.test"}
PRIVATE = "secret@private.test"
REFUSES = {"RCPT TO:<secret": f"550 5.1.1 <{PRIVATE}>: no such user"}


def enclosed(message):
    """The message in a report, as bytes."""
    part = list(message.iter_parts())[2]
    assert part.get_content_type() == "message/rfc822"
    return part.get_payload(0)


def parts_for(message, words):
    text = list(message.iter_parts())[0].get_content()
    return words in " ".join(text.split())


def forwards(server, keep, owner="bob@example.test", to=PRIVATE):
    server.run("rules", "set", owner, "forward=on", f"forward.to={to}", f"forward.keep={keep}")


def test_a_strangers_mail_comes_back_to_whom_it_was_for(fresh, peer):
    """... whole, also a large one, in bytes that are the stranger's own; the stranger hears nothing."""
    there = peer(dict(REFUSES))
    near = fresh(sends_to(there.port))
    forwards(near, "off")
    large = "Subject: large\r\n\r\n" + "".join(f"line {i} " + "x" * 60 + "\r\n" for i in range(20000))
    near.send("Subject: small\r\n\r\nGr\u00fc\u00dfe\r\n".encode(), "bob+shop@example.test", "stranger@else.test")
    near.send(large, "bob@example.test", "stranger@else.test")
    found = {enclosed(m)["Subject"]: (m, fields) for m, fields in reports(near, 2, **BOB)}
    is_empty(near)
    assert set(found) == {"small", "large"}
    message, (_, fields) = found["small"]
    assert message["To"] == "bob+shop@example.test" and message["Return-Path"] == "<>"
    assert message["Subject"] == "A message to you could not be sent on"
    assert (fields["Action"], fields["Final-Recipient"], fields["Status"]) == ("failed", f"rfc822; {PRIVATE}", "5.1.1")
    assert parts_for(message, "Its sender is not told") and "Gr\u00fc\u00dfe".encode() in message.as_bytes()
    assert enclosed(found["large"][0]).get_payload().replace("\r\n", "\n") == large.split("\r\n\r\n", 1)[1].replace("\r\n", "\n")
    assert there.messages == [] and {line[:5] for line in there.lines if PRIVATE in line} == {"RCPT "}
    assert len([line for line in there.lines if line.startswith("RCPT")]) == 2  # nothing left for the stranger
    assert len(near.messages(**BOB)) == 2 and near.messages() == []


def test_what_nobody_sent_comes_back_too(fresh, peer):
    there = peer(dict(REFUSES))
    near = fresh(sends_to(there.port))
    forwards(near, "on")
    near.send("Subject: a bounce\n\nof something\n", "bob@example.test", "")
    (message, _), = reports(near, 1, **BOB)
    assert enclosed(message)["Subject"] == "a bounce"
    is_empty(near)
    assert len(near.messages(**BOB)) == 2  # the copy that was kept, and the report


def test_only_who_sends_it_on_hears_and_the_postmaster_of_what_is_nobodys_own(fresh, peer):
    there = peer({**REFUSES, "RCPT TO:<office": "550 5.1.1 gone"})
    near = fresh(sends_to(there.port))
    forwards(near, "off")
    near.run("alias", "add", "team@example.test", "bob@example.test", "carol@example.test", "office@away.test")
    near.send("Subject: to all\n\nHello\n", "team@example.test", "stranger@else.test")
    (to_bob, (_, fields)), = reports(near, 1, **BOB)
    (to_alice, (_, others)), = reports(near)  # the sandbox's postmaster
    is_empty(near)
    assert fields["Final-Recipient"] == f"rfc822; {PRIVATE}" and others["Final-Recipient"] == "rfc822; office@away.test"
    assert (to_bob["To"], to_alice["To"]) == ("team@example.test", "postmaster@example.test")
    assert enclosed(to_alice)["Subject"] == "to all" and b"private.test" not in to_alice.as_bytes()
    carols, = near.messages(**CAROL)
    assert b"\nSubject: to all" in carols and there.messages == []


def test_a_full_mailbox_leaves_it_to_the_postmaster(fresh, peer):
    there = peer(dict(REFUSES))
    near = fresh(sends_to(there.port))
    forwards(near, "off")
    near.run("account", "set", "bob@example.test", "--quota", "1K")
    near.send("Subject: no room\n\nHello\n", "bob@example.test", "stranger@else.test")
    (message, _), = reports(near)
    is_empty(near)
    assert enclosed(message)["Subject"] == "no room" and near.messages(**BOB) == []


def test_a_postmaster_elsewhere_ends_the_round(fresh, peer):
    """A report that could not be sent on either is not reported about for ever."""
    there = peer({"RCPT": "550 5.1.1 nobody"})
    near = fresh(sends_to(there.port))
    near.run("alias", "remove", "postmaster@example.test")
    near.run("alias", "add", "postmaster@example.test", "boss@away.test")
    near.run("alias", "add", "office@example.test", "office@away.test")
    near.send("Subject: round\n\nHello\n", "office@example.test", "stranger@else.test")
    wait_until(lambda: near.log().count("failed number=") == 2, "the message's and the report's end")
    is_empty(near)
    assert len([line for line in there.lines if line.startswith("RCPT")]) == 2
    assert not [line for line in there.lines if "RCPT TO:<stranger" in line]


def test_a_delay_is_told_to_whom_it_is_for(fresh, peer):
    there = peer({"RCPT": "451 4.3.0 not now"})
    near = fresh(sends_to(there.port, QUICK + 'courier.warn_after = "1s"\ncourier.give_up = "8s"'))
    forwards(near, "off")
    near.send("Subject: slow\n\nHello\n", "bob@example.test", "stranger@else.test")
    first, second = sorted(reports(near, 2, **BOB), key=lambda r: r[1][1]["Action"])
    assert (first[1][1]["Action"], second[1][1]["Action"]) == ("delayed", "failed")
    assert list(first[0].iter_parts())[2].get_content_type() == "text/rfc822-headers"
    assert enclosed(second[0])["Subject"] == "slow"
    is_empty(near)
    assert there.messages == [] and len(near.messages(**BOB)) == 2


def test_a_member_hears_but_not_where_it_went(fresh, peer):
    there = peer(dict(REFUSES), keywords=("PIPELINING", "8BITMIME", "DSN"))
    near = fresh(sends_to(there.port))
    forwards(near, "off")
    submit(near, ["bob@example.test"])
    (message, (_, fields)), = reports(near)
    is_empty(near)
    assert (fields["Action"], fields["Final-Recipient"], fields["Status"]) == ("failed", "rfc822; bob@example.test", "5.1.1")
    assert b"private.test" not in message.as_bytes() and b"secret" not in message.as_bytes()
    assert near.messages(**BOB) == []


def test_success_is_said_of_the_address_that_was_named(fresh, peer):
    """Not asked of the other server, which would name its own."""
    there = peer(keywords=("PIPELINING", "8BITMIME", "DSN"))
    near = fresh(sends_to(there.port))
    forwards(near, "off")
    submit(near, ["bob@example.test"], rcpt=["NOTIFY=SUCCESS,FAILURE"])
    (message, (_, fields)), = reports(near)
    is_empty(near)
    assert (fields["Action"], fields["Final-Recipient"]) == ("relayed", "rfc822; bob@example.test")
    assert b"private.test" not in message.as_bytes()
    assert [line for line in there.lines if line.startswith("RCPT")] == [f"RCPT TO:<{PRIVATE}> NOTIFY=FAILURE"]


def test_to_oneself_is_no_forwarding(server):
    for to in ("bob@example.test", "bob+x@example.test", "BOB@example.test"):
        result = server.run("rules", "set", "bob@example.test", "forward=on", f"forward.to={to}", check=False)
        assert result.returncode == 65 and "leads back to the mailbox of bob@example.test itself" in result.stderr
    # What was there from before this was refused goes by the rule's name.
    server.run("alias", "add", "bob@example.test", "bob@example.test")
    assert "nothing" not in server.run("rules", "set", "bob@example.test", "forward=off").stdout
    assert "bob@example.test" not in server.run("alias", "list").stdout

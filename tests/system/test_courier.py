"""Mail that leaves: by the DNS to a second Ostiary, to scripted servers and to Postfix's smtp-sink; and what the sender is told."""
import email
import email.policy
import os
import re
import signal
import socket
import threading

from conftest import unverified, wait_until

HOST = 'hostname = "out.test"\n'
QUICK = 'courier.retry_first = "1s"\ncourier.retry_longest = "1s"\n'


def sends_to(port, more=""):
    return f'{HOST}courier.smart_host = "127.0.0.1:{port}"\ncourier.smart_host_tls = "none"\n{more}'


def submit(server, recipients, text="Subject: out\r\n\r\nHello\r\n", mail=(), rcpt=(), sender="alice@example.test"):
    with server.smtp(587) as smtp:
        smtp.starttls(context=unverified())
        smtp.login("alice@example.test", "sandbox")
        refused = smtp.sendmail(sender, recipients, text, mail_options=list(mail), rcpt_options=list(rcpt))
        assert not refused


def queue(server):
    return server.run_json("queue", "list")


def is_empty(server):
    wait_until(lambda: not queue(server), "an empty queue")


def reports(server, count=1, **who):
    """The reports in a maildrop, parsed: (message, [fields of the whole, fields of each recipient])."""
    def found():
        out = []
        for text in server.messages(**who):
            message = email.message_from_bytes(text, policy=email.policy.default)
            if message.get_content_type() == "multipart/report":
                status = next(p for p in message.iter_parts() if p.get_content_subtype().endswith("delivery-status"))
                out.append((message, [dict(group.items()) for group in status.get_payload()]))
        return out if len(out) >= count else None
    return wait_until(found, f"{count} report(s)")


def test_to_another_server_and_a_report_back(fresh, zones):
    far, dns = fresh(), zones({"far.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"})
    far.run("domain", "add", "far.test")
    far.run("alias", "add", "carol@far.test", "carol@example.test")
    near = fresh(f"{HOST}courier.port = {far.port(25)}\n{dns.settings()}")
    submit(near, ["carol@far.test", "nobody@far.test"])
    wait_until(lambda: any(b"Hello" in m for m in far.messages("carol@example.test")), "the message at the other server")
    (message, fields), = reports(near)
    assert message["From"] == "Mail delivery <MAILER-DAEMON@out.test>" and message["To"] == "alice@example.test"
    assert message["Auto-Submitted"] == "auto-replied" and message["Return-Path"] == "<>"
    assert len(fields) == 2
    assert fields[0]["Reporting-MTA"] == "dns; out.test"
    assert fields[1]["Final-Recipient"] == "rfc822; nobody@far.test"
    assert fields[1]["Action"] == "failed" and fields[1]["Status"] == "5.1.1"
    assert fields[1]["Remote-MTA"] == "dns; mx.far.test" and "no such person" in fields[1]["Diagnostic-Code"]
    text, _, original = message.iter_parts()
    assert "nobody@far.test" in text.get_content() and "carol" not in text.get_content()
    assert "Subject: out" in original.as_string() and "Hello" not in original.as_string()
    is_empty(near)
    assert "tls=TLSv1.3" in near.log()


def test_domains_that_take_no_mail(fresh, zones):
    dns = zones({"null.test": "@ IN MX 0 .\n", "bare.test": "a IN A 127.0.0.1\n", "loop.test": "@ IN MX 10 out.test.\n", "out.test": "@ IN A 127.0.0.1\n"})
    near = fresh(HOST + dns.settings())
    submit(near, ["a@null.test", "b@none.bare.test", "c@loop.test", "d@bare.test"])
    found = [fields[1] for _, fields in reports(near, 4)]
    assert {f["Final-Recipient"]: f["Status"] for f in found} == {
        "rfc822; a@null.test": "5.1.10", "rfc822; b@none.bare.test": "5.1.2", "rfc822; c@loop.test": "5.4.6", "rfc822; d@bare.test": "5.1.2"}
    is_empty(near)


def test_several_recipients_in_one_transaction(fresh, peer):
    there = peer({"RCPT TO:<bad": "550 5.1.1 nobody", "RCPT TO:<late": ["450 4.2.0 wait", "250 2.1.5 ok"]})
    near = fresh(sends_to(there.port, QUICK))
    submit(near, ["a@one.test", "b@one.test", "bad@one.test", "late@one.test"])
    (_, fields), = reports(near)
    assert fields[1]["Final-Recipient"] == "rfc822; bad@one.test" and len(fields) == 2
    is_empty(near)
    assert [[r.split(">")[0] for r in m[1]] for m in there.messages] == [["<a@one.test", "<b@one.test"], ["<late@one.test"]]
    assert all(b"Return-Path:" not in m[2] for m in there.messages)


def test_too_many_recipients_go_in_another_transaction(fresh, peer):
    there = peer({"RCPT TO:<x2": ["452 4.5.3 too many", "250 ok"], "RCPT TO:<x3": ["452 4.5.3 too many", "250 ok"]})
    near = fresh(sends_to(there.port))
    submit(near, [f"x{i}@one.test" for i in range(4)])
    is_empty(near)
    assert [len(m[1]) for m in there.messages] == [2, 2]
    assert "deferred" not in near.log()


def test_a_dead_host_and_a_retry(fresh, peer):
    there = peer()
    port = there.port
    there.close()
    near = fresh(sends_to(port))
    submit(near, ["bob@one.test"])
    entry = wait_until(lambda: next((e for e in queue(near) if e["attempts"]), None), "the first attempt")
    assert "refused" in entry["reply"]
    # What comes now waits with it: the host is known to be down.
    submit(near, ["carol@one.test"])
    wait_until(lambda: sum(e["attempts"] for e in queue(near)) == 2, "the second entry's deferral")
    there = peer(port=port)
    near.run("queue", "retry", "--all")
    is_empty(near)
    assert len(there.messages) == 2


def test_a_notice_of_delay_then_the_end(fresh, peer):
    there = peer({"RCPT": "451 4.3.0 not now"})
    near = fresh(sends_to(there.port, QUICK + 'courier.warn_after = "1s"\ncourier.give_up = "6s"\n'))
    submit(near, ["bob@one.test"])
    delayed, failed = (fields[1] for _, fields in reports(near, 2))
    assert delayed["Action"] == "delayed" and delayed["Status"] == "4.3.0" and "Will-Retry-Until" in delayed
    assert failed["Action"] == "failed" and failed["Status"] == "5.4.7" and "451 4.3.0 not now" in failed["Diagnostic-Code"]
    is_empty(near)
    assert len([m for m in near.messages()]) == 2


def test_what_the_sender_asked_for(fresh, peer):
    there = peer({"RCPT TO:<bad": "550 5.1.1 nobody"})
    near = fresh(sends_to(there.port))
    submit(near, ["bad@one.test"], rcpt=["NOTIFY=NEVER"])
    is_empty(near)
    submit(near, ["bob@example.test", "good@one.test"], mail=["RET=FULL", "ENVID=QQ+2B1"], rcpt=["NOTIFY=SUCCESS"])
    found = {fields[1]["Action"]: fields for _, fields in reports(near, 2)}
    assert set(found) == {"delivered", "relayed"}
    assert found["relayed"][1]["Final-Recipient"] == "rfc822; good@one.test" and found["relayed"][0]["Original-Envelope-Id"] == "QQ+1"
    submit(near, ["bad@one.test"], mail=["RET=FULL"])
    message = next(m for m, fields in reports(near, 3) if fields[1]["Action"] == "failed")
    assert "Hello" in list(message.iter_parts())[2].as_string()
    is_empty(near)
    assert len(near.messages()) == 3


def test_nobody_is_told_about_mail_from_nobody(fresh, peer):
    """A bounce that goes back where forwarded mail came from, and can't."""
    there = peer()
    near = fresh(sends_to(there.port))
    near.run("alias", "add", "away@example.test", "bob@one.test")
    near.send("Subject: forwarded\n\nHello\n", to="away@example.test", sender="someone@else.test")
    wait_until(lambda: there.messages, "the forwarded message")
    there.answers["RCPT"] = "550 5.1.1 nobody"
    near.send("Subject: a bounce\n\nof somebody\n", to=there.messages[0][0].split(">")[0].strip("<"), sender="")
    wait_until(lambda: "failed, nobody is told" in near.log(), "the end of it")
    is_empty(near)
    assert near.messages() == [] and there.lines.count("MAIL FROM:<> SIZE=") == 0
    assert any(line.startswith("MAIL FROM:<>") for line in there.lines)


def test_forwarded_mail_and_its_bounce(fresh, peer):
    there = peer()
    near = fresh(sends_to(there.port))
    near.run("alias", "add", "away@example.test", "bob@one.test")
    near.send("Subject: forwarded\n\nHello\n", to="away@example.test", sender="someone@else.test")
    wait_until(lambda: there.messages, "the forwarded message")
    srs = re.match(r"<(SRS0=\w{6}=\w\w=else.test=someone@example.test)>", there.messages[0][0])[1]
    near.send("Subject: bounce\n\nSorry\n", to=srs, sender="")
    wait_until(lambda: len(there.messages) == 2, "the bounce on its way")
    assert there.messages[1][0].startswith("<>") and there.messages[1][1][0].startswith("<someone@else.test>")
    is_empty(near)


def test_pausing_loses_nothing(fresh, peer):
    there = peer()
    near = fresh(sends_to(there.port))
    near.run("queue", "pause", "out")
    wait_until(lambda: "sending is paused" in near.log(), "the pause")
    submit(near, ["bob@one.test"])
    assert len(queue(near)) == 1 and there.sessions == 0
    near.run("queue", "resume", "out")
    is_empty(near)
    assert len(there.messages) == 1


def courier_pid(server):
    return wait_until(lambda: next((pid for pid, words in server.children().items() if "courier" in words.split()), None), "a courier")


def test_killed_in_the_middle(fresh, peer):
    there = peer()
    near = fresh(sends_to(there.port))
    near.run("queue", "pause", "out")
    count, kills = 150, 4
    with near.smtp(587) as smtp:
        smtp.starttls(context=unverified())
        smtp.login("alice@example.test", "sandbox")
        for i in range(count):
            smtp.sendmail("alice@example.test", [f"x{i}@one.test"], f"Subject: {i}\r\n\r\nHello\r\n")
    near.run("queue", "resume", "out")
    for kill in range(kills):
        before = len(there.messages)
        wait_until(lambda: len(there.messages) >= min(before + 20, count), "some messages")
        pid = courier_pid(near)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: courier_pid(near) != pid, "a new courier")
    is_empty(near)
    copies = {}
    for _, recipients, _ in there.messages:
        for r in recipients:
            copies[r] = copies.get(r, 0) + 1
    assert len(copies) == count
    # A crash swallows the replies of at most the connections that are open.
    assert sum(copies.values()) - count <= kills * 20 and max(copies.values()) <= 1 + kills


def test_stopping_ends_what_is_in_hand(fresh, peer):
    there = peer()
    near = fresh(sends_to(there.port))
    near.run("queue", "pause", "out")
    submit(near, [f"x{i}@one.test" for i in range(50)])
    near.run("queue", "resume", "out")
    assert near.stop() == 0
    near.start()
    is_empty(near)
    seen = [r for m in there.messages for r in m[1]]
    assert sorted(set(seen)) == sorted(seen) and len(seen) == 50


def test_a_large_message_and_dots(fresh, peer):
    there = peer()
    near = fresh(sends_to(there.port))
    body = "".join(f".line {i} {'x' * 60}\r\n" for i in range(60000))
    submit(near, ["bob@one.test"], "Subject: large\r\n\r\n" + body)
    wait_until(lambda: there.messages, "the message")
    assert there.messages[0][2].decode().endswith("\r\n\r\n" + body)
    is_empty(near)


def test_a_mailing_list(fresh, peer):
    there = peer({"RCPT TO:<gone": "550 5.1.1 nobody"})
    near = fresh(sends_to(there.port))
    near.run("mailinglist", "add", "talk@example.test", "--name", "Talk", "--owner", "alice@example.test")
    near.run("mailinglist", "join", "talk@example.test", "bob@example.test", "dora@one.test", "gone@two.test")
    submit(near, ["talk@example.test"], "Subject: to all\r\nList-Id: <other.list>\r\nPrecedence: bulk\r\n\r\nHello\r\n")
    copy = wait_until(lambda: near.messages("bob@example.test"), "the member's copy")[0]
    message = email.message_from_bytes(copy)
    assert message.get_all("List-Id") == ['"Talk" <talk.example.test>'] and message.get_all("Precedence") == ["list"]
    assert message["List-Post"] == "<mailto:talk@example.test>" and message["List-Owner"] == "<mailto:alice@example.test>"
    assert message["Return-Path"] == "<talk-bounces@example.test>"
    is_empty(near)
    (sender, recipients, body), = there.messages
    assert re.match(r"<talk-bounces\+\d+-\w{6}@example.test>", sender) and recipients[0].startswith("<dora@one.test>")
    assert b"Subject: to all" in body and b"other.list" not in body

    # The bounce is counted for the member and goes to nobody.
    def is_counted():
        shown = str(near.run_json("mailinglist", "show", "talk@example.test"))
        return "gone@two.test" in shown and re.search(r"'bounces': 1\b", shown)
    wait_until(is_counted, "the count of bounces")
    # A copy that comes back goes round no more.
    near.send(copy.replace(b"\n", b"\r\n"), to="talk@example.test", sender="alice@example.test")
    wait_until(lambda: "been through this mailing list" in near.log(), "the end of the loop")
    is_empty(near)
    assert len(near.messages("bob@example.test")) == 1 and len(there.messages) == 1
    assert near.messages() == []


def test_the_next_hop_is_asked_for_names(fresh, peer):
    there = peer({"RCPT TO:<unknown": "550 5.1.1 nobody"})
    near = fresh(HOST)
    near.run("domain", "add", "old.test", "--backup", "--next-hop", f"127.0.0.1:{there.port}")
    with near.smtp() as smtp:
        smtp.ehlo()
        smtp.mail("someone@example.test")
        assert smtp.rcpt("unknown@old.test")[0] == 550
        assert smtp.rcpt("known@old.test")[0] == 250
        assert smtp.rcpt("unknown@old.test")[0] == 550
    asked = [line for line in there.lines if line.startswith("RCPT")]
    assert len(asked) == 2


def test_a_smart_host_with_a_password(fresh):
    far = fresh()
    far.run("domain", "add", "far.test")
    far.run("alias", "add", "carol@far.test", "carol@example.test")
    certificate = re.search(r'certificate = "([^"]+)"', far.config.read_text())[1]
    near = fresh()
    secret = near.directory / "password"
    secret.write_text("wrong\n")
    near.configure(f'{HOST}courier.smart_host = "127.0.0.1:{far.port(587)}"\ncourier.smart_host_tls = "starttls"\n'
                   f'courier.smart_host_user = "alice@example.test"\ncourier.smart_host_password_file = "{secret}"\n')
    near.stop()
    near.start()
    # Nobody vouches for its certificate: nothing is sent, the password least of all.
    submit(near, ["carol@far.test"])
    wait_until(lambda: any("encrypted connection" in e["reply"] for e in queue(near)), "the refusal of its certificate")
    assert "mechanism" not in far.log()
    near.configure(f'courier.ca_file = "{certificate}"\n')
    near.reload()
    wait_until(lambda: "configuration read again" in near.log(), "the new configuration")
    near.run("queue", "retry", "--all")
    wait_until(lambda: any("535" in e["reply"] for e in queue(near)), "the refusal of the password")
    secret.write_text("sandbox\n")
    near.reload()
    wait_until(lambda: near.log().count("configuration read again") == 2, "the new password")
    near.run("queue", "retry", "--all")
    is_empty(near)
    assert any(b"Hello" in m for m in far.messages("carol@example.test"))
    assert "wrong" not in near.log()


def test_a_worse_host_when_the_best_is_down(fresh, peer, zones):
    there = peer()
    dns = zones({"two.test": "@ IN MX 10 dead\n@ IN MX 20 alive\ndead IN A 127.0.0.2\nalive IN A 127.0.0.1\n"})
    near = fresh(f"{HOST}courier.port = {there.port}\n{dns.settings()}")
    submit(near, ["bob@two.test"])
    is_empty(near)
    assert len(there.messages) == 1 and "host=dead.two.test" in near.log() and "deferred" not in near.log()


def test_a_greeting_that_refuses(fresh, peer):
    there = peer(greeting="554 5.7.1 not you")
    near = fresh(sends_to(there.port))
    submit(near, ["a@one.test", "b@one.test"])
    (_, fields), = reports(near)
    assert [f["Status"] for f in fields[1:]] == ["5.7.1", "5.7.1"]
    is_empty(near)


def test_given_up_by_the_administrator(fresh, peer):
    there = peer({"RCPT": "450 4.2.0 later"})
    near = fresh(sends_to(there.port))
    submit(near, ["bob@one.test"])
    wait_until(lambda: any(e["attempts"] for e in queue(near)), "the first attempt")
    near.run("queue", "bounce", "--all")
    (message, fields), = reports(near)
    assert fields[1]["Action"] == "failed" and "450 4.2.0 later" in fields[1]["Diagnostic-Code"]
    is_empty(near)


def test_another_host_may_take_what_the_first_refuses_at_its_greeting(fresh, peer, zones):
    refuses = peer(greeting="554 no service for you")
    takes = peer(port=refuses.port, host="127.0.0.2")
    dns = zones({"far.test": "@ IN MX 10 a\n@ IN MX 20 b\na IN A 127.0.0.1\nb IN A 127.0.0.2\n", "sulky.test": "@ IN MX 10 a\na IN A 127.0.0.1\n"})
    near = fresh(f"{HOST}courier.port = {refuses.port}\n{dns.settings()}")
    submit(near, ["carol@far.test", "dave@sulky.test"])
    (_, fields), = reports(near)
    assert fields[1]["Final-Recipient"] == "rfc822; dave@sulky.test" and "554" in fields[1]["Diagnostic-Code"]
    is_empty(near)
    assert refuses.sessions == 2 and [m[1] for m in takes.messages] == [["<carol@far.test>"]]


def test_a_next_hop_that_is_this_server_is_no_reason_to_bounce(fresh):
    """A mistake in the settings, which somebody mends."""
    near = fresh(HOST + QUICK)
    near.configure(f'{HOST}{QUICK}courier.smart_host = "127.0.0.1:{near.port(25)}"\ncourier.smart_host_tls = "none"\n')
    near.reload()
    submit(near, ["carol@far.test"])
    wait_until(lambda: [e for e in queue(near) if e["attempts"] and "itself" in e["reply"]], "an attempt that is deferred")
    assert len(near.messages()) == 0


def test_pausing_while_others_wait_for_a_connection(fresh, peer, zones):
    """Destinations that starve are forgotten by a pause, and by those who would have fed them."""
    go_on, there = threading.Event(), peer()
    there.answer = lambda line, default, plain=there.answer: (go_on.wait(30), plain(line, default))[1]
    record = "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"
    dns = zones({"a.test": record, "b.test": record, "c.test": record})
    near = fresh(f"{HOST}courier.connections = 1\ncourier.port = {there.port}\n{dns.settings()}")
    before = courier_pid(near)
    submit(near, ["x@a.test"])
    wait_until(lambda: there.sessions, "a connection")
    submit(near, ["x@b.test", "x@c.test"])
    near.run("queue", "pause", "out")
    wait_until(lambda: "sending is paused" in near.log(), "the pause")
    go_on.set()
    wait_until(lambda: there.messages, "the message in hand")
    near.run("queue", "resume", "out")
    is_empty(near)
    assert sorted(m[1] for m in there.messages) == [["<x@a.test>"], ["<x@b.test>"], ["<x@c.test>"]]
    assert courier_pid(near) == before


def test_a_domain_that_becomes_ours_while_its_mail_waits(fresh, zones):
    dns = zones({"new.test": "@ IN MX 10 out.test.\n", "out.test": "@ IN A 127.0.0.1\n"})
    near = fresh(f"{HOST}courier.retry_first = \"1s\"\n{dns.settings()}")
    near.run("queue", "pause", "out")
    submit(near, ["carol@new.test", "nobody@new.test", "dave@else.new.test"])
    near.run("domain", "add", "new.test")
    near.run("alias", "add", "carol@new.test", "bob@example.test")
    near.run("queue", "resume", "out")
    wait_until(lambda: any(b"Hello" in m for m in near.messages("bob@example.test")), "the message, here")
    found = [f for _, fields in reports(near, 2) for f in fields[1:]]
    assert {f["Final-Recipient"]: f["Status"] for f in found} == {"rfc822; nobody@new.test": "5.1.1", "rfc822; dave@else.new.test": "5.1.2"}
    is_empty(near)
    assert len(near.messages("bob@example.test")) == 1


def test_a_server_that_is_too_busy_says_why(fresh, peer):
    there = peer({"MAIL": "421 4.3.2 too busy today"})
    near = fresh(sends_to(there.port))
    submit(near, ["bob@one.test"])
    entry, = wait_until(lambda: [e for e in queue(near) if e["attempts"]], "an attempt")
    assert "too busy today" in entry["reply"]


def test_a_server_that_never_greets_does_not_hold_up_the_others(fresh, peer, zones):
    there = peer()
    dns = zones({"mute.test": "@ IN MX 10 mx\nmx IN A 127.0.0.2\n", "quick.test": "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"})
    with socket.create_server(("127.0.0.2", there.port)):
        near = fresh(f"{HOST}courier.connections = 3\ncourier.port = {there.port}\n{dns.settings()}")
        for i in range(6):
            submit(near, [f"x{i}@mute.test"])
        submit(near, ["bob@quick.test"])
        wait_until(lambda: there.messages, "the other's mail")
        assert len(queue(near)) == 6 and "deferred" not in near.log()


def test_a_long_queue_for_a_dead_host_is_not_an_attempt_for_each(fresh, peer):
    there = peer()
    there.close()
    near = fresh(sends_to(there.port, QUICK))
    with near.smtp(587) as smtp:
        smtp.starttls(context=unverified())
        smtp.login("alice@example.test", "sandbox")
        for i in range(40):
            smtp.sendmail("alice@example.test", [f"x{i}@one.test"], "Subject: out\r\n\r\nHello\r\n")
    wait_until(lambda: near.log().count(" deferred ") >= 400, "ten rounds")
    assert near.log().count("no connection host=") * 4 < near.log().count(" deferred ")

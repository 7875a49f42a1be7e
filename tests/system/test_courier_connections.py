"""How many connections mail to one destination gets, and how many messages each of them takes: counted by the other side."""
from conftest import unverified, wait_until
from scripted_server import Gate
from test_courier import HOST, is_empty, queue, sends_to, submit

TAKEN = "250 2.0.0 taken"
FIRST = 5  # connections that a destination begins with


def submit_many(server, count, to="x{}@one.test"):
    """Kept back until all are in the queue."""
    server.run("queue", "pause", "out")
    with server.smtp(587) as smtp:
        smtp.starttls(context=unverified())
        smtp.login("alice@example.test", "sandbox")
        for i in range(count):
            smtp.sendmail("alice@example.test", [to.format(i)], f"Subject: {i}\r\n\r\nHello\r\n")
    server.run("queue", "resume", "out")


def stand(there, gate, count):
    """So many messages are sent and wait for their reply: so many connections, and never more."""
    wait_until(lambda: gate.waiting == count, f"{count} connections at a time, not {gate.waiting}")
    assert there.open == there.most == count


def test_a_destination_opens_up_with_every_success(fresh, peer):
    gate = Gate(TAKEN)
    there = peer({".": gate})
    near = fresh(sends_to(there.port, "courier.connections_per_destination = 8"))
    submit_many(near, 40)
    stand(there, gate, FIRST)
    for count in (6, 7, 8):
        gate.let(1)
        stand(there, gate, count)
    for taken in (4, 5, 6):
        gate.let(1)
        wait_until(lambda: len(there.messages) == taken, "one more message")
        stand(there, gate, 8)
    gate.let()
    is_empty(near)
    # Each message once, and each connection took one after the other.
    assert sorted(r for m in there.messages for r in m[1]) == sorted(f"<x{i}@one.test>" for i in range(40))
    assert there.most == there.sessions == 8


def test_no_more_connections_than_messages(fresh, peer):
    gate = Gate(TAKEN)
    there = peer({".": gate})
    near = fresh(sends_to(there.port))
    submit_many(near, 3)
    stand(there, gate, 3)
    gate.let()
    is_empty(near)
    assert there.sessions == there.most == 3


def test_a_destination_that_turns_connections_away_is_asked_less_often(fresh, peer):
    """It has room for eight: a ninth is turned away, and then it takes five successes until the next is tried."""
    gate = Gate(TAKEN)
    there = peer({".": gate}, room=8)
    near = fresh(sends_to(there.port, "courier.connections_per_destination = 20"))
    submit_many(near, 40)
    stand(there, gate, FIRST)
    for count in (6, 7, 8):
        gate.let(1)
        stand(there, gate, count)
    for turned_away, successes in ((1, 1), (2, 5), (3, 5)):
        for _ in range(successes):
            assert there.sessions == 8 + turned_away - 1
            before = len(there.messages)
            gate.let(1)
            wait_until(lambda: len(there.messages) == before + 1, "one more message")
            stand(there, gate, 8)
        wait_until(lambda: near.log().count("host not usable now") == turned_away, "an attempt")
        assert there.sessions == 8 + turned_away
    gate.let()
    is_empty(near)
    assert len(there.messages) == 40 and there.most == 8 and "deferred" not in near.log()


def test_a_destination_that_was_down_begins_with_half_as_many(fresh, peer):
    gate, there = Gate(TAKEN), peer()
    port = there.port
    there.close()
    near = fresh(sends_to(port))
    submit_many(near, 12)
    wait_until(lambda: all(e["attempts"] == 1 for e in queue(near)), "the first attempt")
    # It is known to be down: not each message is an attempt.
    assert near.log().count("no connection host=") <= 2
    there = peer({".": gate}, port=port)
    near.run("queue", "retry", "--all")
    stand(there, gate, FIRST // 2)
    gate.let(1)
    stand(there, gate, FIRST // 2 + 1)
    gate.let()
    is_empty(near)
    assert len(there.messages) == 12


def test_a_destination_that_does_not_greet_holds_two(fresh, peer):
    gate = Gate("220 peer.test")
    there = peer({"GREETING": gate})
    near = fresh(sends_to(there.port))
    submit_many(near, 12)
    wait_until(lambda: gate.waiting == 2, "two connections")
    assert there.sessions == 2
    gate.let()
    is_empty(near)
    assert len(there.messages) == 12


def test_all_destinations_share_the_connections(fresh, peer, zones):
    gate = Gate(TAKEN)
    there = peer({".": gate})
    dns = zones({f"d{i}.test": "@ IN A 127.0.0.1" for i in range(6)})
    near = fresh(f"{HOST}courier.connections = 3\ncourier.port = {there.port}\n{dns.settings()}")
    submit(near, [f"x@d{i}.test" for i in range(6)])
    stand(there, gate, 3)
    gate.let()
    is_empty(near)
    assert len(there.messages) == 6 and there.most == 3


# ---- Connections are reused, recipients share a transaction ----


def test_one_connection_takes_all(fresh, peer):
    gate = Gate(TAKEN)
    there = peer({".": gate})
    near = fresh(sends_to(there.port, "courier.connections_per_destination = 1"))
    submit_many(near, 25)
    stand(there, gate, 1)
    submit(near, ["later@one.test"])  # while the connection stands
    gate.let()
    is_empty(near)
    assert (there.sessions, len(there.messages)) == (1, 26)
    assert [line for line in there.lines if line.startswith("EHLO")] == ["EHLO out.test"]


def test_as_many_as_the_other_server_wants(fresh, peer):
    """RFC 9422: ten messages a connection, three recipients a message."""
    there = peer(keywords=("PIPELINING", "LIMITS MAILMAX=10 RCPTMAX=3"))
    near = fresh(sends_to(there.port, "courier.connections_per_destination = 1"))
    submit_many(near, 25)
    is_empty(near)
    assert (there.sessions, len(there.messages)) == (3, 25)
    there.messages.clear()
    submit(near, [f"x{i}@one.test" for i in range(10)])
    is_empty(near)
    assert [len(m[1]) for m in there.messages] == [3, 3, 3, 1]


def test_recipients_of_a_domain_share_a_transaction(fresh, peer, zones):
    """A hundred at most (RFC 5321 section 4.5.3.1.8); another domain is another transaction."""
    there = peer()
    record = "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"
    dns = zones({"one.test": record, "two.test": record})
    near = fresh(f"{HOST}courier.connections_per_destination = 1\ncourier.port = {there.port}\n{dns.settings()}")
    submit(near, [f"x{i}@one.test" for i in range(130)] + [f"y{i}@two.test" for i in range(20)])
    is_empty(near)
    taken = sorted((m[1][0].split("@")[1].rstrip(">"), len(m[1])) for m in there.messages)
    assert taken == [("one.test", 30), ("one.test", 100), ("two.test", 20)]
    assert there.sessions == 2
    assert len({r for m in there.messages for r in m[1]}) == 150

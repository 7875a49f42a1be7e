"""What the comparison with other servers is made of, without measuring anything: rows, the page, the plot and the text that is sent."""
import pathlib
import sys
import xml.etree.ElementTree

import pytest

BENCH = pathlib.Path(__file__).resolve().parent.parent.parent / "bench"


@pytest.fixture(autouse=True)
def bench_modules(monkeypatch):
    """Its modules have names that this folder uses, too."""
    known = dict(sys.modules)
    monkeypatch.setattr(sys, "path", [str(BENCH / "peers"), str(BENCH), *sys.path])
    yield
    for name in set(sys.modules) - set(known):
        if str(BENCH) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def results(own, other, better="higher"):
    return {"machine": {"processor": "a <fast> one", "cores": 2, "kernel": "6.1"}, "counted": "by hand",
            "peers": {"other": {"title": "Other & Co", "version": "1", "durability": "all"}, "ostiary": {"title": "Ostiary", "version": "2", "durability": "all"}},
            "rows": [{"part": "pop3", "name": "RETR", "unit": "messages/s", "better": better, "labels": {}, "notes": {}, "date": "2026-01-01",
                      "rounds": {"other": other, "ostiary": own}}]}


@pytest.mark.parametrize("own, other, better, ratio, within", [
    ([10, 30, 20], [5, 10, 8], "higher", 2.5, True),
    ([10, 30, 20], [5, 9, 8], "higher", 2.5, False),
    ([10, 30, 20], [5, 9, 8], "lower", 0.4, False),
    ([4], [8], "lower", 2.0, False),
    ([], [8], "lower", None, False),
    ([4], [], "lower", None, False),
    ([0], [8], "lower", None, False),
])
def test_ratio(own, other, better, ratio, within):
    import compare
    row = compare.rows_of(results(own, other, better))[0]
    assert compare.ratio(row) == ratio and compare.is_within_spread(row) == within


@pytest.mark.parametrize("value, text", [(0, "0"), (0.1234, "0.12"), (12.34, "12.3"), (123.4, "123"), (1234, "1,230"), (123456, "123,000"), (999.6, "1000")])
def test_number(value, text):
    import compare
    assert compare.number(value) == text


def test_a_row_behind_says_why_or_that_nobody_knows(monkeypatch):
    import report
    monkeypatch.setattr(report, "REASONS", ((r"^pop3: RETR", "because it is."),))
    assert "0.50 × [1]" in report.text(results([5], [10])) and "1. because it is." in report.text(results([5], [10]))
    monkeypatch.setattr(report, "REASONS", ())
    assert "1. not explained yet." in report.text(results([5], [10]))
    assert "**2.00 ×**" in report.text(results([10], [5])) and "behind:" not in report.text(results([10], [5]))


@pytest.mark.parametrize("own, other, is_log", [([1000.0], [1.0], True), ([3.0], [2.0], False), ([0.5], [0.0], False), ([0.0], [0.0], False)])
def test_plot(own, other, is_log):
    import compare
    import plot
    made = results(own, other)
    text = plot.draw(made, compare.rows_of(made), {"pop3": "A & B"})
    words = [element.text for element in xml.etree.ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
    assert {"A & B", "RETR", "Other & Co", "Ostiary"} <= set(words)
    assert any("logarithmic" in w for w in words) == is_log
    widths = [float(e.get("width")) for e in xml.etree.ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}rect") if e.get("width") != "100%"]
    assert max(widths) <= plot.BARS and min(widths) >= 1


def test_parts_are_measured_anew_one_at_a_time():
    import compare
    import run
    earlier, now = results([1], [2]), results([3], [4])
    earlier["rows"].append({**earlier["rows"][0], "part": "receive", "date": "2025-12-31"})
    now["rows"][0]["date"], now["partly"] = "2026-01-02", []
    both = run.joined(earlier, now)
    assert [(row["part"], row["rounds"]["ostiary"]) for row in both["rows"]] == [("receive", [1]), ("pop3", [3])]
    now["partly"] = ["receive"]
    now["rows"] = [{**earlier["rows"][1], "rounds": {"ostiary": [5]}, "name": "another"}, {**earlier["rows"][1], "rounds": {"ostiary": [6]}}]
    partly = run.joined(earlier, now)
    assert sorted((row["part"], row["name"], row["rounds"]["ostiary"]) for row in partly["rows"] if row["part"] == "receive") == [
        ("receive", earlier["rows"][1]["name"], [6]), ("receive", "another", [5])]
    assert compare.dates(both) == "2025-12-31 to 2026-01-02"


def test_figures_of_another_machine_or_version_are_not_kept():
    import run
    earlier, now = results([1], [2]), {**results([3], [4]), "rows": [], "partly": []}
    assert [row["rounds"] for row in run.joined(earlier, now)["rows"]] == [{"ostiary": [1], "other": [2]}]
    now["peers"] = {**now["peers"], "ostiary": {**now["peers"]["ostiary"], "version": "3"}}
    assert [row["rounds"] for row in run.joined(earlier, now)["rows"]] == [{"other": [2]}]
    now["machine"] = {**now["machine"], "cores": 64}
    assert run.joined(earlier, now)["rows"] == []


def test_the_page_says_what_was_not_measured():
    import report
    shown = report.text(results([5], [10]))
    assert "Not measured yet: Receiving" in shown and "; POP3" not in shown
    one = results([5], [10])
    one["rows"][0].update(part="receive", name="4 KiB, 1 session, new connections, 1 recipient")
    assert "Only 1 of the 72 kinds" in report.text(one)


@pytest.mark.parametrize("before, a_second, each, pace", [
    (0, 100, None, 100), (0, 21, 2500, 84), (84, 84, 2500, 336), (1000, 100, 1000, 500), (0, 1000, 1, 4000), (0, 0, 100, 0)])
def test_a_slow_servers_rounds_grow(monkeypatch, before, a_second, each, pace):
    import measure
    monkeypatch.setattr(measure.os, "cpu_count", lambda: 2)
    assert measure.next_pace(before, a_second, each) == pace


def test_each_program_leaves_the_others_part_of_the_page(tmp_path):
    import page
    path = tmp_path / "RESULTS.md"
    page.put("own", "## One\n\ntext", path)
    page.put("peers", "## Two\n", path)
    page.put("own", "## Three", path)
    assert page.split(path.read_text()) == {"peers": "## Two", "own": "## Three"}
    assert path.read_text().index("Two") < path.read_text().index("Three")
    with pytest.raises(ValueError):
        page.put("nobody's", "", path)
    assert page.join(page.split(page.PAGE.read_text())) == page.PAGE.read_text()


def test_the_text_is_the_same_each_time_and_can_be_sent_as_it_is():
    import mail_text
    one, two = mail_text.Mail(), mail_text.Mail()
    sizes = []
    for number in range(200):
        text = one.message(number)
        sizes.append(len(text))
        assert text == two.message(number) and text.endswith(b"\r\n")
        assert b"\r\n." not in text and b"\n" not in text.replace(b"\r\n", b"") and max(map(len, text.split(b"\r\n"))) <= 998
    assert 1000 < min(sizes) and 30000 < max(sizes) < 43000
    assert 3500 < len(one.message(1, 4096)) < 4700


def test_what_is_received_is_mail_of_the_size_that_is_named():
    import measure_receive
    for size in measure_receive.SIZES.values():
        text = measure_receive.message(size)
        assert text == measure_receive.message(size) and size - 80 < len(text) <= size
        assert text.endswith(b"\r\n") and b"\n" not in text.replace(b"\r\n", b"") and max(map(len, text.split(b"\r\n"))) <= 998


def test_rounds_are_as_long_for_slow_servers_as_for_fast_ones():
    import measure_receive
    small, large = (10, "4 KiB", True, 1, False), (10, "1 MiB", True, 20, False)
    assert [measure_receive.limited(small, a_second) for a_second in (1, 1000, 1e9)] == [10, 1000, measure_receive.MOST]
    assert measure_receive.limited(large, 1e9) == 10
    cells = measure_receive.cells(False)
    assert len(cells) == len(set(cells)) == 72 and (50, "1 MiB", False, 1, True) in cells and set(measure_receive.cells(True)) <= set(cells)


@pytest.mark.parametrize("name, ends", [("exim", False), ("ostiary", True)])
def test_a_peer_that_fails_is_noted_and_we_are_not(name, ends):
    import measure
    import peer

    class Server:
        title = "A server"
        stop = empty_queue = clear = start = lambda self: None

    server, row = Server(), measure.Row("receive", "x", "messages/s", "higher")
    server.name = name
    tries = []

    def once(who, number):
        tries.append(number)
        row.add(who, 1)
        if number == 1:
            raise peer.BenchError("it said 451")

    if ends:
        with pytest.raises(peer.BenchError):
            measure.alternate([server], 3, measure.once_or_note(once, [row]))
        return
    measure.alternate([server], 3, measure.once_or_note(once, [row]))
    assert tries == [0, 1] and name not in row.rounds and row.notes == {name: "A server failed: it said 451"}

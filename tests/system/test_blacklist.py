"""The site's own black list: its files, the helper that compiles them, the commands that edit it, and what the gate does with it."""
import json
import os
import re
import signal
import smtplib

import pytest

from conftest import wait_until


def lists_read(server):
    return server.log().count("black list read")


def read_again(server, act):
    before = lists_read(server)
    act()
    wait_until(lambda: lists_read(server) > before, "another reading of the black list")


def test_the_files_are_read_at_start_and_on_sighup(fresh):
    server = fresh()
    assert "black list read entries=0" in server.log()
    other = server.directory / "blocked.txt"
    other.write_text("192.0.2.1 spam\n10.0.0.999\ninclude more.txt\n")
    (server.directory / "more.txt").write_text("2001:db8::/32\nwhat is this?\nwhat?\n.example.org\n")
    (server.directory / "data" / "blacklist.txt").write_text("198.51.100.0/24\n")
    os.chmod(server.directory, 0o755)
    server.configure(f'blacklist.files = {{ "{other}" }}')
    read_again(server, server.reload)
    log = server.log()
    assert re.search(r"black list read entries=4 ranges=3 names=1 problems=3", log), log
    assert f"{other}:2: \"'10.0.0.999' is no IP address\"" in log
    assert f"{server.directory}/more.txt:2: " in log


def test_a_million_lines_and_a_damaged_helper_leave_a_server(fresh):
    server = fresh()
    path = server.directory / "data" / "blacklist.txt"
    path.write_text("".join(f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255} x\n" for i in range(200000)))
    read_again(server, lambda: server.process.send_signal(signal.SIGUSR1))
    assert "entries=200000 ranges=1" not in server.log() and "entries=200000" in server.log()
    path.unlink()
    path.mkdir()  # no file any more: the list is what remains
    read_again(server, lambda: server.process.send_signal(signal.SIGUSR1))
    assert "it is no ordinary file" in server.log() and server.greets(25)

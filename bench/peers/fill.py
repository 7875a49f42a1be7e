"""Puts mail-like messages into a server's mailboxes by SMTP or LMTP. Nobody measures this client: it only has to be fast enough."""
import multiprocessing
import socket
import time

import mail_text
import peer

CONNECTION = 100  # messages, then a new one: some servers close after so many
PATIENCE = 120
# Workers are forked and inherit it: the words are made once a run.
mail = None


class Client:
    def __init__(self, port, is_lmtp):
        self.port, self.is_lmtp, self.socket, self.sent, self.pipelines = port, is_lmtp, None, 0, False

    def need(self, expected):
        """The lines of the next reply, which must begin so."""
        lines = []
        while not lines or lines[-1][3:4] == "-":
            line = self.file.readline()
            if not line:
                raise peer.BenchError("the server closed the connection in the middle of a message")
            lines.append(line.decode(errors="replace").strip())
        if not lines[-1].startswith(expected):
            raise peer.BenchError(f"a message was not taken: '{lines[-1]}'")
        return lines

    def say(self, *commands):
        """All at once where the server offers it (RFC 2920): (command, the reply that is wanted)."""
        if self.pipelines:
            self.socket.sendall(b"".join(text for text, _ in commands))
        for text, expected in commands:
            if not self.pipelines:
                self.socket.sendall(text)
            self.need(expected)

    def open(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        self.file = self.socket.makefile("rb")
        self.need("220")
        self.socket.sendall(b"LHLO load.test\r\n" if self.is_lmtp else b"EHLO load.test\r\n")
        self.pipelines = any(line[4:] == "PIPELINING" for line in self.need("250"))

    def close(self):
        if self.socket:
            self.socket.sendall(b"QUIT\r\n")
            self.file.close()
            self.socket.close()
        self.socket = None

    def send(self, to, text):
        if not self.socket:
            self.open()
        self.say((b"MAIL FROM:<load@sender.test>\r\n", "250"), (f"RCPT TO:<{to}>\r\n".encode(), "250"), (b"DATA\r\n", "354"))
        self.socket.sendall(text + b".\r\n")
        self.need("250")
        self.sent += 1
        if self.sent % CONNECTION == 0:
            self.close()


def work(port, is_lmtp, number, workers, count, address, size, deadline, results):
    """Messages number, number + workers, ... until `count` or the deadline; tells how many and how many bytes, or what was wrong."""
    client, octets, done, n = Client(port, is_lmtp), 0, 0, number
    try:
        while n < count and time.monotonic() < deadline:
            text = mail.message(n, size)
            client.send(address(n), text)
            octets += len(text)
            done += 1
            n += workers
        client.close()
        results.put((done, octets, None))
    except (OSError, peer.BenchError) as problem:
        results.put((done, octets, str(problem)))


def fill(server, count, address, size=None, sessions=8, seconds=3600):
    """Sends messages 0 to count - 1, number n to address(n), and waits until they are in the mailboxes. Gives up the rest after so many seconds.
    (messages, bytes) that were sent."""
    global mail
    mail = mail or mail_text.Mail()
    is_lmtp = hasattr(server, "lmtp_port")
    port = server.lmtp_port if is_lmtp else server.smtp_port
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    before, deadline = server.delivered(), time.monotonic() + seconds
    workers = [context.Process(target=work, args=(port, is_lmtp, n, sessions, count, address, size, deadline, results)) for n in range(sessions)]
    for worker in workers:
        worker.start()
    answers = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    problems = [problem for _, _, problem in answers if problem]
    if problems:
        raise peer.BenchError(f"{server.title}: {problems[0]}; {server.log()}")
    done, octets = sum(a[0] for a in answers), sum(a[1] for a in answers)
    peer.wait_for(f"{server.title}: delivery of {done} messages", lambda: server.delivered() - before >= done, 600, 0.2)
    return done, octets

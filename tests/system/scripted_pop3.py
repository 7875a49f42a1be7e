"""A POP3 server that does as it is told, be it ever so hostile."""
import socketserver
import ssl
import subprocess
import threading

from ports import free_port, give_back

HANG_UP = object()  # instead of an answer: the end of the connection
SILENCE = object()  # nothing more, until the client goes away


class End(Exception):
    """Of a session."""


def certificate(directory, name="localhost"):
    """A server's context, and the path of the certificate to trust."""
    pem, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
                    f"subjectAltName=DNS:{name}", "-keyout", key, "-out", pem], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context, pem


class Pop3:
    """`messages`: {uidl: text}. `answers`: the beginning of a command ("RETR 2", "LIST", "GREETING") to what is said instead of
    the right thing: bytes, HANG_UP, SILENCE, or a function that gives pieces for ever, each sent as it comes; a list of these is
    said one after the other. What clients said is in `lines`."""

    def __init__(self, messages=None, answers=None, capabilities=("USER", "UIDL"), tls=None, tls_first=False):
        self.messages, self.answers, self.capabilities = dict(messages or {}), dict(answers or {}), capabilities
        self.tls, self.tls_first = tls, tls_first
        self.lines, self.sessions = [], 0
        self.closing = threading.Event()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                outer.sessions += 1
                try:
                    outer.serve(self)
                except (OSError, End, ValueError):
                    pass

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.port = free_port()
        self.server = Listener(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        give_back(self.port)

    # ---- One session ----

    def say(self, handler, what):
        if isinstance(what, list):
            for one in what:
                self.say(handler, one)
        elif what is HANG_UP:
            raise End
        elif what is SILENCE:
            handler.connection.settimeout(None)
            handler.rfile.read(1)
            raise End
        elif isinstance(what, bytes):
            handler.connection.sendall(what)
        else:
            for piece in what():
                if self.closing.is_set():
                    raise End
                handler.connection.sendall(piece)

    def answer(self, handler, line, default):
        for start, what in self.answers.items():
            if (line + " ").startswith(start + " "):
                self.say(handler, what)
                return False
        self.say(handler, default)
        return True

    def encrypt(self, handler):
        handler.connection = self.tls.wrap_socket(handler.connection, server_side=True)
        handler.rfile = handler.connection.makefile("rb")

    def serve(self, handler):
        gone, there = set(), list(self.messages.items())
        if self.tls_first:
            self.encrypt(handler)
        self.answer(handler, "GREETING", b"+OK ready\r\n")
        while raw := handler.rfile.readline():
            line = raw.decode("latin-1").strip()
            self.lines.append(line)
            verb, _, rest = line.partition(" ")
            number = int(rest) - 1 if verb in ("RETR", "DELE") else None
            if verb == "RETR":
                data = there[number][1]
                body = b"".join(b"." + part if part.startswith(b".") else part for part in data.splitlines(True))
                self.answer(handler, line, b"+OK\r\n" + body + b".\r\n")
            elif verb == "DELE":
                if self.answer(handler, line, b"+OK\r\n"):
                    gone.add(there[number][0])
            elif verb == "STLS":
                self.answer(handler, line, b"+OK begin\r\n")
                self.encrypt(handler)
            elif verb == "QUIT":
                if self.answer(handler, line, b"+OK\r\n"):
                    for uidl in gone:
                        self.messages.pop(uidl, None)
                return
            else:
                self.answer(handler, line, self.right(verb, there))

    def right(self, verb, there):
        if verb == "CAPA":
            return b"+OK\r\n" + b"".join(word.encode() + b"\r\n" for word in self.capabilities) + b".\r\n"
        if verb == "LIST":
            return b"+OK\r\n" + b"".join(b"%d %d\r\n" % (i + 1, len(m[1])) for i, m in enumerate(there)) + b".\r\n"
        if verb == "UIDL":
            return b"+OK\r\n" + b"".join(b"%d %s\r\n" % (i + 1, m[0].encode()) for i, m in enumerate(there)) + b".\r\n"
        return b"+OK\r\n" if verb in ("USER", "PASS") else b"-ERR what?\r\n"

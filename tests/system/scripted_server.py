"""An SMTP server that answers by a table."""
import socket
import socketserver
import threading

from ports import free_port

SILENCE = "silence"  # a reply that never comes: the session stands still, and reads nothing, until the server is closed
HANG_UP = "hang up"  # instead of a reply, the end of the connection


class Gate:
    """A reply that waits: sessions stand before it until they are let through."""

    def __init__(self, reply):
        self.reply, self.waiting, self.permits, self.changed = reply, 0, 0, threading.Condition()

    def let(self, count=1_000_000):
        """So many pass, those that come later among them."""
        with self.changed:
            self.permits += count
            self.changed.notify_all()

    def pass_through(self):
        with self.changed:
            self.waiting += 1
            self.changed.wait_for(lambda: self.permits)
            self.permits -= 1
            self.waiting -= 1
        return self.reply


class End(Exception):
    """Of a session."""


class Peer:
    """A scripted server: `answers` maps the beginning of a command ("RCPT TO:<bob", "DATA", "BODY" for the message itself,
    "." for the end of data, "GREETING") to a reply; a list of replies is used up one by one, then the last one stays; a Gate
    is waited for. More sessions at a time than `room` are turned away. What it takes is in `messages`. With `tls`, an SSL
    context, STARTTLS is for real; without one its 220 is followed by what is no TLS."""

    def __init__(self, answers=None, port=0, greeting="220 peer.test", keywords=("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"),
                 host="127.0.0.1", tls=None, room=1_000_000):
        self.answers, self.messages, self.lines, self.sessions, self.clients = dict(answers or {}), [], [], 0, []
        self.keywords, self.tls, self.greeting, self.room = keywords, tls, greeting, room
        self.open = self.most = 0  # sessions at a time: now, and ever; those that were not greeted with 220 don't count
        self.encrypted = 0         # sessions
        self.lock = threading.Lock()
        self.closing = threading.Event()
        peer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                peer.clients.append(self.client_address[0])
                try:
                    peer.serve(self)
                except (OSError, End):
                    pass

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            request_queue_size = 128

        self.server = Listener((host, port or free_port()), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, line, default):
        reply = default
        with self.lock:
            for start, found in self.answers.items():
                if line.upper().startswith(start.upper()):
                    reply = found
                    if isinstance(reply, list):
                        reply = reply.pop(0) if len(reply) > 1 else reply[0]
                    break
        return reply.pass_through() if isinstance(reply, Gate) else reply

    def say(self, handler, text):
        if text == SILENCE:
            self.closing.wait()
        if text in (SILENCE, HANG_UP):
            raise End
        if text[:3] in ("221", "421"):  # the client may be back before this session sees its end
            self.leave(handler)
        handler.wfile.write(text.encode() + b"\r\n")

    def serve(self, handler):
        with self.lock:
            self.sessions += 1
        greeting = self.answer("GREETING", self.greeting)
        with self.lock:
            if self.open >= self.room:
                greeting = "421 4.3.2 too many connections"
            is_good = greeting.startswith("220")
            handler.is_counted = is_good
            self.open += is_good
            self.most = max(self.most, self.open)
        try:
            self.say(handler, greeting)
            if is_good:
                self.converse(handler)
        finally:
            self.leave(handler)

    def leave(self, handler):
        with self.lock:
            self.open -= handler.is_counted
            handler.is_counted = False

    def converse(self, handler):
        sender, recipients = None, []
        while line := handler.rfile.readline().decode().rstrip("\r\n"):
            self.lines.append(line)
            verb = line.split()[0].upper().split(":")[0]
            if verb == "EHLO":
                offer = "\r\n".join(f"250-{word}" for word in ("peer.test", *self.keywords)) + "\r\n250 HELP"
                self.say(handler, self.answer(line, offer))
            elif verb == "STARTTLS":
                self.start_tls(handler, line)
            elif verb == "MAIL":
                sender, recipients = line[len("MAIL FROM:"):], []
                self.say(handler, self.answer(line, "250 2.1.0 ok"))
            elif verb == "RCPT":
                reply = self.answer(line, "250 2.1.5 ok")
                self.say(handler, reply)
                recipients += [line[len("RCPT TO:"):]] if reply.startswith("2") else []
            elif verb == "DATA":
                self.take(handler, line, sender, recipients)
            elif verb == "QUIT":
                self.say(handler, self.answer(line, "221 2.0.0 bye"))
                return
            else:
                self.say(handler, self.answer(line, "250 2.0.0 ok"))

    def take(self, handler, line, sender, recipients):
        reply = self.answer(line, "354 go on") if recipients else "503 5.5.1 no recipients"
        self.say(handler, reply)
        if not reply.startswith("354"):
            return
        if (reply := self.answer("BODY", "")) != "":
            self.say(handler, reply)
        body = bytearray()
        while (piece := handler.rfile.readline()) not in (b".\r\n", b""):
            body += piece[1:] if piece.startswith(b".") else piece
        if not piece:
            raise End
        reply = self.answer(".", "250 2.0.0 taken")
        if reply.startswith("2"):
            with self.lock:
                self.messages.append((sender, recipients, bytes(body)))
        self.say(handler, reply)

    def start_tls(self, handler, line):
        reply = self.answer(line, "220 2.0.0 go on")
        self.say(handler, reply)
        if not reply.startswith("220"):
            return
        if not self.tls:
            handler.wfile.write(b"this is no TLS\r\n")
            raise End
        handler.request = handler.connection = self.tls.wrap_socket(handler.connection, server_side=True)
        handler.rfile, handler.wfile = handler.connection.makefile("rb"), handler.connection.makefile("wb", 0)
        self.encrypted += 1

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

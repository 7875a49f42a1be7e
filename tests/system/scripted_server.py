"""An SMTP server that answers by a table."""
import socket
import socketserver
import threading


class Peer:
    """A scripted server: `answers` maps the beginning of a command ("RCPT TO:<bob", "DATA", "." for the end of data) to a
    reply; a list of replies is used up one by one, then the last one stays. What it takes is in `messages`."""

    def __init__(self, answers=None, port=0, greeting="220 peer.test", keywords=("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"), host="127.0.0.1"):
        self.answers, self.messages, self.lines, self.sessions, self.clients = dict(answers or {}), [], [], 0, []
        self.lock = threading.Lock()
        peer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                peer.clients.append(self.client_address[0])
                try:
                    peer.serve(self.rfile, self.wfile, greeting, keywords)
                except OSError:
                    pass

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            request_queue_size = 128

        self.server = Listener((host, port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, line, default):
        with self.lock:
            for start, reply in self.answers.items():
                if line.upper().startswith(start.upper()):
                    if isinstance(reply, list):
                        return reply.pop(0) if len(reply) > 1 else reply[0]
                    return reply
        return default

    def serve(self, reader, writer, greeting, keywords):
        def say(text):
            writer.write(text.encode() + b"\r\n")

        self.sessions += 1
        say(greeting)
        if not greeting.startswith("220"):
            return
        sender, recipients = None, []
        while line := reader.readline().decode().rstrip("\r\n"):
            self.lines.append(line)
            verb = line.split()[0].upper().split(":")[0]
            if verb == "EHLO":
                say("\r\n".join(f"250-{word}" for word in ("peer.test", *keywords)) + "\r\n250 HELP")
            elif verb == "MAIL":
                sender, recipients = line[len("MAIL FROM:"):], []
                say(self.answer(line, "250 2.1.0 ok"))
            elif verb == "RCPT":
                reply = self.answer(line, "250 2.1.5 ok")
                say(reply)
                recipients += [line[len("RCPT TO:"):]] if reply.startswith("2") else []
            elif verb == "DATA":
                reply = self.answer(line, "354 go on") if recipients else "503 5.5.1 no recipients"
                say(reply)
                if reply.startswith("354"):
                    body = b""
                    while (piece := reader.readline()) not in (b".\r\n", b""):
                        body += piece[1:] if piece.startswith(b".") else piece
                    if not piece:
                        return
                    reply = self.answer(".", "250 2.0.0 taken")
                    if reply.startswith("2"):
                        with self.lock:
                            self.messages.append((sender, recipients, body))
                    say(reply)
            elif verb == "QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("250 2.0.0 ok")

    def close(self):
        self.server.shutdown()
        self.server.server_close()

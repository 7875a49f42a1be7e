"""A WHOIS server (RFC 3912): one line in, text out, end."""
import socketserver
import threading
import time

IANA = """% IANA WHOIS server

refer:        {refer}

inetnum:      {block}
organisation: RIPE NCC
status:       ALLOCATED

source:       IANA
"""

RIPE = """% This is the RIPE Database query service.

inetnum:        {range}
netname:        {name}
descr:          Example
country:        {country}
source:         RIPE # Filtered

organisation:   ORG-EX1-RIPE
country:        ZZ

route:          {route}
origin:         {origin}
source:         RIPE
"""


class WhoisServer:
    """`answer`: text or bytes for every question, a dict of them by question, or a function of the question and a way to write.
    `questions` has what was asked."""

    def __init__(self, answer, host="127.0.0.1", port=0):
        self.questions = []
        self.ended = threading.Event()
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                question = self.rfile.readline(1000).decode().strip()
                server.questions.append(question)
                try:
                    server.serve(answer, question, self.wfile)
                except OSError:
                    pass

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

        self.server = Listener((host, port), Handler)
        self.host, self.port = self.server.server_address
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, answer, question, out):
        if callable(answer):
            answer(question, out, self.ended)
            return
        text = answer.get(question, "% No match\n") if isinstance(answer, dict) else answer
        out.write(text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode())

    def name(self):
        return f"{self.host}:{self.port}"

    def close(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()


def silent(question, out, ended):
    """Says nothing, and does not hang up."""
    ended.wait(120)


def dripping(question, out, ended):
    """A byte every tenth of a second, without an end."""
    while not ended.is_set():
        out.write(b"%")
        out.flush()
        time.sleep(0.1)


def endless(question, out, ended):
    """As much as is taken."""
    out.write(b"inetnum: 192.0.2.0/24\r\ncountry: NL\r\n")
    while not ended.is_set():
        out.write(b"remarks: " + b"x" * 1000 + b"\r\n")

"""Text that looks and compresses like mail, the same in every run: what the size on disk is measured with.

Message number n is always the same bytes. Of a hundred messages 55 are plain text, some of them with the quoted text they answer; 30 have plain text
and the same in HTML; 15 have an attachment in base64 that no compression makes smaller than its bytes. The sizes follow SIZES.
"""
import base64
import random
import string

SEED = 20261122
PARAGRAPHS = 20000
# (share of a hundred, smallest, largest) in bytes: from 1 to 40 KiB, about 8 KiB on average.
SIZES = ((30, 1024, 3072), (40, 3072, 8192), (20, 8192, 16384), (10, 16384, 40960))
LINE = 72


def make_words(rng):
    """Ten thousand words, short ones more often; used by Zipf's law."""
    syllables = ["".join((rng.choice("bcdfghklmnprstvw"), rng.choice("aeiou"), rng.choice(["", "", "n", "r", "s", "t", "l"]))) for _ in range(300)]
    return list(dict.fromkeys("".join(rng.choices(syllables, k=rng.choice((1, 1, 2, 2, 3, 4)))) for _ in range(14000)))[:10000]


def fold(words, prefix=""):
    """Lines of at most LINE octets."""
    lines, line = [], prefix
    for word in words:
        if len(line) + len(word) >= LINE:
            lines.append(line.rstrip())
            line = prefix
        line += word + " "
    return "\r\n".join([*lines, line.rstrip()]) + "\r\n"


class Mail:
    def __init__(self):
        rng = random.Random(SEED)
        self.words = make_words(rng)
        weights = [1 / (rank + 3) for rank in range(len(self.words))]
        stream = rng.choices(self.words, weights, k=PARAGRAPHS * 60)
        self.paragraphs, self.quoted, at = [], [], 0
        for _ in range(PARAGRAPHS):
            part = stream[at:at + rng.randint(15, 60)]
            at += len(part)
            part[0] = part[0].capitalize()
            part = [w + "," if n % 11 == 7 else w for n, w in enumerate(part)]
            self.paragraphs.append(fold([*part[:-1], part[-1] + "."]) + "\r\n")
            self.quoted.append(fold([*part[:-1], part[-1] + "."], "> ") + ">\r\n")

    def name(self, rng):
        return f"{rng.choice(self.words).capitalize()} {rng.choice(self.words).capitalize()}"

    def header(self, rng, kind):
        sender, host = self.name(rng), f"{rng.choice(self.words)}.test"
        token = "".join(rng.choices(string.ascii_letters + string.digits, k=24))
        date = f"{rng.choice(('Mon', 'Tue', 'Wed', 'Thu', 'Fri'))}, {rng.randint(1, 28)} Oct 2026 {rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d} +0000"
        signature = base64.b64encode(rng.randbytes(256)).decode()
        lines = [f"Received: from mx{rng.randint(1, 9)}.{host} ([192.0.2.{rng.randint(1, 254)}])\r\n\tby relay.{host} with ESMTPS id {token[:12]};\r\n\t{date}",
                 f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={host}; s=mail;\r\n\th=from:to:subject:date:message-id:mime-version;\r\n"
                 f"\tbh={base64.b64encode(rng.randbytes(32)).decode()};\r\n\tb=" + "\r\n\t ".join(signature[n:n + 70] for n in range(0, len(signature), 70)),
                 f"From: {sender} <{sender.split()[0].lower()}@{host}>", "To: Undisclosed recipients:;", f"Date: {date}", f"Message-ID: <{token}@{host}>",
                 f"Subject: {' '.join(rng.choices(self.words, k=rng.randint(2, 8))).capitalize()}", "MIME-Version: 1.0", f"Content-Type: {kind}"]
        return "\r\n".join(lines) + "\r\n"

    def text(self, rng, size, pool):
        out = []
        while size > 0:
            out.append(rng.choice(pool))
            size -= len(out[-1])
        return "".join(out)

    def html(self, text, title):
        body = "".join(f'<tr><td align="left" valign="top" style="padding:12px 24px 12px 24px;font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:20px;color:#333333;">\r\n{p}</td></tr>\r\n'
                       for p in text.split("\r\n\r\n") if p)
        return f"<!DOCTYPE html>\r\n<html><head><meta charset=\"utf-8\"><title>{title}</title></head>\r\n<body style=\"margin:0;padding:0;\"><table width=\"600\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\">\r\n{body}</table></body></html>\r\n"

    def message(self, number, size=None):
        """The whole message as bytes: CRLF, no line that begins with a dot. `size`: about so many bytes of plain text, instead of what SIZES says."""
        rng = random.Random(f"{SEED}-{number}")
        _, low, high = rng.choices(SIZES, [share for share, _, _ in SIZES])[0]
        size, kind = (size, 54) if size else (rng.randint(low, high), rng.randrange(100))
        boundary = "".join(rng.choices(string.hexdigits[:16], k=28))
        if kind < 55:
            head = self.header(rng, "text/plain; charset=utf-8")
            size -= len(head)
            if kind < 25:
                own = self.text(rng, size // 3, self.paragraphs)
                body = f"{own}On Thursday {self.name(rng)} wrote:\r\n{self.text(rng, size - len(own), self.quoted)}"
            else:
                body = self.text(rng, size, self.paragraphs)
            return f"{head}\r\n{body}".encode()
        head = self.header(rng, f'multipart/{"alternative" if kind < 85 else "mixed"};\r\n\tboundary="{boundary}"')
        size -= len(head)
        text = self.text(rng, size // 3 if kind < 85 else min(size // 4, 2000), self.paragraphs)
        if kind < 85:
            second = f"Content-Type: text/html; charset=utf-8\r\n\r\n{self.html(text, 'News')}"
        else:
            octets = base64.b64encode(rng.randbytes(max(size - len(text) - 300, 300) * 54 // 74)).decode()
            second = ('Content-Type: image/jpeg; name="picture.jpg"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
                      + "\r\n".join(octets[n:n + 72] for n in range(0, len(octets), 72)) + "\r\n")
        return (f"{head}\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n--{boundary}\r\n{second}\r\n--{boundary}--\r\n").encode()

"""bench/peers.svg: bars for each row of the comparison. Writes SVG by itself: text stays text, and the colours follow the reader's light or dark."""
import math
from xml.sax.saxutils import escape

import compare
from compare import number

WIDTH, LABELS, BARS, RATIO = 960, 300, 520, 90
MARGIN, BAR, GAP, HEAD = 20, 11, 12, 52
LINE = 19
LOG_FROM = 20  # a panel whose largest value is so many times its smallest has a logarithmic scale

# One hue a peer, told apart in light and dark and by those who see few colours; ours is the only saturated one.
LIGHT = ("#c2410c", "#64748b", "#0e7490", "#a16207", "#7c3aed", "#4d7c0f", "#be185d", "#57534e")
DARK = ("#fb923c", "#94a3b8", "#22d3ee", "#facc15", "#a78bfa", "#a3e635", "#f472b6", "#d6d3d1")

STYLE = """\
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1c1917; }
.page { fill: #ffffff; }
.title { font-size: 20px; font-weight: 600; }
.panel { font-size: 15px; font-weight: 600; }
.small { font-size: 11px; fill: #57534e; }
.value { font-size: 10px; }
.own { font-weight: 600; }
.behind { fill: #b91c1c; font-weight: 600; }
.grid { stroke: #e7e5e4; stroke-width: 1; }
.axis { stroke: #78716c; stroke-width: 1; }
"""
DARK_STYLE = """\
text { fill: #e7e5e4; }
.page { fill: #17181c; }
.small { fill: #a8a29e; }
.behind { fill: #f87171; }
.grid { stroke: #33343a; }
.axis { stroke: #a8a29e; }
"""


def colours(names):
    def of(palette):
        return "".join(f".p{n} {{ fill: {palette[n % len(palette)]}; }}\n" for n, _ in enumerate(names))
    dark = DARK_STYLE + of(DARK)
    return f"{STYLE}{of(LIGHT)}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


class Drawing:
    def __init__(self):
        self.parts, self.y = [], MARGIN

    def text(self, x, y, words, kind="", anchor="start"):
        attributes = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor != "start" else "")
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(words)}</text>')

    def bar(self, x, y, width, height, kind, words):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{kind}"><title>{escape(words)}</title></rect>')

    def line(self, x1, y1, x2, y2, kind):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def finish(self, style):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.y:.0f}" width="{WIDTH}" height="{self.y:.0f}" role="img">\n'
                f"<style>\n{style}</style>\n<rect width=\"100%\" height=\"100%\" class=\"page\"/>\n" + "\n".join(self.parts) + "\n</svg>\n")


class Scale:
    """From values to widths of bars, straight or logarithmic."""

    def __init__(self, values):
        low, high = min(values), max(values)
        self.is_log = low > 0 and high / low > LOG_FROM
        if self.is_log:
            # A decade more to the left, so that the smallest has a bar, too.
            self.low, self.high = math.floor(math.log10(low) - 0.3), math.log10(high)
            self.ticks = [10.0**n for n in range(self.low, math.ceil(self.high) + 1) if n <= self.high]
        else:
            step = 10.0 ** math.floor(math.log10(high or 1))
            step = next(step * part for part in (0.1, 0.2, 0.25, 0.5, 1, 2) if high / (step * part) <= 6)
            self.low, self.high = 0.0, high or 1
            self.ticks = [n * step for n in range(int(high / step) + 1)]

    def width(self, value):
        at = (math.log10(value) if value > 0 else self.low) if self.is_log else value
        return BARS * max(0.0, at - self.low) / (self.high - self.low)


def wrap(words, width):
    """Lines of at most `width` letters."""
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def draw_row(d, row, scale, look):
    top = d.y
    lines = wrap(row.name, 44)
    shown = [name for name in look if row.rounds.get(name)]
    height = max(len(shown) * BAR, len(lines) * LINE - 4)
    for n, line in enumerate(lines):
        d.text(MARGIN, top + height / 2 + 4 + (n - (len(lines) - 1) / 2) * 16, line)
    for n, name in enumerate(shown):
        kind, title = look[name]
        value, rounds, y = row.middle(name), row.rounds[name], top + n * BAR
        width = max(scale.width(value), 1)
        d.bar(MARGIN + LABELS, y, width, BAR - 2, kind, f"{title}: {number(value)} {row.unit} ({number(min(rounds))} to {number(max(rounds))})")
        d.text(MARGIN + LABELS + width + 4, y + BAR - 2.5, number(value), "value")
    ratio = compare.ratio(row)
    if ratio is not None:
        d.text(WIDTH - MARGIN, top + height / 2 + 4, f"{number(ratio)} ×", "own" if ratio >= 1 else "behind", "end")
    d.y += height + GAP


def draw_panel(d, title, panel, look):
    unit, better = panel[0].unit, panel[0].better
    scale = Scale([row.middle(name) for row in panel for name in look if row.rounds.get(name)])
    d.y += 14
    d.text(MARGIN, d.y + 14, title, "panel")
    d.text(MARGIN, d.y + 32, f"{unit}; {'longer' if better == 'higher' else 'shorter'} is better{', logarithmic' if scale.is_log else ''}", "small")
    d.y += HEAD
    top, mark = d.y - 6, len(d.parts)
    for row in panel:
        draw_row(d, row, scale, look)
    grid = Drawing()
    for tick in scale.ticks:
        x = MARGIN + LABELS + scale.width(tick)
        grid.line(x, top, x, d.y - GAP + 4, "grid")
        grid.text(x, top - 4, f"{tick:,.10g}", "small", "middle")
    grid.line(MARGIN + LABELS, top, MARGIN + LABELS, d.y - GAP + 4, "axis")
    d.parts[mark:mark] = grid.parts


def draw_legend(d, look):
    x = MARGIN
    for kind, title in look.values():
        width = 36 + 8.2 * len(title)
        if x + width > WIDTH - MARGIN:
            x, d.y = MARGIN, d.y + 20
        d.bar(x, d.y - 9, 14, 10, kind, title)
        d.text(x + 20, d.y, title)
        x += width
    d.y += 14


def draw(results, rows, titles):
    """These rows as the text of an SVG. `titles`: {part: what its panel is called}."""
    names = compare.peers_in(results, rows)
    look = {name: (f"p{n}", compare.title(results, name)) for n, name in enumerate(names)}
    d = Drawing()
    d.y += 18
    d.text(MARGIN, d.y, "Ostiary beside the peers", "title")
    d.y += 20
    d.text(MARGIN, d.y, "Medians. On the right: Ostiary against the best of the others in the row; above 1 it is ahead.", "small")
    d.y += 16
    d.text(MARGIN, d.y, f"{compare.dates(results)}, {compare.machine_line(results['machine'])}", "small")
    d.y += 26
    draw_legend(d, look)
    for (part, _, _), panel in compare.group(rows, lambda r: (r.part, r.unit, r.better)).items():
        draw_panel(d, titles.get(part, part), panel, look)
    d.y += MARGIN
    return d.finish(colours(names))

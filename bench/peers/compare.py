"""What the page and the plot make of the rows: who is best in each, and by how much. Pure functions of the results that run.py wrote."""
from measure import Row

OWN = "ostiary"


def rows_of(results):
    return [Row(**row) for row in results["rows"]]


def title(results, name):
    return results["peers"][name]["title"]


def peers_in(results, rows):
    """Names of those who have a figure in one of the rows, in the results' order: Ostiary first."""
    names = [name for name in results["peers"] if any(row.rounds.get(name) for row in rows)]
    return sorted(names, key=lambda name: name != OWN)


def best_other(row):
    """The name of the best of the others; None where Ostiary is alone."""
    others = [name for name in row.rounds if name != OWN]
    return row.best(others) if others else None


def ratio(row):
    """How many times better than the best of the others; None where there is nothing to compare."""
    other = best_other(row)
    if not other or not row.rounds.get(OWN) or not row.middle(other) or not row.middle(OWN):
        return None
    return row.middle(OWN) / row.middle(other) if row.better == "higher" else row.middle(other) / row.middle(OWN)


def is_within_spread(row):
    """Could some round of ours and some round of the best other one be exchanged?"""
    other = best_other(row)
    if not other or not row.rounds.get(OWN):
        return False
    own, its = row.rounds[OWN], row.rounds[other]
    return min(own) <= max(its) and min(its) <= max(own)


def group(items, key):
    """{key: [items]}, in order."""
    out = {}
    for item in items:
        out.setdefault(key(item), []).append(item)
    return out


def number(value):
    """Three digits that count, as people write them."""
    if value == 0:
        return "0"
    if value >= 1000:
        digits = len(str(int(value))) - 3
        return f"{round(value / 10**digits) * 10**digits:,}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def dates(results):
    """When it was measured: the first and the last day, as rows may be measured anew by themselves."""
    days = sorted({row["date"] for row in results["rows"]})
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"


def machine_line(machine):
    return f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}"

"""
The table and what belongs to it, as Markdown that can be read as it is.

Pure functions of what was measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .figures import Group, Row, Series, Unit

HEAD = ("", "median", "quartiles", "ratio", "quartiles", "over", "target", "met")


def report(groups: Sequence[Group], facts: Iterable[tuple[str, str]]) -> str:
    """The whole page: what was run, the table, the notes."""
    lines = ["# How fast it is", ""]
    lines += [f"- {name}: {value}" for name, value in facts]
    lines += ["", *table(groups), ""]
    lines += [
        "Medians over rounds, each of which is the median of many repetitions; sides "
        "take turns, and their processes are replaced several times. Between the "
        "quartiles lies the middle half of the rounds. Ratios are taken round by round. "
        "*Met* says `open` where the median misses the target, and a quarter of the "
        "rounds or more does not.",
    ]
    for reason in {row.missing: None for group in groups for row in group.rows}:
        if reason:
            lines += ["", f"**Missing.** {reason}"]
    for group in groups:
        if group.notes:
            lines += ["", f"**{group.title}.** " + " ".join(group.notes)]
    return "\n".join(lines) + "\n"


def table(groups: Sequence[Group]) -> list[str]:
    """One table; each group begins with a line of its own."""
    cells: list[tuple[str, ...]] = [HEAD]
    for group in groups:
        cells.append((f"**{group.title}**", *[""] * (len(HEAD) - 1)))
        cells += map(_cells, group.rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        first, *others = zip(row, widths, strict=True)
        padded = [
            first[0].ljust(first[1]),
            *(text.rjust(width) for text, width in others),
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(HEAD), line(rule), *map(line, cells[1:])]


def _cells(row: Row) -> tuple[str, ...]:
    if row.measured is None:
        return (row.name, row.instead, *[""] * 6)
    ratio = ("", "")
    if row.ratio is not None:
        low, high = row.ratio.quartiles
        ratio = (f"{row.ratio.median:.2f}", f"{low:.2f} to {high:.2f}")
    target = met = ""
    if row.at_most is not None:
        limit = f"{row.at_most:.2f}" if row.ratio else amount(row.at_most, row.unit)
        target = f"at most {limit}"
        met = {True: "yes", False: "NO", None: "open"}[row.met]
    return (
        row.name,
        amount(row.measured.median, row.unit),
        _spread(row.measured, row.unit),
        *ratio,
        row.over,
        target,
        met,
    )


def _spread(measured: Series, unit: Unit) -> str:
    low, high = measured.quartiles
    return f"{amount(low, unit)} to {amount(high, unit)}"


def amount(value: float, unit: Unit) -> str:
    """``0.000217`` seconds as ``217 us``; other units as they are."""
    if unit == "bytes":
        return f"{value:.1f} B"
    if unit == "megabytes":
        return f"{value:.2f} MB"
    if unit == "number":
        return f"{value:g}"
    if unit == "blocks":
        return f"{value:.3f}"
    if unit == "per second":
        return f"{value:,.0f}/s"
    for scale, name in ((1, "s"), (1e-3, "ms")):
        if abs(value) >= scale:
            return f"{_three_digits(value / scale)} {name}"
    return f"{_three_digits(value * 1e6)} us"


def _three_digits(value: float) -> str:
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{decimals}f}"

"""The page of `gpuinit verify --html`: one file with every result, and with pictures where they can be drawn."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from gpuinit.battery import Outcome
from gpuinit.cli.verify_report import Run, chance, lines_of, number, summary

__all__ = ["page"]

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; color: #1a1a1a }
table { border-collapse: collapse; width: 100%; margin: .5em 0 1em }
th, td { text-align: left; padding: .2em .6em; vertical-align: top }
th { border-bottom: 2px solid #999 } td { border-bottom: 1px solid #ddd }
.n { text-align: right; font-variant-numeric: tabular-nums }
.wrong { color: #a40000; font-weight: 600 } details { margin: .3em 0 } summary { cursor: pointer } figure { margin: 1.5em 0 }
img { max-width: 100% } figcaption { color: #444 } pre { white-space: pre-wrap }
"""
_HEAD = (
    '<th>test</th><th class="n">results</th><th class="n">worst statistic</th><th class="n">its p</th><th></th><th>catches</th>'
)
_SIDE = 320


def page(run: Run, pictures: Sequence[tuple[str, bytes]], how_to_get_them: str) -> str:
    """The page as HTML that needs no other file.

    Args:
        pictures: captions and PNGs; none: the sentence `how_to_get_them` stands in their place.
    """
    return "\n".join(_lines(run, pictures, how_to_get_them)) + "\n"


def _lines(run: Run, pictures: Sequence[tuple[str, bytes]], how_to_get_them: str) -> Iterator[str]:
    title = "gpuinit verify: " + ("nothing was found" if run.verdict.ok else "something is wrong")
    yield f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    yield f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
    yield f"<pre>{escape(chr(10).join(summary(run)))}</pre>"
    yield from _table(run)
    yield "<h2>All p-values together</h2>"
    yield from _sorted_chances(run.outcomes)
    yield "<h2>Pictures</h2>"
    if not pictures:
        yield f"<p>{escape(how_to_get_them)}</p>"
    for caption, png in pictures:
        data = base64.b64encode(png).decode()
        yield f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        yield f"<figcaption>{escape(caption)}</figcaption></figure>"
    yield "<h2>Every result</h2>"
    yield from _every(run)
    yield "</body></html>"


def _table(run: Run) -> Iterator[str]:
    suite = None
    for line in lines_of(run, each=False):
        o = line.outcome
        if o.suite != suite:
            yield f"{'</table>' if suite else ''}<h2>{escape(o.suite)}</h2><table><tr>{_HEAD}</tr>"
            suite = o.suite
        state = f'<td class="wrong">{line.wrong} wrong</td>' if line.wrong else "<td>ok</td>"
        yield (
            f'<tr><td>{escape(o.test.name)}</td><td class="n">{line.count}</td><td class="n">{number(o.statistic.value)}</td>'
            f'<td class="n">{chance(o)}</td>{state}<td>{escape(o.test.catches)}</td></tr>'
        )
    yield "</table>"


def _every(run: Run) -> Iterator[str]:
    wrong = {id(outcome) for outcome, _ in run.verdict.wrong}
    by_test: dict[str, list[Outcome]] = {}
    for outcome in run.outcomes:
        by_test.setdefault(outcome.test.name, []).append(outcome)
    for name, outcomes in by_test.items():
        yield f"<details><summary>{escape(name)} ({len(outcomes)})</summary>"
        yield "<table><tr><th>way</th><th>sample</th><th>statistic</th><th>p</th><th>note</th></tr>"
        for o in outcomes:
            mark = ' class="wrong"' if id(o) in wrong else ""
            yield (
                f'<tr{mark}><td>{escape(o.way)}</td><td>{escape(o.sample)}</td><td class="n">{number(o.statistic.value)}</td>'
                f'<td class="n">{chance(o)}</td><td>{escape(o.statistic.note)}</td></tr>'
            )
        yield "</table></details>"


def _sorted_chances(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The p-values in order against those of as many uniform numbers, as a drawing: a right engine's lie along the diagonal."""
    p = np.sort([o.statistic.p for o in outcomes if o.statistic.p is not None])
    if not len(p):
        yield "<p>No p-values.</p>"
        return
    x = (np.arange(len(p)) + 0.5) / len(p) * _SIDE
    step = max(1, len(p) // 500)
    points = " ".join(f"{a:.1f},{_SIDE - b:.1f}" for a, b in zip(x[::step], p[::step] * _SIDE, strict=True))
    yield (
        f'<figure><svg viewBox="-2 -2 {_SIDE + 4} {_SIDE + 4}" width="{_SIDE}" height="{_SIDE}" role="img">'
        f'<rect width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#999"/>'
        f'<line x1="0" y1="{_SIDE}" x2="{_SIDE}" y2="0" stroke="#999" stroke-dasharray="4"/>'
        f'<polyline points="{points}" fill="none" stroke="#0072b2" stroke-width="2"/></svg>'
        f"<figcaption>The {len(p):,} p-values in ascending order (upward) against evenly spaced ones (to the right). "
        "Of a right engine they lie along the diagonal, less exactly than if all were independent.</figcaption></figure>"
    )

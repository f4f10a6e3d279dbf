"""A chart of a run: for each workload the servers' CPU time per request, ours being 1."""

from xml.sax.saxutils import escape

from .servers import FLOOR, OURS

WIDTH, LABEL, BAR, GAP = 760, 150, 13, 3
MOST = 8.0
"""Longer bars are cut, and say how long they are."""


def svg(workloads: dict[str, dict[str, float]], faults: dict[str, list[str]]) -> str:
    """Servers that fail a probe are pale, with a star."""
    parts, y = [], 30
    for workload, servers in workloads.items():
        parts.append(f'<text x="8" y="{y + 12}" class="h">{escape(workload)}</text>')
        y += 20
        for name, share in sorted(servers.items(), key=lambda item: item[1]):
            parts += bar(name, share, y, bool(faults.get(name)))
            y += BAR + GAP
        y += 12
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
        f'viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="11">'
        "<style>.h{font-weight:bold;font-size:13px}</style>"
        f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>'
        f'<text x="8" y="18">CPU time per request, {OURS} = 1; shorter is better; '
        "* fails a probe</text>"
    )
    return "\n".join([head, *parts, "</svg>", ""])


def bar(name: str, share: float, y: int, is_wrong: bool) -> list[str]:
    colour = {OURS: "#c2410c", FLOOR.name: "#9ca3af"}.get(
        name, "#93c5fd" if is_wrong else "#2563eb"
    )
    width = min(share, MOST) / MOST * (WIDTH - LABEL - 60)
    return [
        f'<text x="{LABEL - 6}" y="{y + 10}" text-anchor="end">'
        f"{escape(name)}{' *' if is_wrong else ''}</text>",
        f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>',
        f'<text x="{LABEL + width + 4:.1f}" y="{y + 10}">{share:.2f}</text>',
    ]

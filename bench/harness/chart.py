"""A chart of a run: for each workload the servers' CPU time per request, ours being 1."""

from xml.sax.saxutils import escape

from .servers import FLOOR, OURS

WIDTH, LABEL, BAR, GAP = 760, 150, 13, 3
MOST = 8.0
"""Longer bars are cut, and say how long they are."""


def svg(workloads: dict[str, dict[str, float]]) -> str:
    parts, y = [], 30
    for workload, servers in workloads.items():
        parts.append(f'<text x="8" y="{y + 12}" class="h">{escape(workload)}</text>')
        y += 20
        for name, share in sorted(servers.items(), key=lambda item: item[1]):
            parts += bar(name, share, y)
            y += BAR + GAP
        y += 12
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
        f'viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="11">'
        "<style>.h{font-weight:bold;font-size:13px}</style>"
        f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>'
        f'<text x="8" y="18">CPU time per request, {OURS} = 1; shorter is better</text>'
    )
    return "\n".join([head, *parts, "</svg>", ""])


def bar(name: str, share: float, y: int) -> list[str]:
    colour = {OURS: "#c2410c", FLOOR.name: "#9ca3af"}.get(name, "#3b82f6")
    width = min(share, MOST) / MOST * (WIDTH - LABEL - 60)
    return [
        f'<text x="{LABEL - 6}" y="{y + 10}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>',
        f'<text x="{LABEL + width + 4:.1f}" y="{y + 10}">{share:.2f}</text>',
    ]

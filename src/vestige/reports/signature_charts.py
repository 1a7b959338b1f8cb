"""Axes, marks and the curve of a spectrum as inline SVG; colours come from the page's style sheet."""

import math
from collections.abc import Iterator, Sequence

from vestige.reports.signature import SpectralPeak

EIGHTHS = ("0", "1/8", "1/4", "3/8", "1/2")
SIDE, PLANE_LEFT, PLANE_TOP = 512, 46, 16  # of the plane, and its margins
LEFT, RIGHT, TOP, BOTTOM = 72, 8, 10, 42  # margins of the curve
WIDTH, HEIGHT = 640, 340
HIGHEST = 0.7072  # cycles per pixel in the corners of the plane


def plane_chart(picture: str, peaks: Sequence[SpectralPeak], alternative: str) -> str:
    """The spectrum with its axes, a ring around each peak.

    Args:
        picture: data URI of the spectrum.
        peaks: those to be marked; each is marked at (x, y) and at (-x, -y).
        alternative: what is seen, for those who do not see it.
    """
    parts = [
        f'<svg class="chart" viewBox="0 0 {PLANE_LEFT + SIDE + PLANE_TOP} {PLANE_TOP + SIDE + BOTTOM}" '
        f'role="img" aria-label="{alternative}">',
        f'<image href="{picture}" x="{PLANE_LEFT}" y="{PLANE_TOP}" width="{SIDE}" height="{SIDE}" '
        'style="image-rendering:pixelated"/>',
    ]
    base = PLANE_TOP + SIDE
    for number in range(-4, 5):
        x, y = PLANE_LEFT + SIDE * (number + 4) // 8, PLANE_TOP + SIDE * (number + 4) // 8
        words = ("−" if number < 0 else "") + EIGHTHS[abs(number)]
        parts.append(f'<path class="axis" d="M{x} {base}v5M{PLANE_LEFT} {y}h-5"/>')
        if number % 2 == 0:
            parts.append(f'<text x="{x}" y="{base + 19}" text-anchor="middle">{words}</text>')
            parts.append(f'<text x="{PLANE_LEFT - 9}" y="{y + 5}" text-anchor="end">{words}</text>')
    for peak in peaks:
        for fx, fy in {(peak.x, peak.y), (-peak.x, -peak.y)}:
            x, y = round(PLANE_LEFT + SIDE * (fx + 0.5)), round(PLANE_TOP + SIDE * (fy + 0.5))
            parts.append(f'<circle class="peak" cx="{x}" cy="{y}" r="9"/>')
    middle = PLANE_LEFT + SIDE // 2
    parts.append(f'<text x="{middle}" y="{base + 38}" text-anchor="middle">cycles per pixel</text></svg>')
    return "".join(parts)


def ring_chart(rings: Sequence[tuple[float, float]], alternative: str) -> str:
    """The mean power of the rings against their frequency, from 0 to the corners of the plane.

    Args:
        rings: (cycles per pixel, dB), in rising order.
        alternative: what is seen, for those who do not see it.
    """
    low = math.floor(min(level for _, level in rings) / 10) * 10
    high = max(math.ceil(max(level for _, level in rings) / 10) * 10, low + 10)
    across = (WIDTH - LEFT - RIGHT) / HIGHEST
    down = (HEIGHT - TOP - BOTTOM) / (high - low)

    def place(frequency: float, level: float) -> str:
        return f"{LEFT + frequency * across:.1f} {TOP + (high - level) * down:.1f}"

    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{alternative}">']
    parts += _grid(low, high, across, down)
    curve = "L".join(place(frequency, level) for frequency, level in rings)
    parts.append(f'<path class="curve" d="M{curve}"/>')
    parts.append(
        f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 4}" text-anchor="middle">'
        "cycles per pixel, in all directions; beyond 1/2 the diagonals only</text></svg>"
    )
    return "".join(parts)


def _grid(low: int, high: int, across: float, down: float) -> Iterator[str]:
    for number, words in enumerate(EIGHTHS):
        x = LEFT + number / 8 * across
        yield f'<path class="grid" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{words}</text>'
    step = 10 if high - low <= 60 else 20
    for level in range(low, high + 1, step):
        y = TOP + (high - level) * down
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        words = f"{level} dB".replace("-", "−")
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{words}</text>'

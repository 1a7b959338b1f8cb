"""Patches on the picture, and votes for the phases of a block grid, as inline SVG."""

from collections.abc import Sequence
from html import escape

from vestige.reports.inspection import GridAxis, Patch

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 18, 42


def lean(probability: float, thresholds: tuple[float, float]) -> str:
    """Class of a probability in the page's colours: generated, inconclusive or real."""
    low, high = thresholds
    return "generated" if probability >= high else "real" if probability <= low else "inconclusive"


def patch_chart(
    picture: str, size: tuple[int, int], patches: Sequence[Patch], thresholds: tuple[float, float], name: str
) -> str:
    """The picture with a numbered frame around each patch.

    Args:
        picture: data URI.
        size: width and height of the picture in its own pixels.
        thresholds: (low, high), which choose the frames' colours.
        name: of the picture, for those who do not see it.
    """
    width, height = size
    letters = max(width, height) / 30
    parts = [
        f'<svg class="chart patches" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(name)} with {len(patches)} framed patches; the table lists them">',
        f'<image href="{picture}" width="{width}" height="{height}" preserveAspectRatio="none"/>',
    ]
    for patch in patches:
        line = max(width, height) / 250
        place = (
            f'x="{patch.x + line}" y="{patch.y + line}" width="{max(patch.width - 2 * line, 1)}" '
            f'height="{max(patch.height - 2 * line, 1)}"'
        )
        kind = lean(patch.probability, thresholds)
        parts.append(f'<rect class="halo" {place} stroke-width="{2 * line:.2f}"/>')
        parts.append(f'<rect class="frame {kind}" {place} stroke-width="{line:.2f}"/>')
    for number, patch in enumerate(patches, 1):  # above all frames
        parts.append(
            f'<text x="{patch.x + patch.width / 2:.1f}" y="{patch.y + patch.height / 2 + letters / 3:.1f}" '
            f'font-size="{letters:.1f}" text-anchor="middle">{number}: {patch.probability:.0%}</text>'
        )
    return "".join(parts) + "</svg>"


def vote_chart(axis: GridAxis, alternative: str) -> str:
    """Votes per phase as bars, with a line at what chance gives.

    Args:
        axis: what was measured.
        alternative: what is seen, for those who do not see it.
    """
    top = max(*axis.votes, axis.strips / 4, 1)
    down = (HEIGHT - TOP - BOTTOM) / top
    step = (WIDTH - LEFT - RIGHT) / 8
    base = HEIGHT - BOTTOM
    parts = [
        f'<svg class="chart votes" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(alternative)}">'
    ]
    level = base - axis.strips / 8 * down
    parts.append(f'<path class="chance" d="M{LEFT} {level:.1f}H{WIDTH - RIGHT}"/>')
    parts.append(f'<text x="{LEFT - 4}" y="{level + 4:.1f}" text-anchor="end">1/8</text>')
    for phase, votes in enumerate(axis.votes):
        x, tall = LEFT + (phase + 0.15) * step, votes * down
        chosen = " chosen" if axis.found and phase == axis.phase else ""
        parts.append(
            f'<rect class="vote{chosen}" x="{x:.1f}" y="{base - tall:.1f}" width="{0.7 * step:.1f}" '
            f'height="{tall:.1f}"/>'
        )
        middle = LEFT + (phase + 0.5) * step
        parts.append(f'<text x="{middle:.1f}" y="{base - tall - 5:.1f}" text-anchor="middle">{votes}</text>')
        parts.append(f'<text x="{middle:.1f}" y="{base + 16}" text-anchor="middle">{phase}</text>')
    parts.append(f'<path class="axis" d="M{LEFT} {base}H{WIDTH - RIGHT}"/>')
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">'
        "phase of the strongest step</text></svg>"
    )
    return "".join(parts)

"""The pieces that charts are drawn with: escaped SVG elements; classes give them colour."""

from collections.abc import Iterable

from markupsafe import Markup


def picture(parts: Iterable[Markup], width: float, height: float, description: str) -> Markup:
    """A picture that scales with the page; the description is for those who cannot see it."""
    template = Markup(
        '<svg class="chart" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}</svg>'
    )
    return template.format(width, height, description, Markup("").join(parts))


def text(x: float, y: float, content: str, style: str, anchor: str = "start") -> Markup:
    """Words on the base line y; `anchor` says what stands at x: their start, middle or end."""
    template = Markup('<text x="{:.1f}" y="{:.1f}" class="{}" text-anchor="{}">{}</text>')
    return template.format(x, y, style, anchor, content)


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    """A straight line."""
    template = Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>')
    return template.format(x1, y1, x2, y2, style)


def polyline(points: Iterable[tuple[float, float]], style: str) -> Markup:
    """A line through points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup('<polyline points="{}" class="{}"/>').format(path, style)


def polygon(points: Iterable[tuple[float, float]], style: str) -> Markup:
    """A filled area."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup('<polygon points="{}" class="{}"/>').format(path, style)


def circle(x: float, y: float, radius: float, style: str) -> Markup:
    """A dot."""
    template = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" class="{}"/>')
    return template.format(x, y, radius, style)


def rectangle(x: float, y: float, width: float, height: float, style: str) -> Markup:
    """A bar with slightly rounded corners."""
    template = Markup(
        '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2" class="{}"/>'
    )
    return template.format(x, y, width, height, style)


def titled(title: str, *parts: Markup) -> Markup:
    """Elements that show a title under the pointer."""
    return Markup("<g><title>{}</title>{}</g>").format(title, Markup("").join(parts))

"""From a matplotlib figure to inline SVG that scales with the page and takes its colours and font.

A chart is drawn in CSS pixels: `WIDTH` for half a desktop page or a whole phone, `NARROW` for a
third of a page. Colours are roles ("accent", "grid" …), drawn in placeholder colours that become
the page's CSS variables of the same names, so one picture serves light and dark mode. matplotlib is
imported by the first chart.
"""

import functools
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any, ParamSpec
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 380
NARROW = 300
FONT = 13
SMALL = 11
# mean width of a letter of `FONT`
LETTER = 7.2
# roles of colours: CSS variables of the template, and their placeholders in matplotlib
ROLES = ("ink", "soft", "grid", "accent", "quiet", "mark", "card")
COLOR = {role: f"#fe{place:02x}fd" for place, role in enumerate(ROLES)}

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "recsys",
    "text.parse_math": False,
    "text.color": COLOR["ink"],
    "font.size": FONT,
    "axes.edgecolor": COLOR["quiet"],
    "axes.facecolor": "none",
    "axes.formatter.limits": (-4, 9),
    "axes.formatter.useoffset": False,
    "axes.labelcolor": COLOR["soft"],
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "grid.color": COLOR["grid"],
    "grid.linewidth": 1.0,
    "lines.markerfacecolor": COLOR["accent"],
    "lines.solid_capstyle": "round",
    "xtick.color": COLOR["quiet"],
    "xtick.labelcolor": COLOR["soft"],
    "ytick.color": COLOR["quiet"],
    "ytick.labelcolor": COLOR["soft"],
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}
_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Arguments = ParamSpec("Arguments")


def page_style(chart: Callable[Arguments, Markup]) -> Callable[Arguments, Markup]:
    """Draws a chart with the settings of the pages instead of matplotlib's own."""

    @functools.wraps(chart)
    def styled(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Markup:
        from matplotlib import rc_context

        with rc_context(_SETTINGS), warnings.catch_warnings():
            # matplotlib's font only measures; the browser has the glyphs
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            return chart(*args, **kwargs)

    return styled


def new_chart(
    width: float, height: float, *, y_label: str = "", grid: bool = True
) -> tuple["Figure", "Axes"]:
    """An empty figure with one axes; the label of the y axis stands above it.

    Args:
        width: in CSS pixels.
        height: in CSS pixels.
        y_label: unit of the y axis.
        grid: draw a line across at every tick of the y axis.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # matplotlib counts in inches of 72 points
    layout = ConstrainedLayoutEngine(w_pad=2 / 72, h_pad=3 / 72)
    figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout=layout)
    axes = figure.subplots()
    axes.set_axisbelow(True)
    axes.grid(grid, axis="y")
    if y_label:
        words = shortened(y_label, width / LETTER)
        figure.suptitle(words, x=0.0, ha="left", fontsize=FONT, color=COLOR["soft"])
    return figure, axes


def add_legend(figure: "Figure", axes: "Axes") -> None:
    """Names what is drawn, below the chart, where that is more than one thing."""
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) < 2:
        return
    width = figure.get_figwidth() * 72
    columns = max(1, min(len(labels), int(width / (max(map(len, labels)) * LETTER + 50))))
    figure.legend(
        handles,
        [shortened(label, width / LETTER - 8) for label in labels],
        loc="outside lower left",
        ncols=columns,
        handlelength=1.4,
        frameon=False,
        labelcolor=COLOR["soft"],
    )


def svg_of(
    figure: "Figure", description: str, titles: Mapping[str, str | Sequence[str]] | None = None
) -> Markup:
    """The figure as an SVG element without ids, links, a font or a date.

    Args:
        figure: what to draw.
        description: read to those who cannot see the picture.
        titles: gid of an artist to the text shown under the pointer: one for the artist, or one for
            each of its markers.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    text = StringIO()
    FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
    root = ElementTree.fromstring(text.getvalue())
    _inline_markers(root)
    _add_titles(root, titles or {})
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag.endswith(("metadata", "defs"))]:
            parent.remove(child)
    for element in root.iter():
        _clean(element)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    # a little larger than drawn where there is room
    root.set("style", f"max-width: {figure.get_figwidth() * 72 * 1.16:.0f}px")
    root.attrib |= {"class": "chart", "role": "img", "aria-label": _printable(description)}
    # ElementTree has escaped what came from outside
    return Markup(re.sub(r">\s+<", "><", ElementTree.tostring(root, encoding="unicode")))


def nothing_to_show(description: str, words: str = "nothing to show") -> Markup:
    """A picture that says so."""
    template = Markup(
        '<svg class="chart" viewBox="0 0 {width} 40" role="img" aria-label="{description}">'
        '<text x="{middle}" y="24" text-anchor="middle" style="fill: var(--soft)">{words}</text>'
        "</svg>"
    )
    return template.format(
        width=WIDTH, description=_printable(description), middle=WIDTH / 2, words=words
    )


def shortened(text: str, letters: float) -> str:
    """The text on one line, or as much of it as these letters hold, with an ellipsis."""
    text = " ".join(_printable(text).split())
    return text if len(text) <= letters else text[: max(int(letters) - 1, 1)].rstrip() + "…"


def padded_range(values: Sequence[float], room: float = 0.06) -> tuple[float, float]:
    """Lowest and highest finite value with a little room; a single value gets room around it."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if len(finite) == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    added = (high - low) * room or abs(high) * 0.1 or 0.5
    return low - added, high + added


def _printable(text: str) -> str:
    """Characters that XML cannot hold, such as half a surrogate pair, become question marks."""
    return _NOT_XML.sub("?", text)


def _inline_markers(root: ElementTree.Element) -> None:
    """Replaces every <use> by the path that it refers to, so that the picture needs no ids."""
    shapes = {path.get("id"): path for path in root.iter(f"{_SVG}path")}
    for use in list(root.iter(f"{_SVG}use")):
        shape = shapes[use.attrib.pop(_LINK)[1:]]
        x, y = float(use.get("x", "0")), float(use.get("y", "0"))
        styles = [style for style in (shape.get("style"), use.get("style")) if style]
        use.tag = f"{_SVG}path"
        use.attrib = {"d": shape.get("d", ""), "transform": f"translate({x:.1f} {y:.1f})"}
        if styles:
            use.set("style", "; ".join(styles))


def _add_titles(root: ElementTree.Element, titles: Mapping[str, str | Sequence[str]]) -> None:
    for group in list(root.iter(f"{_SVG}g")):
        words = titles.get(group.get("id", ""))
        if words is None:
            continue
        marks = [mark for mark in group.iter(f"{_SVG}path") if "transform" in mark.attrib]
        named = [(group, words)] if isinstance(words, str) else zip(marks, words, strict=True)
        for element, title in named:
            added = ElementTree.Element(f"{_SVG}title")
            added.text = _printable(title)
            element.insert(0, added)


def _clean(element: ElementTree.Element) -> None:
    element.tag = element.tag.removeprefix(_SVG)
    for name in ("id", "clip-path"):
        element.attrib.pop(name, None)
    if "d" in element.attrib:
        element.set("d", _rounded(element.get("d", "")))
    if element.tag == "text":
        for name in ("x", "y"):
            element.set(name, _rounded(element.get(name, "0")))
        if element.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
    if "style" in element.attrib:
        style = re.sub(r"font-family: [^;]*;? ?", "", element.get("style", ""))
        for role, color in COLOR.items():
            style = style.replace(color, f"var(--{role})")
        element.set("style", style)


def _rounded(numbers: str) -> str:
    rounded = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found.group()):.1f}", numbers)
    return " ".join(rounded.split())

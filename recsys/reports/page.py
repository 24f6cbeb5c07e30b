"""A page: one HTML file that opens offline, made from sections.

The template draws the blocks of `blocks` and knows no section.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from recsys.reports.blocks import Section
from recsys.runs.folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page says.

    Attributes:
        title: heading.
        subtitle: short facts below it.
        verdict: the conclusion, in one or two sentences.
        caution: what limits it; may be empty.
        numbers: value and label of the few numbers to see first.
        sections: in order; None, where a run does not hold what a section needs, is left out.
    """

    title: str
    subtitle: Sequence[str] = ()
    verdict: str = ""
    caution: str = ""
    numbers: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section | None] = ()


def render_page(page: Page) -> str:
    """The page as HTML; everything that came from outside is escaped."""
    template = files("recsys.reports").joinpath("report.html.jinja").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    html = environment.from_string(template).render(
        title=page.title,
        subtitle=page.subtitle,
        verdict=page.verdict,
        caution=page.caution,
        numbers=page.numbers,
        sections=[section for section in page.sections if section],
    )
    # half a surrogate pair in a product name cannot be encoded
    return html.encode("utf-8", "replace").decode("utf-8")


def write_report(run: RunFolder, page: Page) -> None:
    """Writes report.html of a run."""
    run.write_text("report.html", render_page(page))

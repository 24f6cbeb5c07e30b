"""A page: one file that opens offline, made from sections; only this fills the template."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from recsys.reports.blocks import Section
from recsys.runs.folder import RunFolder


@dataclass(frozen=True)
class Page:
    """What stands on a page; what came from outside is escaped when it is rendered.

    Attributes:
        title: heading.
        subtitle: protocol, seed, time.
        verdict: what was found, in a sentence.
        caution: what to bear in mind; may be empty.
        numbers: the few to see first: value and what it is.
        sections: in order; None where there is nothing to show.
    """

    title: str
    subtitle: Sequence[str]
    verdict: str
    caution: str
    numbers: Sequence[tuple[str, str]]
    sections: Sequence[Section | None]


def write_report(run: RunFolder, page: Page) -> None:
    """Writes report.html."""
    run.write_text("report.html", render_page(page))


def render_page(page: Page) -> str:
    """The page as text."""
    template = files("recsys.reports").joinpath("report.html.jinja").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.from_string(template).render(
        title=page.title,
        subtitle=page.subtitle,
        verdict=page.verdict,
        caution=page.caution,
        numbers=page.numbers,
        sections=[section for section in page.sections if section],
    )
    # half a surrogate pair in a product name cannot be written
    return text.encode("utf-8", "replace").decode("utf-8")

"""HTML pages from templates: no scripts, no foreign files, and no text that is not made harmless.

References:
    Jinja, Template Designer Documentation.
"""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from eva.grading.reports.escape import html_text


def render_page(template: str, **values: object) -> str:
    """HTML text of a template of this package; values are texts, numbers, or drawings."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("eva.grading.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _harmless(value: object) -> object:
    """What a template writes: a drawing as it is, everything else by our own rules for text."""
    return value if isinstance(value, Markup) else Markup(html_text(str(value)))

"""The one place where text of students is made harmless: for terminals, CSV, markdown, HTML, files.

Ids, paths, messages and traces all come from strangers. Every report writes them through here.
"""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&:@$^=/])")


def plain(text: str) -> str:
    r"""One line that moves no cursor, colors nothing and turns no reading direction.

    Control and format characters, line breaks and what XML can't hold become visible escapes.

    Example:
        >>> plain("a\x1b[31mb")
        'a\\x1b[31mb'
    """
    return "".join(_visible(char) for char in text)


def lines(text: str) -> str:
    """The same for text of several lines: line feeds and tabs stay."""
    return "\n".join(plain(line.expandtabs(4)) for line in text.split("\n"))


def csv_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula: those get an apostrophe in front.

    Quotes and commas are the business of :mod:`csv`.
    """
    clean = plain(text)
    dangerous = clean.lstrip(" '\"").startswith(_FORMULA) or text[:1] in _FORMULA
    return f"'{clean}" if dangerous else clean


def markdown(text: str) -> str:
    """Text that markdown shows as it is: no link, image, mention, table cell or HTML."""
    return _MARKDOWN.sub(_entity, plain(text))


def html_text(text: str) -> str:
    """Text for HTML, between tags or in an attribute; line feeds stay."""
    return html.escape(lines(text), quote=True)


def file_name(text: str) -> str:
    """A name of at most 60 characters for a file; different texts give different names.

    Example:
        >>> file_name("alice")
        'alice'
    """
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:40].strip("_")
    if safe == text:
        return safe
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe or 'student'}-{digest}"


def _visible(char: str) -> str:
    if unicodedata.category(char) not in _INVISIBLE:
        return char
    code = ord(char)
    if code < 0x100:
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _entity(match: re.Match[str]) -> str:
    """As a character reference, which markdown never reads as syntax; backslashes it may."""
    return f"&#{ord(match[1])};"

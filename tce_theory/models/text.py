"""Reading a text as tokens."""

from __future__ import annotations

import os
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from unicodedata import category

from tce_theory.errors import DomainError
from tce_theory.validation import one_of

__all__ = ["count_tokens", "read_text", "standard_text", "tokens"]


@lru_cache(maxsize=1)
def _word() -> re.Pattern[str]:
    r"""Return the pattern of a word: letters and digits of any script, with inner apostrophes.

    ``\w`` lacks combining marks, without which words fall apart in Devanagari, Thai, or Arabic with its vowels.
    """
    marks = "".join(chr(code) for code in range(0x10000) if category(chr(code)).startswith("M"))
    part = rf"\w[\w{marks}]*"
    return re.compile(rf"{part}(?:['’]{part})*")


def standard_text() -> str:
    """Return the text that every Python installation carries: the help topics of the language reference.

    Examples
    --------
    >>> len(standard_text()) > 100_000
    True
    """
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def read_text(path_or_text: str | os.PathLike[str]) -> str:
    """Return the text of a file, or the string itself if it is not the name of a file.

    Raises
    ------
    DomainError
        If the file is not UTF-8, or a string looks like a path but no such file exists.
    FileNotFoundError
        If a `PathLike` names no file.

    Examples
    --------
    >>> read_text("to be or not to be")
    'to be or not to be'
    """
    if isinstance(path_or_text, os.PathLike) or _is_file(path_or_text):
        try:
            return Path(path_or_text).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise DomainError("text", os.fspath(path_or_text), f"a file in UTF-8 ({error.reason})") from None
    if not isinstance(path_or_text, str):
        raise DomainError("text", path_or_text, "a string or a path")
    # one word is no text (but for scripts without spaces), and a line that ends like a file name is taken for one that
    # is missing
    line = path_or_text.strip()
    one_word = len(line.split()) == 1 and line.isascii()
    if "\n" not in line and (one_word or re.search(r"\w\.[A-Za-z]\w{0,4}$", line)):
        raise DomainError("text", path_or_text, "a text, or the path of an existing file")
    return path_or_text


def _is_file(name: object) -> bool:
    try:
        return isinstance(name, str) and len(name) < 4096 and "\n" not in name and Path(name).is_file()
    except (OSError, ValueError):  # no name of a file at all
        return False


def tokens(text: str, unit: str = "word") -> list[str]:
    """Split a text into lower-case words, or into characters.

    Examples
    --------
    >>> tokens("Don't panic, don't!")
    ["don't", 'panic', "don't"]
    """
    if one_of("unit", unit, ("word", "char")) == "char":
        return list(text)
    return _word().findall(text.lower())


def count_tokens(text: str, unit: str = "word") -> dict[str, int]:
    """Count the tokens of a text, most frequent first, ties in alphabetical order.

    Examples
    --------
    >>> count_tokens("to be or not to be")
    {'be': 2, 'to': 2, 'not': 1, 'or': 1}
    """
    return dict(sorted(Counter(tokens(text, unit)).items(), key=lambda item: (-item[1], item[0])))

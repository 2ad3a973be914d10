"""TeX formulas as text for a terminal: the part of TeX that the registry of theorems is written in."""

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["as_text"]

_SYMBOLS = {
    "varepsilon": "ε", "varphi": "φ", "lambda": "λ", "ell": "ℓ", "infty": "∞", "partial": "∂", "nabla": "∇",
    "ge": "≥", "le": "≤", "ne": "≠", "approx": "≈", "sim": "~", "to": "→", "downarrow": "↓", "in": "∈", "notin": "∉",
    "pm": "±", "cdot": "·", "times": "×", "ldots": "…", "mid": "|", "|": "‖", "lVert": "‖", "rVert": "‖",
    "lceil": "⌈", "rceil": "⌉", "lfloor": "⌊", "rfloor": "⌋", "langle": "⟨", "rangle": "⟩",
    "sum": "Σ", "prod": "Π", "int": "∫", "{": "{", "}": "}", "left": "", "right": "", ",": " ", ";": " ", " ": " ",
}  # fmt: skip
_DELIMITERS = {"left", "right", "lVert", "rVert", "langle", "rangle", "lceil", "rceil", "lfloor", "rfloor"}
_CLOSING = {"rVert", "rangle", "rceil", "rfloor"}
_ACCENTS = {"bar": "\u0304", "overline": "\u0305", "hat": "\u0302", "tilde": "\u0303", "dot": "\u0307"}
_FONTS = {"mathrm", "mathbb", "mathbf", "mathcal", "operatorname", "text"}
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def as_text(markdown: str) -> str:
    r"""Replace the formulas between dollars by text.

    Examples
    --------
    >>> as_text(r"The floor is $\sigma_f = \frac{1}{\gamma\sqrt{2\pi e}}$, $\sigma_t^2 \ge 0$.")
    'The floor is σ_f = 1/(γ√(2π e)), σ_t² ≥ 0.'
    """
    return re.sub(r"\$([^$]+)\$", lambda match: _formula(match[1]), markdown)


def _formula(tex: str) -> str:
    return _sequence(iter(re.findall(r"\\[A-Za-z]+ ?|\\.|.", tex.replace("\n", " ")))).strip()


def _sequence(tokens: Iterator[str]) -> str:
    """Read up to the end, or to the end of a group."""
    text, fraction, after_word = "", "", False
    for token in tokens:
        if token == "}":
            break
        part = _atom(token, tokens)
        name = token[1:].rstrip()
        is_word = token.startswith("\\") and part.isascii() and part.strip().isalpha()
        is_factor = part[:1].isalnum() or part[:1] in ("(", "[", "√", "‖")
        if is_factor and fraction:  # 1/n times (1 + 1/n), and not 1 over n times that
            text = text.rstrip().removesuffix(fraction) + f"({fraction}) "
        if name == "frac" and after_word:
            part = f"({part})"
        elif (is_word and text[-1:].isalnum()) or (after_word and (part[:1].isalnum() or part[:1] == "√")):
            text = text.rstrip() + " "
        text = (text.rstrip() if name in _CLOSING else text) + part
        if part.strip():
            fraction = part if name == "frac" and not after_word else ""
            after_word = is_word
    return text


def _atom(token: str, tokens: Iterator[str]) -> str:
    """Read what one token, and its arguments, stand for."""
    if token == "{":
        return _sequence(tokens)
    if token in "^_":
        return _script(token, _argument(tokens).strip())
    if not token.startswith("\\"):
        return token
    name = token[1:].rstrip() or " "
    if name == "frac":
        return f"{_enclosed(_argument(tokens))}/{_enclosed(_argument(tokens))}"
    if name == "binom":
        return f"C({_argument(tokens)}, {_argument(tokens)})"
    if name == "sqrt":
        return "√" + _enclosed(_argument(tokens))
    if name in _ACCENTS:
        letters = _argument(tokens)
        accented = [unicodedata.normalize("NFC", letter + _ACCENTS[name]) for letter in letters.strip()]
        return "".join(accented) + letters[len(accented) :]
    if name in _FONTS:
        return _argument(tokens)
    symbol = _SYMBOLS[name] if name in _SYMBOLS else _greek(name) or name
    return symbol + " " if token.endswith(" ") and name not in _DELIMITERS else symbol


def _argument(tokens: Iterator[str]) -> str:
    token = next(tokens, "")
    while token == " ":
        token = next(tokens, "")
    return _atom(token, tokens) if token else ""


def _greek(name: str) -> str | None:
    """Return the letter of that name, a capital one if the name is capital."""
    size = "CAPITAL" if name[0].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {size} LETTER {name.upper()}")
    except KeyError:
        return None


def _script(mark: str, text: str) -> str:
    if mark == "^" and re.fullmatch(r"-?\d+", text):
        return text.translate(_SUPERSCRIPTS)
    if re.fullmatch(r"[^\W_]+|[^\w\s]", text) and (mark == "_" or len(text) == 1):
        return mark + text
    return f"{mark}{{{text}}}" if mark == "_" else f"^({text})"


def _enclosed(text: str) -> str:
    """Put parentheses around what would fall apart beside a stroke."""
    simple = re.fullmatch(r"\d+(\.\d+)?|[^\W\d]([²³]|_\w)?|√(\w|\([^()]*\))", text)
    return text if simple else f"({text})"

"""Settings of Sphinx. Nothing here, and nothing in a page it builds, needs the network."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils.math import MathError, unichar2tex
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

from tce_theory import theorems

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata
    from sphinx.writers.html5 import HTML5Translator

project = "tce_theory"
author = "The tce_theory developers"
copyright = "2026, The tce_theory developers"
release = installed_version("tce_theory")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
nitpicky = False

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say types, with shapes
numpydoc_show_class_members = False  # the templates list members, each with its whole docstring

html_theme = "furo"
html_title = f"tce_theory {release}"
html_static_path = ["_static"]
html_css_files = ["math.css"]
html_math_renderer = "mathml"

logger = logging.getLogger(__name__)


def mathml(node: nodes.math | nodes.math_block) -> str:
    """Return the formula of `node` as MathML, or as its source with a warning if docutils cannot read it."""
    source = node.astext()
    try:
        formula = tex2mathml(source.translate(unichar2tex.uni2tex_table), as_block=isinstance(node, nodes.math_block))
        # bars are those of absolute values: without the space that operators have around them
        return str(formula).replace('<mo stretchy="false">|', '<mo stretchy="false" lspace="0" rspace="0">|')
    except MathError as error:
        logger.warning("formula %r: %s", source, error, location=node)
        return f"<code>{nodes.unescape(source)}</code>"


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula in a line of text."""
    translator.body.append(mathml(node))
    raise nodes.SkipNode


def visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a displayed formula, with its number if it has a label."""
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(mathml(node) + "</div>\n")
    raise nodes.SkipNode


def keep_bars(_app: Sphinx, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """Escape bars in a docstring: there they are absolute values, never the substitutions of reStructuredText."""
    in_example = False
    for i, line in enumerate(lines):
        in_example = line.lstrip().startswith(">>>") or (in_example and bool(line.strip()))
        if not in_example:
            # every other part is a literal between double backticks
            parts = re.split("(``.*?``)", line)
            parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
            lines[i] = "".join(parts)


def link_slugs(_app: Sphinx, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """Make the slugs of theorems in a docstring links to what they say."""
    for i, line in enumerate(lines):
        if re.match(r"\s*Slugs? `", line):
            lines[i] = re.sub(
                r"`([a-z0-9-]+)`", lambda slug: f":ref:`{slug[1]}`" if slug[1] in theorems.every() else slug[0], line
            )


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register MathML as a way to show formulas, and the treatment of bars in docstrings.

    Browsers show MathML by themselves, and docutils, which Sphinx is built on, makes it from TeX: there is no script or
    font to ship or to fetch (MathJax), and no LaTeX to install (images).
    """
    app.add_html_math_renderer("mathml", inline_renderers=(visit_inline, None), block_renderers=(visit_block, None))
    app.connect("autodoc-process-docstring", keep_bars)
    app.connect("autodoc-process-docstring", link_slugs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

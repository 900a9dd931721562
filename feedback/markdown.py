"""Show what models and people wrote as HTML that cannot hurt the reader.

Markdown with tables, code in colours and mathematics ($..$, $$..$$, \\(..\\), \\[..\\]). HTML in the text is shown as
text. Nothing is loaded from elsewhere: an image becomes a link. No `style` attributes: the content security policy
forbids them, so colours and alignment are classes (static/css/markdown.css has them, for light and dark).

Every text gets an answer, however hostile: what is too long for the parser, or breaks it, stands there as plain text,
whole, because a person has to judge all of it.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence

import nh3
from django.core.cache import cache
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from latex2mathml.converter import convert as latex_to_mathml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.texmath import texmath_plugin
from pygments import highlight as highlight_code
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

logger = logging.getLogger(__name__)

LENGTH_LIMIT = 50_000
"""Characters of Markdown that are parsed; a longer text is shown as it is."""
FORMULA_MARKS_LIMIT = 400
"""Dollar signs, \\( and \\[ in a text; past it nothing is read as mathematics, whose parser takes quadratic time."""
FORMULA_LENGTH_LIMIT = 2_000
FORMULA_DEPTH_LIMIT = 30
CODE_LENGTH_LIMIT = 20_000
"""Characters in a code block that are coloured; a longer block stays plain."""
CACHE_SECONDS = 24 * 3600
VERSION = 1
"""Part of the cache key; raise it when the same text shall look different."""
HEADING_SHIFT = 2
"""A heading in a text lies under the page's own: # becomes h3."""

LANGUAGES = frozenset(
    """
    bash c c# c++ console cpp cs csharp css diff docker dockerfile elixir erlang fortran go golang graphql
    haskell html ini java javascript js json jsx julia kotlin kt latex less lua make makefile matlab nginx
    objective-c ocaml octave perl php powershell ps1 py pycon python python3 r rb rs ruby rust scala scss sh
    shell sql svelte swift tex toml ts tsx typescript vue xml yaml yml zsh
    """.split()  # noqa: SIM905  a list of words reads better as words
)
"""Languages that are coloured: the ones models write, and no lexer that nobody has looked at."""

FORMULA_MARK = re.compile(r"\$|\\[(\[]")
TAG = re.compile(r"<\s*/?\s*([^\s>/]*)")
LINK = re.compile(r"(https?://|mailto:)", re.IGNORECASE)
PARSED_TAGS = frozenset(
    """
    a blockquote br code del div em h3 h4 h5 h6 hr li ol p pre s span strong table tbody td th thead tr ul
    """.split()  # noqa: SIM905  a list of words reads better as words
)
MATH_TAGS = frozenset(
    """
    math mfrac mi mn mo mover mpadded mphantom mroot mrow ms mspace msqrt mstyle msub msubsup msup mtable mtd
    mtext mtr munder munderover
    """.split()  # noqa: SIM905  a list of words reads better as words
)
MATH_ATTRIBUTES = {
    "*": {"mathvariant", "displaystyle", "scriptlevel"},
    "math": {"display", "xmlns"},
    "mo": {"stretchy", "fence", "form", "separator", "movablelimits", "lspace", "rspace", "minsize", "maxsize"},
    "mfrac": {"linethickness"},
    "mspace": {"width", "height", "depth", "linebreak"},
    "mpadded": {"width", "height", "depth", "lspace", "voffset"},
    "mtable": {"columnalign", "columnspacing", "rowspacing", "columnlines", "rowlines", "displaystyle"},
    "mtd": {"columnalign"},
    "mover": {"accent"},
    "munder": {"accentunder"},
}
ATTRIBUTES = {
    **MATH_ATTRIBUTES,
    "a": {"href", "title", "target"},
    "code": {"class"},
    "div": {"class"},
    "ol": {"start"},
    "span": {"class"},
    "td": {"class"},
    "th": {"class"},
}
ALIGNMENT_CLASSES = {"text-align:right": "text-end", "text-align:center": "text-center"}


def render(text: str) -> SafeString:
    """Return a prompt, response or note as HTML; a line break in it stays one, as in a chat."""
    return cached(text, line_breaks=True)


def render_document(text: str) -> SafeString:
    """Return a document such as guidelines as HTML; its lines flow together into paragraphs."""
    return cached(text, line_breaks=False)


def cached(text: str, *, line_breaks: bool) -> SafeString:
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate cannot be sent to anybody
    if len(text) > LENGTH_LIMIT:
        return plain(text)
    key = f"markdown:{VERSION}:{'chat' if line_breaks else 'document'}:{hashlib.sha256(text.encode()).hexdigest()}"
    html = cache.get(key)
    if html is None:
        html = parse(text, line_breaks=line_breaks)
        cache.set(key, html, CACHE_SECONDS)
    return mark_safe(html)  # noqa: S308  nh3 has cleaned it


def parse(text: str, *, line_breaks: bool) -> str:
    mathematics = len(FORMULA_MARK.findall(text)) <= FORMULA_MARKS_LIMIT
    try:
        html = PARSERS[line_breaks, mathematics].render(text)
    except Exception:  # whatever a parser does on hostile text, the reader gets the text
        logger.exception("Markdown of %d characters could not be parsed", len(text))
        return plain(text)
    return nh3.clean(
        html,
        tags=set(PARSED_TAGS | MATH_TAGS),
        attributes=ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


def plain(text: str) -> SafeString:
    """Return `text` as it is, escaped, its line breaks kept."""
    return mark_safe(f'<pre class="plain-text">{escape(text)}</pre>')  # noqa: S308  escaped


def colour(code: str, language: str, _attributes: str) -> str:
    """Return a code block's inner HTML with Pygments' classes; "" leaves it to the parser, plain."""
    language = language.lower()
    if language not in LANGUAGES or len(code) > CODE_LENGTH_LIMIT:
        return ""
    return highlight_code(code, get_lexer_by_name(language, stripnl=False), HtmlFormatter(nowrap=True))


def formula(latex: str, display: str) -> str:
    """Return MathML, or the source as code where it is no LaTeX that we can show.

    latex2mathml writes the text inside a formula out unescaped: what has turned into another tag is shown as source,
    and nothing that it makes is trusted before it is cleaned.
    """
    if len(latex) <= FORMULA_LENGTH_LIMIT and depth(latex) <= FORMULA_DEPTH_LIMIT:
        try:
            mathml = latex_to_mathml(latex, display=display)
        except Exception as error:  # it has an exception of its own for few of the things it trips over
            logger.debug("LaTeX is shown as source: %r", error)
        else:
            if MATH_TAGS.issuperset(TAG.findall(mathml)):
                return nh3.clean(mathml, tags=set(MATH_TAGS), attributes=MATH_ATTRIBUTES)
    return f'<code class="language-latex">{escape(latex)}</code>'


def depth(latex: str) -> int:
    """Return how deep braces and \\left, \\begin nest, counting every opening one."""
    deepest = level = 0
    for mark in re.finditer(r"\{|\}|\\left|\\right|\\begin|\\end", latex):
        level += -1 if mark.group() in ("}", "\\right", "\\end") else 1
        deepest = max(deepest, level)
    return deepest


def image_as_link(self: RendererHTML, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType) -> str:
    token = tokens[place]
    label = self.renderInlineAsText(token.children, options, env) or "without a description"
    address = str(token.attrGet("src"))
    return f'<a href="{escape(address)}" target="_blank">image: {escape(label)}</a>'


def block_formula(self: RendererHTML, tokens: Sequence[Token], place: int, *_: object) -> str:
    return f'<div class="formula">{formula(tokens[place].content.strip(), "block")}</div>\n'


def span_formula(self: RendererHTML, tokens: Sequence[Token], place: int, *_: object) -> str:
    return formula(tokens[place].content.strip(), "inline")


def fit_into_page(state: StateCore) -> None:
    """Move headings under the page's, open links apart, and turn alignment into a class."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + HEADING_SHIFT, 6)}"
        elif token.type in ("th_open", "td_open"):
            align = str(token.attrs.pop("style", ""))
            if align:
                token.attrSet("class", ALIGNMENT_CLASSES.get(align, ""))
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("target", "_blank")


def make_parser(*, line_breaks: bool, mathematics: bool) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": line_breaks, "highlight": colour})
    parser.enable(["table", "strikethrough"])
    parser.validateLink = lambda url: bool(LINK.match(url.strip()))  # type: ignore[method-assign]
    parser.core.ruler.push("fit_into_page", fit_into_page)
    parser.add_render_rule("image", image_as_link)
    if mathematics:
        parser.use(dollarmath_plugin, allow_space=False, allow_digits=False, double_inline=True)
        parser.use(texmath_plugin, delimiters="brackets")
        for kind in ("math_inline", "math_single", "math_inline_double"):
            parser.add_render_rule(kind, span_formula)
        for kind in ("math_block", "math_block_label", "math_block_eqno"):
            parser.add_render_rule(kind, block_formula)
    return parser


PARSERS = {
    (line_breaks, mathematics): make_parser(line_breaks=line_breaks, mathematics=mathematics)
    for line_breaks in (True, False)
    for mathematics in (True, False)
}

"""Whatever a model or a person wrote is shown, and can do nothing."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from django.core.cache import cache
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback.markdown import FORMULA_MARKS_LIMIT, LENGTH_LIMIT, parse, render, render_document

ALLOWED = frozenset(
    """a blockquote br code del div em h3 h4 h5 h6 hr li ol p pre s span strong table tbody td th thead tr ul math mfrac
    mi mn mo mover mpadded mphantom mroot mrow ms mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder
    munderover""".split()  # noqa: SIM905
)
FORBIDDEN = re.compile(r"on\w+|style|src|srcset|action|formaction|id|name|xlink:href")


class Reader(HTMLParser):
    """Fails on anything that could do something."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        for name, value in attrs:
            assert not FORBIDDEN.fullmatch(name), (tag, name, value)
            if name == "href":
                assert re.match(r"https?://|mailto:", value or ""), value

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"comment {data!r}")


def assert_harmless(html: str) -> None:
    reader = Reader(convert_charrefs=True)
    reader.feed(html)
    reader.close()


def test_markdown_becomes_html_below_the_pages_own_headings():
    html = render("# Title\n\n- one\n- **two**\n\n> said")
    assert "<h3>Title</h3>" in html
    assert "<strong>two</strong>" in html
    assert "<blockquote>" in html


def test_line_breaks_stay_in_a_chat_and_flow_in_a_document():
    assert "<br" in render("roses\nviolets")
    assert "<br" not in render_document("roses\nviolets")


def test_code_is_coloured_by_classes():
    html = render('```python\nreturn "<b>"\n```')
    assert '<span class="k">return</span>' in html
    assert "&lt;b&gt;" in html
    assert "style=" not in html


def test_code_in_an_unknown_language_stays_plain():
    assert '<code class="language-brainfog">a &lt; b' in render("```brainfog\na < b\n```")


@pytest.mark.parametrize("text", ["$x^2$", "\\(x^2\\)", "$$\nx^2\n$$", "\\[ x^2 \\]", "so $$x^2$$ it is"])
def test_mathematics_becomes_mathml(text):
    assert "<msup><mi>x</mi><mn>2</mn></msup>" in render(text)


def test_prices_are_no_formulas():
    assert "<math" not in render("It costs $5 today and $10 tomorrow.")


def test_broken_latex_is_shown_as_source():
    html = render(r"$\frac{1}{$ and $\left( x$")
    assert "\\frac" in html or "<math" in html
    assert "x" in html


def test_alignment_in_a_table_is_a_class():
    html = render("| a | b |\n|--:|:-:|\n| 1 | 2 |")
    assert '<td class="text-end">1</td>' in html
    assert "style" not in html


def test_a_remote_image_becomes_a_link():
    html = render("![a cat](https://example.org/cat.png)")
    assert "<img" not in html
    assert 'href="https://example.org/cat.png"' in html
    assert "image: a cat" in html


def test_links_leave_without_saying_where_from():
    html = render("[there](https://example.org)")
    assert 'rel="noopener noreferrer nofollow"' in html
    assert 'target="_blank"' in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '<a href="javascript:alert(1)">x</a>',
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt&colon;alert(1))",
        "[x](  data:text/html;base64,PHNjcmlwdD4= )",
        "[x](vbscript:msgbox)",
        "[x](/accounts/logout/)",
        "![x](javascript:alert(1))",
        '![x" onerror="alert(1)](https://a/b.png)',
        '[x](https://a "t\\" onmouseover=\\"alert(1)")',
        "<svg/onload=alert(1)>",
        '<math><mtext><table><mglyph><style><img src=x onerror="alert(1)">',
        "$\\text{<script>alert(1)</script>}$",
        "$\\text{<img src=x onerror=alert(1)>}$",
        '$$\\text{<span class="btn" style="position:fixed">x</span>}$$',
        "\\[\\href{javascript:alert(1)}{x}\\]",
        "$\\style{position:fixed}{x}$",
        '```"><script>alert(1)</script>\ncode\n```',
        '```python" onclick="alert(1)\ncode\n```',
        "<iframe src=//evil></iframe><form action=//evil><button>x",
        "<style>*{display:none}</style>",
        "<!--<img src=x onerror=alert(1)>-->",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "\x00<scr\x00ipt>alert(1)</scr\x00ipt>",
        "[a]: javascript:alert(1)\n\n[a]",
        "<https://a/<script>>",
    ],
)
def test_hostile_text_is_shown_and_does_nothing(text):
    assert_harmless(render(text))
    assert_harmless(render_document(text))


def test_what_hides_in_a_formula_is_still_shown():
    assert "alert(1)" in render("$\\text{<script>alert(1)</script>}$")


@pytest.mark.parametrize(
    "text",
    [
        "> " * 10_000 + "deep",
        "\n".join("  " * depth + "- a" for depth in range(200)),
        "[" * LENGTH_LIMIT,
        "![" * 25_000,
        "\\(" * 25_000,
        "$$ x\n\n" * 8_000,
        "$a" * 25_000,
        "*a_" * 16_000,
        "`" * LENGTH_LIMIT,
        "|" * 25_000 + "\n" + "|-" * 12_500,
        "```python\n" + "(" * 19_000,
        "```html\n" + "<a " * 6_000,
        "$" + "{" * 900 + "}" * 900 + "$",
        "$" + "\\frac" * 300 + "$",
        "```\nnever closed " + "x" * 1_000,
        "\ud800 half a character",
        "",
        "\n" * 1_000,
    ],
    ids=range(18),
)
def test_pathological_text_is_rendered_in_good_time(text):
    started = time.process_time()
    assert_harmless(render(text))
    assert time.process_time() - started < 6.0


def test_a_megabyte_is_shown_whole_as_plain_text():
    text = "<b>" + "long text\n" * 100_000
    html = render(text)
    assert html.startswith('<pre class="plain-text">&lt;b&gt;long text')
    assert html.count("long text") == 100_000


def test_a_text_with_too_many_formulas_loses_only_its_formulas():
    html = render("$x$ " * FORMULA_MARKS_LIMIT + "**bold**")
    assert "<math" not in html
    assert "<strong>bold</strong>" in html


def test_a_text_that_breaks_the_parser_is_shown_as_it_is(monkeypatch):
    monkeypatch.setattr("feedback.markdown.PARSERS", {})
    assert parse("a <b>", line_breaks=True) == '<pre class="plain-text">a &lt;b&gt;</pre>'


def test_the_same_text_is_parsed_once(monkeypatch):
    cache.clear()
    first = render("parsed **once**")
    monkeypatch.setattr("feedback.markdown.PARSERS", {})
    assert render("parsed **once**") == first


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(alphabet=st.sampled_from("<>\"'&;:$\\()[]{}!*_`|-#~/= \nabcjavscriptonerror"), max_size=200))
def test_no_text_at_all_gets_through(text):
    assert_harmless(parse(text, line_breaks=True))

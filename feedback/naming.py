"""Find the words in which a response gives away what model wrote it. A curator sees them, no annotator does.

A model names itself in the first person: it says who it is ("I'm SmolLM", "As ChatGPT, I ..."), or who made it ("I was
trained by Anthropic"). A text that talks about models in the third person ("Claude is made by Anthropic") names
nobody, and neither does one that says what it is not. These are patterns over words: a person who plays a part ("I am
Claude, a painter") is flagged too, and a model with a name that nobody here knows is found only by its `model_name`.
"""

from __future__ import annotations

import re

WORDS_LIMIT = 200
READ_LIMIT = 8_000
"""Characters of a response that are looked at."""

NAMES = (
    "ChatGPT", "InstructGPT", r"GPT[- ]?4o", r"GPT[- ]?[2345](?:[.]\d)?(?:[- ]?(?:turbo|mini))?", "Llama",
    "CodeLlama", "TinyLlama", "Mixtral", "Ministral", "Qwen", "QwQ", "Tongyi", "DeepSeek", "SmolLM", "LaMDA",
    "Copilot", "Bing Chat", "Nemotron", "ChatGLM", "MiniMax", "OLMo", "OpenAssistant", "Open Assistant", "StableLM",
    "Baichuan", "InternLM", "OpenChat", "WizardLM", "Guanaco", "Vicuna", "EuroLLM",
)  # fmt: skip
WORDS_TOO = (
    "Claude", "Gemini", "Gemma", "Bard", "PaLM", "Mistral", "Alpaca", "Koala", "Dolly", "Falcon", "Phi", "Grok",
    "ERNIE", "Kimi", "GLM", "Zephyr", "BLOOM", "Pythia", "Hermes", "Granite", "Jamba", "Aya", "Yi", "Starling",
    "Apertus", "Tulu", "Command R",
)  # fmt: skip
"""Names that are words or people elsewhere: only as written here."""
MAKERS = (
    "OpenAI", "Anthropic", "Google", "DeepMind", "Meta", "Facebook", "Mistral", "Alibaba", "DeepSeek", "Hugging ?Face",
    "Microsoft", "xAI", "Cohere", "LMSYS", "LAION", "Stability", "Allen Institute", "AI2", "IBM", "NVIDIA", "Moonshot",
    "Zhipu", "Baidu", "Tencent", "ByteDance", "Databricks", "Nous Research", "Inflection", "AI21", "Amazon", "Apple",
)  # fmt: skip
COMMON = {"base", "model", "policy", "instruct", "chat", "reward", "assistant", "adapter", "checkpoint", "demo", "test"}
"""First words of model names that are words of every day."""

AI = r"(?:AI|A\.I\.|artificial intelligence|language model|LLM|chat ?bot|virtual assistant|digital assistant)"
MADE = r"(?:created|developed|made|trained|built|designed|fine-?tuned|released|programmed)"
FILLERS = (
    r"(?:(?:an?|the|large|small|open|free|virtual|helpful|friendly|AI|language|model|assistant|chat ?bot|called|named"
    r"|known as|version of|instance of|variant of|based on|built on|powered by|just|actually|still|simply|your"
    r"|artificial|intelligence|conversational|digital|system),? ){0,8}"
)
BY = r"by (?:the (?:team|company|people|folks|researchers|engineers)(?: at| of| behind)? |researchers at )?"


def patterns(names: str) -> tuple[re.Pattern[str], ...]:
    """Compile what a first person says of itself; `names` is an alternation of model names."""
    makers = "|".join(MAKERS)
    # Letters and digits may follow a name ("SmolLM2-135M"), an apostrophe-s may not ("I am Claude's friend").
    name = rf"(?:{names})(?:[-. ]?v?\d[\w.-]*)?(?![\w'])"
    maker = rf"(?:{makers})(?!\w)"
    i_am = r"\bI(?:'m| am| was)"
    return tuple(
        re.compile(pattern, re.IGNORECASE)
        for pattern in (
            rf"{i_am} {FILLERS}(?<! a )(?<! an ){name}(?! (?:fans?|users?|experts?|customer|developer|engineer)\b)",
            rf"{i_am} {FILLERS}{name}[- ](?:(?:based|powered|style|like|language) )?(?:AI|model|assistant|chat ?bot)\b",
            rf"\b(?:my name is|my name's|you can call me|call me|I am called|I'm called|I go by) {name}",
            rf"\bas {name}(?:, (?:an? [^.,\n]{{0,80}}, )?(?:I|my)\b| I\b)",
            rf"\bas an? {AI}[^.,\n]{{0,60}} {MADE}(?: and \w+)? {BY}{maker}",
            rf"\b(?:I(?:'m| am| was|'ve been| have been)) (?:\w+ly )?{MADE}(?: and \w+)? {BY}{maker}",
            rf"{i_am} (?:an?|the) [^.!?]{{0,80}}?\b{AI},? [^.!?]{{0,40}}?\b(?:{MADE}(?: and \w+)? {BY}|from ){maker}",
            rf"\b{maker}(?: AI)?,? (?:who |which )?(?:has |have )?(?:created|developed|trained|built|designed) me\b",
            rf"\bmy (?:creators?|makers?|developers?)(?: at|,| is| are) {maker}",
        )
    )


LETTERS = re.compile(r"[a-z]+")
FIRST_WORDS = frozenset(
    word
    for name in (*NAMES, *WORDS_TOO, *MAKERS)
    if (first := LETTERS.match(name.lower()))
    for word in (first.group(), f"{first.group()}v")
)
"""One of them stands in every text in which a known pattern finds something ("GPTv4"); that is seen much faster."""
KNOWN = patterns(f"{'|'.join(NAMES)}|(?-i:{'|'.join(WORDS_TOO)})")


def words_of_self_naming(text: str, model_name: str = "") -> str:
    """Return the first words in which `text` names the model that wrote it, or its maker; empty when it does not.

    `model_name` is what the project calls the model; a text that says this of itself gives it away too.
    """
    own = own_names(model_name)
    lowered = text[:READ_LIMIT].lower()
    if FIRST_WORDS.isdisjoint(LETTERS.findall(lowered)) and not any(name.lower() in lowered for name in own):
        return ""
    text = " ".join(text[:READ_LIMIT].replace("\u2019", "'").split())
    found = [
        match
        for pattern in (*KNOWN, *(patterns("|".join(re.escape(name) for name in own)) if own else ()))
        if (match := pattern.search(text)) is not None
    ]
    first = min(found, key=lambda match: (match.start(), -match.end()), default=None)
    return first.group()[:WORDS_LIMIT] if first else ""


def own_names(model_name: str) -> list[str]:
    """Return what a model may call itself: by "org/Nimbus2-1B-Instruct" that whole last part, Nimbus2, or Nimbus."""
    whole = model_name.strip().rstrip("/").rsplit("/", 1)[-1]
    first = re.split(r"[-_ .:]", whole, maxsplit=1)[0]
    stem = first.rstrip("0123456789")
    return [
        name
        for name in dict.fromkeys((whole, first, stem))
        if len(name) >= 4 and name[0].isalpha() and name.lower() not in COMMON and " " not in name
    ]

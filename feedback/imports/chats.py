"""Prompts and answers in the shapes that files have: chats, plain text, transcripts; alone and in pairs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeGuard

from feedback.contract import BadMessages, Message, check_messages
from feedback.imports.cells import BadCell, check_unicode, checked_text, is_filled, parsed_json

PROMPT_LENGTH_LIMIT = 100_000
"""Characters of all messages together."""
RESPONSE_LENGTH_LIMIT = 100_000
MESSAGES_LIMIT = 200
ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "prompter": "user"}
"""Other names of the roles, as ShareGPT and Open Assistant use them."""
TURN = re.compile(r"(?:\A|\n\n)\s*(Human|Assistant):[ ]?")
TEXT_KEYS = ("text", "content", "value", "response", "completion", "output", "generation")
"""Where an answer that is an object has its text."""


def read_prompt(column: str, value: object) -> list[Message]:
    """Return a prompt as a chat that ends with the user's turn. Raises BadCell."""
    return checked_prompt(column, as_chat(column, value))


def checked_prompt(column: str, chat: object) -> list[Message]:
    if is_plain(chat):
        return [{"role": "user", "content": chat}]
    chat = [{"role": "user", "content": chat}] if isinstance(chat, str) else chat
    try:
        messages = check_messages(chat)
    except BadMessages as error:
        raise BadCell(column, str(error)) from error
    if len(messages) > MESSAGES_LIMIT:
        raise BadCell(column, f"{len(messages)} messages; the most is {MESSAGES_LIMIT}")
    for number, message in enumerate(messages, start=1):
        check_unicode(column, message["content"], f"message {number} ")
    if (length := sum(len(message["content"]) for message in messages)) > PROMPT_LENGTH_LIMIT:
        raise BadCell(column, f"the text has {length:,} characters; the most is {PROMPT_LENGTH_LIMIT:,}")
    return messages


def is_plain(chat: object) -> TypeGuard[str]:
    """Tell whether it is a text of which all that is checked is seen at once to be right, as most prompts are."""
    return (
        isinstance(chat, str)
        and len(chat) <= PROMPT_LENGTH_LIMIT
        and chat.isascii()
        and not chat.isspace()
        and chat != ""
        and "\x00" not in chat
    )


def as_chat(column: str, value: object) -> object:
    """Return text as it is, or the chat that it holds; roles under their usual names."""
    if isinstance(value, str):
        if column.lower() in ("messages", "conversations") or value.lstrip().startswith("[{"):
            value = parsed_chat(column, value)
        elif is_transcript(value):
            value = read_transcript(value)
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = value["messages"]
    return [renamed(message) for message in value] if isinstance(value, list) else value


def is_transcript(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("\n\nHuman:", "Human:"))


def parsed_chat(column: str, text: str) -> object:
    """Return the chat that `text` holds as JSON; elsewhere than in `messages`, text that is none is the prompt."""
    strict = column.lower() in ("messages", "conversations")
    try:
        value = parsed_json(column, text)
    except BadCell as error:
        if not strict:
            return text
        raise BadCell(column, f"neither a list of messages nor JSON of one: {error.message}") from error
    if not strict and not (isinstance(value, list) and all(map(is_message, value))):
        return text
    if isinstance(value, str):
        raise BadCell(column, "messages must be a list of {role, content}, not text")
    return value


def is_message(value: object) -> bool:
    return isinstance(value, dict) and ("role" in value or "from" in value)


def renamed(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    if "role" not in message and "from" in message:
        message = {"role": message["from"], "content": message.get("value")}
    role = message.get("role")
    return {**message, "role": ROLES[role]} if isinstance(role, str) and role in ROLES else message


def read_transcript(text: str) -> list[dict[str, str]]:
    """Return the turns of "\\n\\nHuman: ...\\n\\nAssistant: ..."."""
    parts = TURN.split(text)
    roles = {"Human": "user", "Assistant": "assistant"}
    return [{"role": roles[role], "content": said.strip()} for role, said in zip(parts[1::2], parts[2::2], strict=True)]


# Answers ------------------------------------------------------------------------------------------------


def read_answer(column: str, value: object, prompt: Sequence[Message] | None = None) -> str:
    """Return the text of an answer: plain, in an object, or as a chat of one message or with the prompt before it."""
    if isinstance(value, dict):
        if is_message(value):
            value = [value]
        else:
            key = next((key for key in TEXT_KEYS if isinstance(value.get(key), str)), None)
            if key is None:
                raise BadCell(column, f"the object has no text under {', '.join(TEXT_KEYS[:4])}")
            value = value[key]
    chat = as_chat(column, value)
    if isinstance(chat, list):
        before, answer = split_chat(column, chat)
        if before and list(before) != list(prompt or ()):
            raise BadCell(column, "the chat before the answer is another one than the prompt")
        return answer
    return checked_text(column, chat, RESPONSE_LENGTH_LIMIT)


def split_chat(column: str, chat: Sequence[Any]) -> tuple[list[Message], str]:
    """Return what comes before the last message, which is the assistant's, and its text."""
    last = chat[-1] if chat else None
    if not isinstance(last, dict) or last.get("role") != "assistant":
        raise BadCell(column, "the last message is the assistant's: that is the answer")
    answer = last.get("content")
    if not isinstance(answer, str):
        raise BadCell(column, f"the answer is a text, not {type(answer).__name__}")
    return list(chat[:-1]), checked_text(column, answer, RESPONSE_LENGTH_LIMIT)


def read_talk(column: str, value: object) -> tuple[list[Message], str]:
    """Return prompt and answer out of a chat that ends with the assistant's turn."""
    chat = as_chat(column, value)
    if not isinstance(chat, list):
        raise BadCell(column, "a chat that ends with the assistant's turn is expected; give the prompt a column")
    before, answer = split_chat(column, chat)
    if not before:
        raise BadCell(column, "the chat holds an answer and no prompt before it; give the prompt a column")
    return checked_prompt(column, before), answer


def read_pair(
    columns: tuple[str, str, str], prompt: object, chosen: object, rejected: object
) -> tuple[list[Message], str, str]:
    """Return prompt and both answers of a preference pair, the prompt explicit or the start that both chats share."""
    given = as_chat(columns[0], prompt) if is_filled(prompt) else None
    first, second = as_chat(columns[1], chosen), as_chat(columns[2], rejected)
    if isinstance(first, list) and isinstance(second, list) and len(first) > 1:
        before, answer = split_chat(columns[1], first)
        other, lesser = split_chat(columns[2], second)
        if before != other:
            raise BadCell(columns[2], "the two chats differ before their last message; they answer the same prompt")
        messages = checked_prompt(columns[1], before)
        if given is not None and not is_said_in(given, messages):
            raise BadCell(columns[0], "the prompt is another one than the start of the two chats")
        return messages, answer, lesser
    if given is None:
        raise BadCell(columns[1], "there is no prompt: give it a column, or chats that hold it before the two answers")
    messages = checked_prompt(columns[0], given)
    return messages, read_answer(columns[1], first, messages), read_answer(columns[2], second, messages)


def is_said_in(given: object, messages: Sequence[Message]) -> bool:
    """Tell whether a prompt in its own column is the chat, or what the user says in it at the end or the beginning."""
    if isinstance(given, str):
        said = [message["content"].strip() for message in messages if message["role"] == "user"]
        return given.strip() in (said[0], said[-1])
    return isinstance(given, list) and given == list(messages)

"""Find or make the prompts and responses that a batch of drafts speaks of."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from feedback.hygiene.scanning import PromptText
from feedback.imports.cells import BadCell
from feedback.imports.drafts import Draft, PromptDraft, ResponseDraft, origin_of
from feedback.imports.inserting import Insert, among
from feedback.models import FileImport, Project, Prompt, Response
from feedback.models.people import new_id
from feedback.naming import words_of_self_naming


@dataclass(slots=True)
class KnownPrompt:
    id: uuid.UUID
    external_id: str
    language: str
    split: str
    stored: bool = True


@dataclass(slots=True)
class KnownResponse:
    id: uuid.UUID
    prompt: uuid.UUID
    text: str | None
    model: str
    external_id: str


@dataclass(slots=True)
class Placed:
    """A draft whose prompt and responses have their ids."""

    draft: Draft
    prompt: KnownPrompt
    responses: list[KnownResponse]


@dataclass
class Placing:
    """One batch: what the project knows of it, and what it adds. `store` writes; without it nothing is."""

    project: Project
    drafts: Sequence[Draft]
    seen: dict[int, int] = field(default_factory=dict)
    """Where nothing is written: the names that earlier batches of the file gave to prompts, as hashes."""
    placed: list[Placed] = field(default_factory=list)
    refused: list[tuple[Draft, BadCell]] = field(default_factory=list)
    new_prompts: list[tuple[KnownPrompt, PromptDraft]] = field(default_factory=list)
    new_responses: list[tuple[KnownResponse, ResponseDraft]] = field(default_factory=list)
    there: int = 0
    """Prompts of the batch that the project had before, or that stand in it more than once."""
    named: list[tuple[uuid.UUID, str]] = field(default_factory=list)
    """Stored prompts that had no id until the file gave them one."""
    renamed: int = 0
    """Those of them that the project knows by another id than the file."""

    def place(self) -> None:
        """Give every draft its prompt and responses, those that are there or new ones."""
        self.read_prompts()
        self.read_responses()
        for draft in self.drafts:
            before = len(self.new_prompts), len(self.new_responses)
            try:
                prompt = self.prompt_of(draft)
                self.placed.append(Placed(draft, prompt, [self.response_of(prompt, one) for one in draft.responses]))
            except BadCell as error:
                self.refused.append((draft, error))
                self.forget(*before)

    def forget(self, prompts: int, responses: int) -> None:
        """Take back what a refused draft would have added: all from these places on."""
        for known, response in self.new_responses[responses:]:
            self.by_text[known.prompt, known.text].remove(known)
            self.by_model[known.prompt, known.model].remove(known)
            if response.external_id:
                self.by_id[response.external_id].remove(known)
        for _, prompt in self.new_prompts[prompts:]:
            del self.by_digest[prompt.digest]
            self.by_name.pop(prompt.external_id, None)
        del self.new_prompts[prompts:], self.new_responses[responses:]

    # What is there

    def read_prompts(self) -> None:
        digests = {draft.prompt.digest for draft in self.drafts if draft.prompt is not None}
        names = {draft.prompt_id for draft in self.drafts if draft.prompt_id}
        names |= {draft.prompt.external_id for draft in self.drafts if draft.prompt is not None}
        self.by_digest: dict[str, KnownPrompt] = {}
        self.by_name: dict[str, tuple[KnownPrompt, str]] = {}
        stored = self.project.prompts.all()
        columns = ("id", "external_id", "language", "split", "digest")
        for wanted in (among(stored, "digest", digests), among(stored, "external_id", names - {""})):
            for *known, key in wanted.values_list(*columns):
                prompt = self.by_digest.setdefault(key, KnownPrompt(*known))
                if prompt.external_id:
                    self.by_name[prompt.external_id] = (prompt, key)

    def read_responses(self) -> None:
        prompts = {prompt.id for prompt in self.by_digest.values()}
        names = {one.external_id for draft in self.drafts for one in draft.responses if one.external_id}
        self.by_text: dict[tuple[uuid.UUID, str | None], list[KnownResponse]] = {}
        self.by_model: dict[tuple[uuid.UUID, str], list[KnownResponse]] = {}
        self.by_id: dict[str, list[KnownResponse]] = {}
        if not any(draft.responses for draft in self.drafts):
            return
        columns = ("id", "prompt_id", "text", "model_name", "external_id")
        by_words = any(one.text is not None or not one.external_id for draft in self.drafts for one in draft.responses)
        asked = Response.objects.filter(prompt__in=prompts) if by_words else Response.objects.none()
        known = {row[0]: row for row in asked.values_list(*columns)}
        if names:
            more = Response.objects.filter(external_id__in=names, prompt__project=self.project)
            known |= {row[0]: row for row in more.values_list(*columns)}
        for row in known.values():
            self.remember(KnownResponse(*row))
        self.prompts_of_responses({one.prompt for found in self.by_id.values() for one in found} - prompts)

    def prompts_of_responses(self, missing: set[uuid.UUID]) -> None:
        self.by_pk = {prompt.id: prompt for prompt in self.by_digest.values()}
        columns = ("id", "external_id", "language", "split")
        for known in Prompt.objects.filter(pk__in=missing).values_list(*columns):
            self.by_pk[known[0]] = KnownPrompt(*known)

    def remember(self, response: KnownResponse) -> None:
        self.by_text.setdefault((response.prompt, response.text), []).append(response)
        self.by_model.setdefault((response.prompt, response.model), []).append(response)
        if response.external_id:
            self.by_id.setdefault(response.external_id, []).append(response)

    # Prompts

    def prompt_of(self, draft: Draft) -> KnownPrompt:
        if draft.prompt is not None:
            return self.own_prompt(draft.prompt)
        if draft.prompt_id:
            if draft.prompt_id in self.by_name:
                return self.by_name[draft.prompt_id][0]
            if hash(draft.prompt_id) in self.seen:
                return KnownPrompt(new_id(), draft.prompt_id, "", "", stored=False)
            raise BadCell(
                "prompt_id", f"the project has no prompt with the id {draft.prompt_id!r}; import the prompts first"
            )
        return self.prompt_of_answers(draft)

    def own_prompt(self, said: PromptDraft) -> KnownPrompt:
        named = self.by_name.get(said.external_id)
        earlier = self.seen.get(hash(said.external_id)) if said.external_id else None
        if (named and named[1] != said.digest) or (earlier is not None and earlier != hash(said.digest)):
            raise BadCell("prompt_id", f"the id {said.external_id!r} belongs to another prompt; ids are given once")
        prompt = self.by_digest.get(said.digest)
        if prompt is not None:
            self.there += 1
            self.renamed += bool(said.external_id and prompt.external_id and said.external_id != prompt.external_id)
            if said.external_id and not prompt.external_id:
                self.name_prompt(prompt, said)
            return prompt
        prompt = KnownPrompt(new_id(), said.external_id, said.about.get("language", ""), "", stored=False)
        self.new_prompts.append((prompt, said))
        self.by_digest[said.digest] = prompt
        if said.external_id:
            self.by_name[said.external_id] = (prompt, said.digest)
        return prompt

    def name_prompt(self, prompt: KnownPrompt, said: PromptDraft) -> None:
        prompt.external_id = said.external_id
        self.by_name[said.external_id] = (prompt, said.digest)
        if prompt.stored:
            self.named.append((prompt.id, said.external_id))

    def prompt_of_answers(self, draft: Draft) -> KnownPrompt:
        """Return the one prompt that the named responses answer."""
        answered: set[uuid.UUID] | None = None
        for one in draft.responses:
            found = {known.prompt for known in self.by_id.get(one.external_id, ())}
            if not found:
                raise BadCell(
                    "", f"the project has no response with the id {one.external_id!r}; import responses first"
                )
            answered = found if answered is None else answered & found
        if answered is None or len(answered) != 1:
            words = "answer no prompt in common" if not answered else "answer several prompts; name the prompt"
            raise BadCell("", f"the responses of this row {words}")
        return self.by_pk[answered.pop()]

    # Responses

    def response_of(self, prompt: KnownPrompt, said: ResponseDraft) -> KnownResponse:
        if said.text is None:
            return self.named_response(prompt, said)
        for known in self.by_text.get((prompt.id, said.text), ()):
            if said.external_id and known.external_id != said.external_id:
                continue
            if said.model in ("", known.model):
                return known
        taken = [known for known in self.by_id.get(said.external_id, ()) if known.prompt == prompt.id]
        if said.external_id and taken:
            raise BadCell("response_id", f"the id {said.external_id!r} belongs to another response to this prompt")
        response = KnownResponse(new_id(), prompt.id, said.text, said.model, said.external_id)
        self.new_responses.append((response, said))
        self.remember(response)
        return response

    def named_response(self, prompt: KnownPrompt, said: ResponseDraft) -> KnownResponse:
        if said.external_id:
            found = [known for known in self.by_id.get(said.external_id, ()) if known.prompt == prompt.id]
            words = f"no response with the id {said.external_id!r} to this prompt; import the responses first"
        else:
            found = self.by_model.get((prompt.id, said.model), [])
            words = f"no response of the model {said.model!r} to this prompt; import the responses first"
        if not found:
            raise BadCell("", f"the project has {words}")
        if len(found) > 1:
            raise BadCell("", f"the model {said.model!r} has {len(found)} responses to this prompt; name them by id")
        return found[0]

    def remember_names(self) -> None:
        """Keep what a dry run of the next batches has to know of this one."""
        for _, said in self.new_prompts:
            if said.external_id:
                self.seen[hash(said.external_id)] = hash(said.digest)

    # What is new

    def make(self, file_import: FileImport, now: datetime) -> None:
        """Make what is new, with no cluster and split yet; of prompts no models, for there are the most of them."""
        self.file_import, self.now = file_import, now
        self.prompts = [
            PromptText(prompt.id, said.messages, said.about["language"]) for prompt, said in self.new_prompts
        ]
        self.responses = [
            Response(
                id=known.id, prompt_id=known.prompt, text=said.text or "", origin=origin_of(said),
                external_id=said.external_id, model_name=said.model, sampling=said.sampling,
                names_itself=words_of_self_naming(said.text or "", said.model), file_import=file_import,
                created_at=now,
            )
            for known, said in self.new_responses
        ]  # fmt: skip

    def store(self) -> None:
        """Write the new prompts, which have their clusters and splits by now, and the new responses."""
        Insert(Prompt, PROMPT).rows(self.prompt_rows())
        for prompt, name in self.named:
            Prompt.objects.filter(pk=prompt, external_id="").update(external_id=name)
        said = [one.draft.prompt.digest for one in self.placed if one.draft.prompt is not None]
        if len(said) > len(self.prompts):  # what somebody said in a talk is now a prompt of the pool
            Prompt.objects.filter(project=self.project, digest__in=said, of_talk=True).update(of_talk=False)
        Insert(Response, RESPONSE).models(self.responses)

    def prompt_rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the values of each new prompt, in the order of PROMPT."""
        project, file_import, by, now = (
            self.project.pk, self.file_import.pk, self.file_import.created_by_id, self.now
        )  # fmt: skip
        for text, (prompt, said) in zip(self.prompts, self.new_prompts, strict=True):
            about = said.about
            yield (
                text.pk, project, said.messages, said.digest, text.cluster, text.split, about["source"],
                about["licence"], about["language"], text.text_language, about["tags"], prompt.external_id,
                file_import, by, now,
            )  # fmt: skip


PROMPT = (
    "id", "project", "messages", "digest", "cluster", "split", "source", "licence", "language", "text_language", "tags",
    "external_id", "file_import", "created_by", "created_at",
)  # fmt: skip
RESPONSE = (
    "id", "prompt", "text", "origin", "external_id", "model_name", "sampling", "names_itself", "file_import",
    "created_at",
)  # fmt: skip

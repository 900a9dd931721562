"""What a reward model is on the disk, and its scores: one member or an ensemble, one head or one for each attribute.

model/                     of an adapter, or of a whole model (checkpoint.json says is_whole)
    reward.json            RewardCard: members, heads, what to take off and to divide by
    adapter_model...       the first member; `score.weight` is its head
    member-1/, member-2/   the other members of an ensemble of full members, each with a head of its own

`score.weight` is [rows, hidden]. Row `m * heads + h` is head h of member m, for an ensemble of heads; a full member's
has its heads alone. Head 0 is the reward. A directory without reward.json holds one member with one head.

Adapters stay apart from the weights that they adapt: added in, they would round differently, and a reloaded model's
scores would not be those of the trained one to the last bit.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from training.ml.adapted_linear import without_detours
from training.ml.models import MissingModel, backbone, check_source, load_policy, pick_device
from training.ml.sequences import last_states
from training.rundir import ModelSource, read_json, write_json

CARD = "reward.json"
REWARD = "reward"
"""Name of head 0."""
HEAD_SCALE = 0.1


@dataclass(frozen=True)
class RewardCard:
    """What it takes to read a reward model's scores, beside its weights."""

    members: int = 1
    ensemble: str = "full"
    """Where there are several members: "heads" on one adapter, or "full" members."""
    heads: tuple[str, ...] = (REWARD,)
    """The reward, then the keys of the attributes that ratings trained."""
    centre: tuple[float, ...] = ()
    """Taken off each member's reward, so that members can be compared; empty for nothing."""
    temperature: float = 1.0
    """sigmoid((reward of one - reward of another) / temperature) is the probability that people prefer the one."""
    trained: dict[str, Any] = field(default_factory=dict)
    """How it was trained: {"preferences", "ties", "rankings", "ratings", ...} and its settings."""

    @property
    def full_members(self) -> int:
        """How many sets of weights there are."""
        return self.members if self.ensemble == "full" else 1

    @property
    def head_rows(self) -> int:
        """Rows of each set's `score.weight`."""
        return self.members // self.full_members * len(self.heads)


def write_card(directory: Path, card: RewardCard) -> None:
    write_json(directory / CARD, dataclasses.asdict(card))


def read_card(source: ModelSource) -> RewardCard:
    """Return the card of the reward model that `source` ends in; raises MissingModel for one that says nonsense."""
    path = model_directory(source) / CARD
    values = read_json(path)
    if values is None:
        return RewardCard()
    try:
        return RewardCard(**{**values, "heads": tuple(values["heads"]), "centre": tuple(values["centre"])})
    except (KeyError, TypeError) as error:
        raise MissingModel(f"{path} does not describe a reward model: {error}") from error


def model_directory(source: ModelSource) -> Path:
    """Return the directory with the score head: the last adapter's, or the whole model's."""
    return Path(source.adapters[-1] if source.adapters else source.base)


def member_path(directory: Path, member: int) -> Path:
    """Return where the weights of a full member lie; those of heads all lie in the directory itself."""
    return directory / f"member-{member}" if member else directory


def check_reward_source(source: ModelSource | None) -> ModelSource:
    """Return `source` when it names a reward model whose files are there; raises MissingModel."""
    found = check_source(source, "reward model")
    directory = model_directory(found)
    if not found.adapters and not is_whole_reward_model(found.base):
        raise MissingModel(f"{found.base} is a base model, not a reward model: it has no adapter with a score head")
    for member in range(1, read_card(found).full_members):
        if not member_path(directory, member).is_dir():
            raise MissingModel(f"the reward model {directory} has lost its member {member}")
    return found


def is_whole_reward_model(base: str) -> bool:
    """Tell whether a directory holds a whole model with a score head, as full fine-tuning leaves one."""
    architectures = (read_json(Path(base) / "config.json") or {}).get("architectures") or []
    return any(name.endswith("ForSequenceClassification") for name in architectures)


def with_score_head(policy: PreTrainedModel, seed: int, rows: int = 1) -> PreTrainedModel:
    """Return a sequence classifier of `rows` labels on the backbone of `policy`, its head drawn from `seed`.

    The std is a tenth of 1 / sqrt(hidden + 1) (arXiv:2403.17031, detail 11): a few thousand preferences are too few to
    unlearn the order that a wide head gives by chance.
    """
    config = copy.deepcopy(policy.config)
    config.num_labels = rows
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config)
    setattr(model, model.base_model_prefix, backbone(policy))
    width = policy.config.get_text_config().hidden_size
    head = nn.Linear(width, rows, bias=False, dtype=policy.dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.normal_(0.0, HEAD_SCALE * (width + 1) ** -0.5, generator=generator)
    model.score = head
    return model


@dataclass
class Member:
    """One set of weights: a sequence classifier, or one of the adapters on it."""

    model: PreTrainedModel
    peft: PeftModel | None = None
    adapter: str = ""

    def use(self) -> tuple[nn.Module, nn.Module]:
        """Make the shared weights this member's; return what ends in hidden states, and the head."""
        if self.peft is not None:
            self.peft.base_model.set_adapter(self.adapter, inference_mode=True)
        return backbone(self.model), self.model.score


class Scorer:
    """Reads the scores of prompts with their responses. Nothing here is trained."""

    def __init__(self, members: Sequence[Member], card: RewardCard, pad_id: int, precision: str = "float32") -> None:
        """`precision` is that of the arithmetic; weights stay as they are."""
        assert len(members) == card.full_members, f"{len(members)} members, and the card says {card.full_members}"
        self.members, self.card, self.pad_id, self.precision = members, card, pad_id, precision

    @torch.no_grad()
    def all_scores(self, sequences: Sequence[Sequence[int]], batch_size: int = 8) -> Tensor:
        """Return what every head says of token sequences that each end with the end token.

        float32 [members, heads, sequences] on the CPU, in the order given; the reward (head 0) is centred. Sequences of
        like length are read together.
        """
        order = sorted(range(len(sequences)), key=lambda place: len(sequences[place]))
        found = torch.zeros(self.card.members, len(self.card.heads), len(sequences))
        rows = found.view(len(self.members), self.card.head_rows, len(sequences))
        for number, member in enumerate(self.members):
            trunk, head = member.use()
            trunk.eval()
            for start in range(0, len(order), batch_size):
                places = order[start : start + batch_size]
                with torch.autocast(pick_device().type, torch.bfloat16, enabled=self.precision == "bfloat16"):
                    states = last_states(trunk, [sequences[place] for place in places], self.pad_id)
                rows[number][:, places] = head(states.to(head_dtype(head))).float().cpu().T
        if self.card.centre:
            found[:, 0] -= torch.tensor(self.card.centre)[:, None]
        return found

    def scores(self, sequences: Sequence[Sequence[int]], batch_size: int = 8) -> Tensor:
        """Return every member's reward, float32 [members, sequences]; `rl.aggregate` makes one number of them."""
        return self.all_scores(sequences, batch_size)[:, 0]


def head_dtype(head: nn.Module) -> torch.dtype:
    return next(head.parameters()).dtype


def load_scorer(
    source: ModelSource | None,
    tokenizer: PreTrainedTokenizerBase,
    *,
    precision: str = "float32",
    policy: PreTrainedModel | None = None,
) -> Scorer:
    """Load a reward model with all its members; `policy` is what it stands on, where that is in memory already.

    Raises MissingModel.
    """
    source = check_reward_source(source)
    card, directory = read_card(source), model_directory(source)
    paths = [member_path(directory, member) for member in range(card.full_members)]
    if policy is None and source.adapters:
        policy = load_policy(ModelSource(source.base, source.adapters[:-1]), tokenizer)
    return scorer_of_members(paths, card, policy, tokenizer, is_whole=not source.adapters, precision=precision)


def scorer_of_members(
    paths: Sequence[Path],
    card: RewardCard,
    policy: PreTrainedModel | None,
    tokenizer: PreTrainedTokenizerBase,
    *,
    is_whole: bool,
    precision: str = "float32",
) -> Scorer:
    """Return the scores of the members whose weights lie in `paths`: whole models, or adapters on `policy`."""
    if is_whole:
        members = [Member(load_whole(path)) for path in paths]
    else:
        assert policy is not None, "adapters need the model that they stand on"
        members = adapter_members(policy, paths, card)
    return Scorer(members, card, tokenizer.pad_token_id, precision)


def load_whole(path: Path) -> PreTrainedModel:
    try:
        model = AutoModelForSequenceClassification.from_pretrained(path, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError) as error:
        raise MissingModel(f"no reward model can be read from {path}: {error}") from error
    return model.to(pick_device()).eval()


def adapter_members(policy: PreTrainedModel, paths: Sequence[Path], card: RewardCard) -> list[Member]:
    """Return the adapters in `paths`, side by side on `policy`."""
    model = with_score_head(policy, seed=0, rows=card.head_rows)
    peft: PeftModel | None = None
    members = []
    for number, path in enumerate(paths):
        name = f"member{number}"
        try:
            if peft is None:
                peft = PeftModel.from_pretrained(model, path, adapter_name=name)
            else:
                peft.load_adapter(path, adapter_name=name)
        except (OSError, ValueError, RuntimeError) as error:
            raise MissingModel(f"the reward model's adapter in {path} does not fit its base: {error}") from error
        members.append(Member(model, peft, name))
    without_detours(model)  # as in training: otherwise scores would be rounded otherwise
    model.to(pick_device()).eval()
    return members


def named_heads(card: RewardCard, scores: Tensor) -> Mapping[str, Tensor]:
    """Return the mean over members of every head, by its name: [members, heads, B] to {name: [B]}."""
    return dict(zip(card.heads, scores.mean(0), strict=True))

"""Shape of what people type to open and steer a queue. What is allowed is decided by the verbs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms import BoundField

from feedback.contract import HOLDOUT
from feedback.forms import offer
from feedback.gold import KINDS
from feedback.models import Project, Queue, QueuePolicy, User
from feedback.queues import GUIDELINE_LENGTH_LIMIT, RANGES, default_rules
from feedback.splits import SAMPLED
from feedback.steering_forms import annotators_of


class GuidelineForm(forms.Form):
    guideline = forms.CharField(
        label="Guidelines",
        max_length=GUIDELINE_LENGTH_LIMIT,
        strip=False,
        help_text="Markdown. Annotators see them beside every task; each judgment remembers its version.",
        widget=forms.Textarea(attrs={"rows": 18, "class": "code-input"}),
    )


def whole_number(rule: str, label: str, help_text: str = "", *, empty: str = "") -> forms.IntegerField:
    """Return the field of a rule with its range; `empty` says what an empty field means, where it may be empty."""
    low, high = RANGES[rule]
    return forms.IntegerField(
        label=label,
        min_value=low,
        max_value=high,
        initial=default_rules()[rule],
        required=not empty,
        help_text=f"{help_text} Empty: {empty}.".strip() if empty else help_text,
    )


def yes_or_no(rule: str, label: str, help_text: str = "") -> forms.BooleanField:
    return forms.BooleanField(label=label, required=False, initial=default_rules()[rule], help_text=help_text)


@dataclass(frozen=True)
class Section:
    key: str
    title: str
    says: str
    """What the rules in it are for."""
    rules: tuple[str, ...]
    folded: bool = True


SECTIONS = (
    Section(
        "judged",
        "How many people judge a task",
        "One is enough for training data. More people on some of the tasks show how far they agree.",
        ("overlap", "lease_minutes"),
        folded=False,
    ),
    Section(
        "overlap",
        "Overlap on a share, on evaluation, and on disagreement",
        "Spend extra judgments where they teach most.",
        ("overlap_percent", "evaluation_overlap", "overlap_cap"),
    ),
    Section(
        "limits",
        "How much one person does, and until when they may revise",
        "Keeps one voice from becoming the data set.",
        ("annotator_cap", "daily_quota", "revise_hours"),
    ),
    Section(
        "unseen",
        "What is mixed in unseen",
        "Drawn on the server. Annotators cannot tell these tasks from the others.",
        (
            "gold_percent",
            "newcomer_gold_percent",
            "newcomer_judgments",
            "repeat_percent",
            "repeat_after_hours",
            "random_percent",
        ),
    ),
    Section(
        "who",
        "Who may label",
        "Empty and unticked: every annotator of the project.",
        ("languages", "route_by_language", "expertise", "qualification", "named_only", "people"),
    ),
    Section(
        "test",
        "Qualification test",
        "A test queue holds tasks with a gold answer. Whoever passes may label in the queues that require it.",
        ("is_qualification", "pass_judgments", "pass_percent"),
    ),
    Section(
        "review",
        "What curators look at, and when gold is used up",
        "A share of everybody's work is drawn for review; people are not told which.",
        ("review_percent", "propose_disputes", "gold_exposure_percent", "gold_dispute_percent"),
    ),
    Section(
        "seen",
        "What annotators see of their own evidence",
        "On their personal page, never beside a task.",
        ("show_agreement", "show_gold"),
    ),
)


OF_KNOWN_ANSWERS = (
    "overlap_cap",
    "gold_percent",
    "newcomer_gold_percent",
    "newcomer_judgments",
    "repeat_percent",
    "repeat_after_hours",
    "propose_disputes",
    "gold_exposure_percent",
    "gold_dispute_percent",
    "show_agreement",
    "show_gold",
)
"""Rules that mean nothing where two answers cannot be compared: for demonstrations, corrections and conversations."""
OF_TESTS = ("is_qualification", "pass_judgments", "pass_percent")


class RulesForm(forms.Form):
    overlap = whole_number("overlap", "Judgments per task", "By different people.")
    lease_minutes = whole_number(
        "lease_minutes", "Lease in minutes", "So long a claimed task is kept for one person; 1 to 1,440."
    )
    overlap_percent = whole_number(
        "overlap_percent", "Share of tasks with that many, in percent", "The others get one judgment."
    )
    evaluation_overlap = whole_number(
        "evaluation_overlap",
        "Judgments per task on the evaluation split",
        "Evaluation deserves more than one opinion.",
        empty="as the others",
    )
    overlap_cap = whole_number(
        "overlap_cap",
        "On disagreement, ask more people up to",
        "One more at a time, while those who judged a task disagree.",
        empty="never",
    )
    annotator_cap = whole_number("annotator_cap", "Most judgments of one person", empty="no cap")
    daily_quota = whole_number("daily_quota", "Most judgments of one person a day", empty="no quota")
    revise_hours = whole_number(
        "revise_hours", "Judgments may be revised for, in hours", "0: not at all.", empty="until the queue closes"
    )
    gold_percent = whole_number(
        "gold_percent", "Gold, in percent", "Tasks whose good answer is known. Make some on a task's page first."
    )
    newcomer_gold_percent = whole_number("newcomer_gold_percent", "Gold for newcomers, in percent")
    newcomer_judgments = whole_number("newcomer_judgments", "A newcomer is who has judged fewer than")
    repeat_percent = whole_number(
        "repeat_percent", "Repeats, in percent", "A person's own earlier task with the sides swapped."
    )
    repeat_after_hours = whole_number("repeat_after_hours", "Repeat no sooner than after, in hours")
    random_percent = whole_number(
        "random_percent",
        "Uniformly random tasks, in percent",
        "Whatever their priority. Keep some: figures from them are unbiased.",
    )
    languages = forms.CharField(
        label="Languages",
        max_length=1000,
        required=False,
        help_text="Codes such as en or pt-BR, separated by commas. A person needs one of them on their profile.",
    )
    route_by_language = yes_or_no(
        "route_by_language",
        "Offer a task only to people who have the language of its prompt",
    )
    expertise = forms.CharField(
        label="Verified expertise in",
        max_length=60,
        required=False,
        help_text="A domain that a curator has verified on the person's page, for example medicine.",
    )
    qualification = forms.ModelChoiceField(
        Queue.objects.none(),
        label="Passed qualification",
        required=False,
        empty_label="None needed",
        help_text="A qualification queue of this project.",
    )
    named_only = yes_or_no(
        "named_only",
        "Only people whom I name",
        "More can be named later, under People on the queue's page.",
    )
    pass_judgments = whole_number("pass_judgments", "Decided after so many judgments")
    pass_percent = whole_number("pass_percent", "Passed with so many right, in percent")
    review_percent = whole_number(
        "review_percent",
        "Drawn for review, in percent",
        "Of each person's judgments, unless their page says otherwise.",
    )
    propose_disputes = yes_or_no(
        "propose_disputes",
        "Propose a task for adjudication when all its judgments are in and people still differ",
    )
    gold_exposure_percent = whole_number(
        "gold_exposure_percent", "Gold is used up when so many percent of the people know it", "100: never."
    )
    gold_dispute_percent = whole_number(
        "gold_dispute_percent",
        "Gold is retired when so many percent of its judgments contradict it",
        "From five judgments on. 100: never.",
    )
    show_agreement = yes_or_no("show_agreement", "How far they agree with others on the same tasks")
    show_gold = yes_or_no("show_gold", "How many known answers they met")

    def __init__(
        self, data: Any = None, *, project: Project, kind: str, queue: Queue | None = None, **kwargs: Any
    ) -> None:
        """Offer the rules that mean something for a queue of this kind; `queue` is one that is there already."""
        super().__init__(data, **kwargs)
        tests = project.queues.filter(is_qualification=True).order_by("name")
        offer(self, "qualification", tests if queue is None else tests.exclude(pk=queue.pk))
        without = set() if kind in KINDS else {*OF_KNOWN_ANSWERS, *OF_TESTS}
        if queue is not None and not queue.is_qualification:
            without |= {*OF_TESTS}
        for name in without & set(self.fields):
            del self.fields[name]

    def clean_languages(self) -> list[str]:
        return [code.strip() for code in self.cleaned_data["languages"].split(",") if code.strip()]

    @property
    def rules(self) -> dict[str, Any]:
        """What was chosen, as `feedback.queues` takes it."""
        return {name: self.cleaned_data[name] for name in default_rules() if name in self.fields}

    @property
    def sections(self) -> Iterator[tuple[Section, list[BoundField], bool]]:
        """Yield each section with its fields and whether it stands open: with an error, or with a choice of its own."""
        for section in SECTIONS:
            fields = [self[name] for name in section.rules if name in self.fields]
            if fields:
                yield section, fields, not section.folded or any(is_chosen(field) for field in fields)


def is_chosen(field: BoundField) -> bool:
    """Tell whether a rule is not at its default, or is refused."""
    value, default = field.value(), default_rules().get(field.name)
    return bool(field.errors) or str(value or "") != str(default or "")


def rules_of(policy: QueuePolicy) -> Mapping[str, Any]:
    """Return a policy's rules as the form shows them."""
    values = {name: getattr(policy, name) for name in default_rules()}
    return {**values, "languages": ", ".join(policy.languages)}


def rules_in_words(policy: QueuePolicy) -> dict[str, str]:
    """Return every rule by its label in the form, in the form's order."""
    names = [name for section in SECTIONS for name in section.rules if name in default_rules()]
    return {str(RulesForm.base_fields[name].label): value_in_words(getattr(policy, name)) for name in names}


def value_in_words(value: object) -> str:
    if value is True or value is False:
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value) or "none"
    return str(value) if value not in (None, "") else "none"


class OpenForm(RulesForm, GuidelineForm):
    name = forms.CharField(max_length=200)
    is_qualification = forms.BooleanField(
        label="This queue is a test",
        required=False,
        help_text="Every task of it needs a gold answer. This cannot be changed later.",
    )
    people = forms.CharField(
        label="Named people", max_length=4000, required=False, help_text="Usernames of annotators, separated by commas."
    )

    def __init__(self, data: Any = None, *, project: Project, kind: str, may_name: bool, **kwargs: Any) -> None:
        """`may_name` tells whether whoever opens the queue may also name people for it."""
        super().__init__(data, project=project, kind=kind, **kwargs)
        self.project = project
        if not may_name:
            del self.fields["people"]

    def clean_people(self) -> list[User]:
        names = list(dict.fromkeys(name.strip() for name in self.cleaned_data["people"].split(",") if name.strip()))
        found = {person.username: person for person in annotators_of(self.project).filter(username__in=names)}
        if unknown := [name for name in names if name not in found]:
            raise forms.ValidationError(f"No annotator of this project is called {unknown[0]!r}.")
        return [found[name] for name in names]


class FillForm(forms.Form):
    pairs = forms.IntegerField(label="Tasks per prompt", min_value=1, max_value=10, initial=1)
    without_personal_data = forms.BooleanField(label="Without undecided personal data", required=False, initial=True)
    without_near_duplicates = forms.BooleanField(label="Without near-duplicates", required=False)
    holdout = forms.BooleanField(label="Of the hold-out split instead, for a last test", required=False)

    def which(self) -> dict[str, Any]:
        """Return the prompts that are wanted, as `feedback.filling.fillable_prompts` takes them."""
        asked = {name: self.cleaned_data[name] for name in ("without_personal_data", "without_near_duplicates")}
        return {**asked, "splits": (HOLDOUT,) if self.cleaned_data["holdout"] else SAMPLED}


class QueueStateForm(forms.Form):
    state = forms.ChoiceField(choices=Queue.State.choices)

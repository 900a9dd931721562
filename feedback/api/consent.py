"""Consent, erasure and withdrawn snapshots over HTTP; the same verbs as the pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import generics, serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check, project_or_404
from feedback.api.refusals import REFUSED, Refused
from feedback.api.requests import checked, person_of
from feedback.api.serializers import SnapshotSerializer
from feedback.api.snapshots import snapshot_or_404
from feedback.consenting import ConsentRefused, agree, change_text, has_withdrawn, is_missing, text_in_force, withdraw
from feedback.erasing import ErasureRefused, dry_run, refuse_request, request_erasure, start_erasure
from feedback.models import ConsentText, Erasure, ErasureRequest, Judgment, Project, User
from feedback.withdrawing import WithdrawalRefused, withdraw_snapshot

OwnConsent = inline_serializer(
    "OwnConsent",
    {
        "number": serializers.IntegerField(help_text="Version in force; 0 where the project asks nothing."),
        "text": serializers.CharField(help_text="Markdown."),
        "missing": serializers.BooleanField(help_text="You have to agree before you claim."),
        "withdrawn": serializers.BooleanField(help_text="You have taken your consent back."),
    },
)


class AgreeInputSerializer(serializers.Serializer):
    number = serializers.IntegerField(min_value=0, max_value=2**31 - 1, help_text="The version that you have read.")


class ConsentTextSerializer(serializers.ModelSerializer[ConsentText]):
    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = ConsentText
        fields = ["number", "text", "created_by", "created_at"]


class ConsentTextInputSerializer(serializers.Serializer):
    text = serializers.CharField(allow_blank=True, help_text="Markdown; empty ends the question.")


class ErasureNoteInputSerializer(serializers.Serializer):
    note = serializers.CharField(required=False, default="", allow_blank=True)


class ErasureRequestSerializer(serializers.ModelSerializer[ErasureRequest]):
    person: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = ErasureRequest
        fields = ["id", "person", "note", "created_at", "settled_at", "settlement", "answer"]


class ErasureInputSerializer(serializers.Serializer):
    person = serializers.CharField(help_text="Username.")
    reason = serializers.CharField(required=False, default="", allow_blank=True)
    account = serializers.BooleanField(default=False, help_text="Close the account, too.")
    dry_run = serializers.BooleanField(default=False, help_text="Only say what would be erased.")


class ErasureSerializer(serializers.ModelSerializer[Erasure]):
    requested_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )
    receipt = serializers.JSONField(help_text="What was erased, and every snapshot that holds it.")

    class Meta:
        model = Erasure
        fields = ["id", "pseudonym", "reason", "close_account", "receipt", "job", "requested_by", "created_at"]
        fields += ["finished_at"]


class ReasonInputSerializer(serializers.Serializer):
    reason = serializers.CharField()


class WithdrawInputSerializer(serializers.Serializer):
    name = serializers.CharField(help_text="The snapshot's name, once more: this cannot be undone.")
    reason = serializers.CharField()


class ConsentOfOne(APIView):
    @extend_schema(responses=OwnConsent)
    def get(self, request: Request, project: str) -> ApiResponse:
        """What the project asks you to agree to, and whether you have."""
        within = project_or_404(request.user, project, "feedback.label")
        return ApiResponse(own_consent(within, person_of(request)))

    @extend_schema(request=AgreeInputSerializer, responses={200: OwnConsent, 422: REFUSED})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Agree to the version that you have read. 422 when another one is in force by now."""
        within = project_or_404(request.user, project, "feedback.label")
        asked = checked(AgreeInputSerializer, request)
        try:
            agree(project=within, person=person_of(request), number=asked["number"], now=timezone.now())
        except ConsentRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(own_consent(within, person_of(request)))


@extend_schema(request=None, responses=OwnConsent)
@api_view(["POST"])
def consent_withdraw(request: Request, project: str) -> ApiResponse:
    """Take your consent back: no new tasks, and later snapshots leave your labels out."""
    within = project_or_404(request.user, project, "feedback.label")
    withdraw(project=within, person=person_of(request), now=timezone.now())
    return ApiResponse(own_consent(within, person_of(request)))


class ConsentTexts(generics.ListAPIView):
    """List the versions of the consent text, the latest first."""

    serializer_class = ConsentTextSerializer
    queryset = ConsentText.objects.none()

    def get_queryset(self) -> QuerySet[ConsentText]:
        within = project_or_404(self.request.user, self.kwargs["project"], "feedback.manage_annotators")
        return ConsentText.objects.filter(project=within).select_related("created_by")

    @extend_schema(request=ConsentTextInputSerializer, responses={201: ConsentTextSerializer, 422: REFUSED})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Put a new version in force; annotators are asked before they take their next task."""
        within = project_or_404(request.user, project, "feedback.manage_annotators")
        asked = checked(ConsentTextInputSerializer, request)
        try:
            stored = change_text(project=within, text=asked["text"], by=person_of(request), now=timezone.now())
        except ConsentRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        if stored is None:
            raise Refused("text", "no text was in force, and an empty one asks nothing")
        return ApiResponse(ConsentTextSerializer(stored).data, status=201)


class ErasureRequests(generics.ListAPIView):
    """List who asks for erasure and was not answered yet."""

    serializer_class = ErasureRequestSerializer
    queryset = ErasureRequest.objects.none()

    def get_queryset(self) -> QuerySet[ErasureRequest]:
        within = project_or_404(self.request.user, self.kwargs["project"], "feedback.erase")
        return ErasureRequest.objects.filter(project=within, settled_at__isnull=True).select_related("person")

    @extend_schema(request=ErasureNoteInputSerializer, responses={201: ErasureRequestSerializer, 422: REFUSED})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Ask that your labels and texts be erased; an admin answers."""
        within = project_or_404(request.user, project, "feedback.label")
        note = checked(ErasureNoteInputSerializer, request)["note"]
        try:
            asked = request_erasure(project=within, person=person_of(request), note=note, now=timezone.now())
        except ErasureRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(ErasureRequestSerializer(asked).data, status=201)


@extend_schema(request=ReasonInputSerializer, responses={200: ErasureRequestSerializer, 422: REFUSED})
@api_view(["POST"])
def erasure_refuse(request: Request, asked: int) -> ApiResponse:
    """Settle a request without erasing anything; the person reads the reason."""
    found = get_object_or_404(ErasureRequest.objects.select_related("project", "person"), pk=asked)
    check(request.user, "feedback.erase", found.project)
    reason = checked(ReasonInputSerializer, request)["reason"]
    try:
        settled = refuse_request(request=found, by=person_of(request), reason=reason, now=timezone.now())
    except ErasureRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse(ErasureRequestSerializer(settled).data)


class Erasures(generics.ListAPIView):
    """List the receipts of erasures, the latest first."""

    serializer_class = ErasureSerializer
    queryset = Erasure.objects.none()

    def get_queryset(self) -> QuerySet[Erasure]:
        within = project_or_404(self.request.user, self.kwargs["project"], "feedback.erase")
        return Erasure.objects.filter(project=within).select_related("requested_by")

    @extend_schema(request=ErasureInputSerializer, responses={201: ErasureSerializer, 422: REFUSED})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Erase what a person said and wrote, as a job (201); with `dry_run`, answer what the receipt would say (200).

        Afterwards the receipt says what was erased. What has learned from it: `.../people/<username>/learned/`.
        """
        within = project_or_404(request.user, project, "feedback.erase")
        asked = checked(ErasureInputSerializer, request)
        person = somebody_of(within, asked["person"])
        if asked["dry_run"]:
            return ApiResponse(dry_run(project=within, person=person))
        try:
            erasure = start_erasure(
                project=within,
                person=person,
                reason=asked["reason"],
                account=asked["account"],
                requested_by=person_of(request),
                now=timezone.now(),
            )
        except ErasureRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(ErasureSerializer(erasure).data, status=201)


class ErasureDetail(APIView):
    @extend_schema(responses=ErasureSerializer)
    def get(self, request: Request, erasure: UUID) -> ApiResponse:
        """One receipt; `finished_at` is empty while its job is under way."""
        found = get_object_or_404(Erasure.objects.select_related("project", "requested_by"), pk=erasure)
        check(request.user, "feedback.erase", found.project)
        return ApiResponse(ErasureSerializer(found).data)


@extend_schema(request=WithdrawInputSerializer, responses={200: SnapshotSerializer, 422: REFUSED})
@api_view(["POST"])
def snapshot_withdraw(request: Request, snapshot: UUID) -> ApiResponse:
    """Delete a snapshot's files for good; its row, manifest and the ids of its judgments stay."""
    found = snapshot_or_404(request, snapshot)
    check(request.user, "feedback.erase", found.project)
    asked = checked(WithdrawInputSerializer, request)
    try:
        withdraw_snapshot(snapshot=found, by=person_of(request), now=timezone.now(), **asked)
    except WithdrawalRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse(SnapshotSerializer(found).data)


# What the endpoints share


def own_consent(project: Project, person: User) -> dict[str, Any]:
    text = text_in_force(project)
    return {
        "number": text.number if text else 0,
        "text": text.text if text else "",
        "missing": is_missing(project, person),
        "withdrawn": has_withdrawn(project, person),
    }


def somebody_of(project: Project, username: str) -> User:
    """Return somebody who takes part in the project or has said something in it. Raises Refused."""
    judged = Judgment.objects.filter(queue__project=project, annotator=OuterRef("pk"))
    here = Q(Exists(project.memberships.filter(user=OuterRef("pk")))) | Q(Exists(judged))
    found = User.objects.filter(here, username=username).first()
    if found is None:
        raise Refused("person", f"nobody named {username!r} takes part in {project.name} or has said anything in it")
    return found

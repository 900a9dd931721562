"""People over HTTP: who labels in a queue, what they know, what they cost, which tests they passed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check, may, project_or_404
from feedback.api.queues import queue_or_404
from feedback.api.refusals import REFUSED, Refused
from feedback.api.requests import checked, person_of
from feedback.api.steering_serializers import (
    DecisionInputSerializer,
    ExpertiseInputSerializer,
    ExpertiseSerializer,
    NamedSerializer,
    PersonInputSerializer,
    PersonSerializer,
    ProfileInputSerializer,
    QualificationSerializer,
)
from feedback.api.tasks import member_named
from feedback.appointing import AppointmentRefused, name_person, unname_person
from feedback.models import AnnotatorProfile, Expertise, Membership, Project, Qualification, QueueMember, User
from feedback.people import ExpertiseRefused, ProfileRefused, save_profile, verify_expertise, withdraw_expertise
from feedback.qualifying import QualificationRefused, decide_qualification


class NamedPeople(generics.ListAPIView):
    """List the people who are named for the queue; they alone label in it while its policy says `named_only`."""

    serializer_class = NamedSerializer
    queryset = QueueMember.objects.none()

    def get_queryset(self) -> QuerySet[QueueMember]:
        queue = queue_or_404(self.request, self.kwargs["queue"], "feedback.manage_annotators")
        return queue.named.select_related("person", "named_by").order_by("person__username")

    @extend_schema(request=PersonInputSerializer, responses={201: NamedSerializer, 422: REFUSED})
    def post(self, request: Request, queue: UUID) -> ApiResponse:
        """Name an annotator of the project for the queue; again changes nothing."""
        found = queue_or_404(request, queue, "feedback.manage_annotators")
        person = member_named(checked(PersonInputSerializer, request)["person"], found.project)
        try:
            named = name_person(queue=found, person=person, named_by=person_of(request))
        except AppointmentRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(NamedSerializer(named).data, status=201)


@extend_schema(responses={204: None})
@api_view(["DELETE"])
def named_person(request: Request, queue: UUID, username: str) -> ApiResponse:
    """Take a person off the queue's names; what they hold they may finish."""
    found = queue_or_404(request, queue, "feedback.manage_annotators")
    named = user_or_404(User.objects.filter(named_for__queue=found), username)
    unname_person(queue=found, person=named, unnamed_by=person_of(request))
    return ApiResponse(status=204)


class Qualifications(generics.ListAPIView):
    """List who passed and failed this test, by its rule and by word, the latest first: of a person the first counts."""

    serializer_class = QualificationSerializer
    queryset = Qualification.objects.none()

    def get_queryset(self) -> QuerySet[Qualification]:
        queue = queue_or_404(self.request, self.kwargs["queue"], "feedback.manage_annotators")
        return queue.qualifications.select_related("person", "decided_by")

    @extend_schema(request=DecisionInputSerializer, responses={201: QualificationSerializer, 422: REFUSED})
    def post(self, request: Request, queue: UUID) -> ApiResponse:
        """Decide by word whether a person has passed this test; it counts over the rule's decision."""
        found = queue_or_404(request, queue, "feedback.manage_annotators")
        asked = checked(DecisionInputSerializer, request)
        person = member_named(asked["person"], found.project)
        try:
            decision = decide_qualification(
                queue=found,
                person=person,
                passed=asked["passed"],
                decided_by=person_of(request),
                reason=asked["reason"],
            )
        except QualificationRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(QualificationSerializer(decision).data, status=201)


class People(generics.ListAPIView):
    serializer_class = PersonSerializer
    queryset = User.objects.none()

    def get_queryset(self) -> QuerySet[User]:
        self.project = project_or_404(self.request.user, self.kwargs["project"], "feedback.manage_annotators")
        return members(self.project)

    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List the project's people with roles, languages and verified expertise; admins see their pay, too."""
        page = self.paginate_queryset(self.get_queryset()) or []
        pay = may(request.user, "feedback.manage_people", self.project)
        return self.get_paginated_response([shown_person(person, pay=pay) for person in page])


class Profile(APIView):
    @extend_schema(responses=PersonSerializer)
    def get(self, request: Request, project: str, username: str) -> ApiResponse:
        """Show a person's roles, languages and expertise; admins see their pay, too."""
        within, person = managed(request, project, username)
        return ApiResponse(shown_person(person, pay=may(request.user, "feedback.manage_people", within)))

    @extend_schema(request=ProfileInputSerializer, responses={200: PersonSerializer, 422: REFUSED})
    def patch(self, request: Request, project: str, username: str) -> ApiResponse:
        """Store which languages a person reads and, for admins, what their hour costs. What is left out stays."""
        within, person = managed(request, project, username)
        asked = checked(ProfileInputSerializer, request)
        if "hourly_rate" in asked or "currency" in asked:
            check(request.user, "feedback.manage_people", within)
        stored = AnnotatorProfile.objects.filter(user=person).first() or AnnotatorProfile(user=person)
        before = {name: getattr(stored, name) for name in ("languages", "hourly_rate", "currency")}
        try:
            save_profile(person=person, **{**before, **asked})
        except ProfileRefused as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        changed = members(within).get(pk=person.pk)
        return ApiResponse(shown_person(changed, pay=may(request.user, "feedback.manage_people", within)))


@extend_schema(request=ExpertiseInputSerializer, responses={201: ExpertiseSerializer, 422: REFUSED})
@api_view(["POST"])
def expertise(request: Request, project: str, username: str) -> ApiResponse:
    """Vouch that a person knows a domain, and on what evidence."""
    within, person = managed(request, project, username)
    asked = checked(ExpertiseInputSerializer, request)
    try:
        made = verify_expertise(person=person, verified_by=person_of(request), project=within, **asked)
    except ExpertiseRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse(ExpertiseSerializer(made).data, status=201)


@extend_schema(request=None, responses=ExpertiseSerializer)
@api_view(["POST"])
def expertise_withdraw(request: Request, project: str, username: str, expertise: int) -> ApiResponse:
    """Take back what was vouched for; the row stays."""
    within, person = managed(request, project, username)
    found = get_object_or_404(Expertise.objects.select_related("verified_by"), pk=expertise, user=person)
    withdrawn = withdraw_expertise(expertise=found, withdrawn_by=person_of(request), project=within, now=timezone.now())
    return ApiResponse(ExpertiseSerializer(withdrawn).data)


# What the endpoints share


def managed(request: Request, project: str, username: str) -> tuple[Project, User]:
    within = project_or_404(request.user, project, "feedback.manage_annotators")
    return within, user_or_404(members(within), username)


def user_or_404(people: QuerySet[User], username: str) -> User:
    if "\x00" in username:  # PostgreSQL would not even look
        raise Http404("no such person")
    return get_object_or_404(people, username=username)


def members(project: Project) -> QuerySet[User]:
    mine = Membership.objects.filter(project=project)
    return (
        User.objects.filter(pk__in=mine.values("user"))
        .select_related("profile")
        .prefetch_related(
            Prefetch("memberships", mine.order_by("role")),
            Prefetch("expertise", Expertise.objects.select_related("verified_by").order_by("pk")),
        )
        .order_by("username")
    )


def shown_person(person: User, *, pay: bool) -> dict[str, Any]:
    """Return a person out of `members` (`PersonSerializer`), with their pay for those who may see it."""
    profile: AnnotatorProfile | None = getattr(person, "profile", None)
    shown = {
        "person": person.username,
        "simulated": person.is_simulated,
        "roles": [membership.role for membership in person.memberships.all()],
        "languages": profile.languages if profile else [],
        "hourly_rate": profile.hourly_rate if profile and pay else None,
        "currency": profile.currency if profile and pay else "",
        "expertise": person.expertise.all(),
    }
    return dict(PersonSerializer(shown).data)

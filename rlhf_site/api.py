"""The API's door: a token for a name and password, and who the token belongs to."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authtoken.views import ObtainAuthToken
from rest_framework.decorators import api_view
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.throttling import AnonRateThrottle

from feedback.api.requests import person_of
from feedback.models import Membership, Project
from rlhf_site.api_limits import CarefulJSONParser


class LoginThrottle(AnonRateThrottle):
    """Count every attempt of one address, so that passwords cannot be tried out."""

    scope = "login"

    def get_cache_key(self, request: Request, view: object) -> str:
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}


class TokenView(ObtainAuthToken):
    throttle_classes = [LoginThrottle]
    parser_classes = [CarefulJSONParser, FormParser, MultiPartParser]


class MembershipSerializer(serializers.ModelSerializer[Membership]):
    project: serializers.SlugRelatedField[Project] = serializers.SlugRelatedField(slug_field="slug", read_only=True)

    class Meta:
        model = Membership
        fields = ["project", "role"]


class MeSerializer(serializers.Serializer):
    username = serializers.CharField()
    simulated = serializers.BooleanField(source="is_simulated")
    memberships = MembershipSerializer(many=True)


@extend_schema(responses=MeSerializer)
@api_view(["GET"])
def me(request: Request) -> ApiResponse:
    """Say who the token belongs to, and the person's roles."""
    person = person_of(request)
    memberships = person.memberships.select_related("project").order_by("project__slug", "role")
    return ApiResponse(
        MeSerializer(
            {"username": person.username, "is_simulated": person.is_simulated, "memberships": memberships}
        ).data
    )

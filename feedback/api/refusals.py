"""Refusals of the verbs as HTTP errors, in the one form that every error of the API has."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response as ApiResponse


class Refused(ValidationError):
    """422: the input is well formed, but it cannot be done; `attr` names the field."""

    status_code = 422

    def __init__(self, field: str, message: str) -> None:
        super().__init__({field: [message]}, code="refused")


class Conflict(APIException):
    """409: it has moved on; `code` says how."""

    status_code = 409

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, code=code)


class OneErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    detail = serializers.CharField()
    attr = serializers.CharField(allow_null=True)


class RefusedSerializer(serializers.Serializer):
    type = serializers.CharField()
    errors = OneErrorSerializer(many=True)  # type: ignore[assignment]  # declared fields are no attributes


class LeaseLostSerializer(RefusedSerializer):
    slot_free = serializers.BooleanField(help_text="Whether `reclaim` would give you a slot of the comparison now.")


REFUSED = OpenApiResponse(RefusedSerializer, "The input is well formed, but it cannot be done; `attr` names the field.")
CONFLICT = OpenApiResponse(RefusedSerializer, "It has moved on; `code` says how.")
LEASE_LOST = OpenApiResponse(
    LeaseLostSerializer, "You no longer hold the slot, or the submission id belongs to another judgment."
)


def lease_lost(code: str, message: str, *, slot_free: bool) -> ApiResponse:
    """Return the 409 that tells a person who lost a comparison whether they can have it back."""
    error = {"code": code, "detail": message, "attr": None}
    return ApiResponse({"type": "client_error", "errors": [error], "slot_free": slot_free}, status=409)

"""What kinds of run there are: what each needs, and its settings with defaults and ranges."""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import project_or_404
from training.configs import CONFIGS, LaunchConfig, NeedsConfig, Settings
from training.kind_words import GROUPS
from training.runs import INPUTS


class SettingSerializer(serializers.Serializer[dict[str, Any]]):
    name = serializers.CharField()
    title = serializers.CharField(help_text="As the form names it.")
    help = serializers.CharField()
    type = serializers.CharField(help_text="bool, int, float, str or list.")
    default = serializers.JSONField()
    minimum = serializers.FloatField(allow_null=True)
    maximum = serializers.FloatField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField(), allow_null=True)


class RunKindSerializer(serializers.Serializer[dict[str, Any]]):
    kind = serializers.CharField()
    title = serializers.CharField()
    about = serializers.CharField()
    needs = serializers.ListField(child=serializers.CharField(), help_text="Inputs without which it is refused.")
    may_have = serializers.ListField(child=serializers.CharField(), help_text="Inputs that it may have besides.")
    config = SettingSerializer(many=True)


class RunKindsSerializer(serializers.Serializer[dict[str, Any]]):
    kinds = RunKindSerializer(many=True)
    launch = SettingSerializer(many=True, help_text="Of every kind: how its processes start.")
    needs = SettingSerializer(many=True, help_text="Of every kind: what a worker must have.")


class RunKinds(APIView):
    @extend_schema(responses=RunKindsSerializer)
    def get(self, request: Request, project: str) -> ApiResponse:
        """List the kinds of run with their inputs and settings, in the order of the menu."""
        project_or_404(request.user, project, "training.read")
        kinds = [
            {
                "kind": one.kind.value,
                "title": one.kind.label,
                "about": one.about,
                "needs": sorted(INPUTS[one.kind][0]),
                "may_have": sorted(INPUTS[one.kind][1]),
                "config": settings_of(CONFIGS[one.kind]),
            }
            for group in GROUPS
            for one in group.kinds
        ]
        return ApiResponse({"kinds": kinds, "launch": settings_of(LaunchConfig), "needs": settings_of(NeedsConfig)})


def settings_of(config: type[Settings]) -> list[dict[str, Any]]:
    """Return the settings of a config class as SettingSerializer describes them."""
    hints = get_type_hints(config)
    return [
        {
            "name": one.name,
            "title": one.metadata["label"],
            "help": one.metadata["help"],
            "type": "list" if isinstance(one.default, tuple) else hints[one.name].__name__,
            "default": list(one.default) if isinstance(one.default, tuple) else one.default,
            "minimum": one.metadata["minimum"],
            "maximum": one.metadata["maximum"],
            "choices": list(one.metadata["choices"]) if one.metadata["choices"] else None,
        }
        for one in dataclasses.fields(config)
    ]

"""Pages of the people's side."""

from django.urls import path

from feedback.views import (
    annotator,
    judgments,
    members,
    prompts,
    queue_open,
    queue_rules,
    queues,
    schema,
    snapshots,
    talking,
)

IN_PROJECT = "p/<slug:project>/"

urlpatterns = [
    path(f"{IN_PROJECT}prompts/", prompts.prompt_list, name="prompts"),
    path(f"{IN_PROJECT}prompts/import/", prompts.prompts_import, name="prompts-import"),
    path(f"{IN_PROJECT}prompts/<uuid:prompt>/", prompts.prompt_detail, name="prompt"),
    path(f"{IN_PROJECT}queues/", queues.queue_list, name="queues"),
    path(f"{IN_PROJECT}queues/open/", queue_open.queue_kinds, name="queue-open"),
    path(f"{IN_PROJECT}queues/open/<slug:queue_kind>/", queue_open.queue_open, name="queue-open-kind"),
    path(f"{IN_PROJECT}queues/schema/<slug:queue_kind>/", schema.schema_preview, name="schema-preview"),
    path(f"{IN_PROJECT}queues/preview/", queue_rules.guideline_preview, name="guideline-preview"),
    path(f"{IN_PROJECT}queues/<uuid:queue>/", queues.queue_detail, name="queue"),
    path(f"{IN_PROJECT}queues/<uuid:queue>/progress/", queues.queue_progress_live, name="queue-progress"),
    path(f"{IN_PROJECT}queues/<uuid:queue>/guidelines/", queue_rules.queue_guidelines, name="queue-guidelines"),
    path(f"{IN_PROJECT}queues/<uuid:queue>/schema/", schema.queue_schema, name="queue-schema"),
    path(f"{IN_PROJECT}queues/<uuid:queue>/policy/", queue_rules.queue_policy, name="queue-policy"),
    path(f"{IN_PROJECT}queues/<uuid:queue>/fill/", queues.queue_fill, name="queue-fill"),
    path(f"{IN_PROJECT}queues/<uuid:queue>/state/", queues.queue_state, name="queue-state"),
    path(f"{IN_PROJECT}judgments/", judgments.judgment_list, name="judgments"),
    path(f"{IN_PROJECT}judgments/<uuid:judgment>/", judgments.judgment_detail, name="judgment"),
    path(f"{IN_PROJECT}judgments/<uuid:judgment>/review/", judgments.judgment_review, name="judgment-review"),
    path(f"{IN_PROJECT}snapshots/", snapshots.snapshot_list, name="snapshots"),
    path(f"{IN_PROJECT}snapshots/freeze/", snapshots.snapshot_freeze, name="snapshot-freeze"),
    path(f"{IN_PROJECT}snapshots/<uuid:snapshot>/", snapshots.snapshot_detail, name="snapshot"),
    path(f"{IN_PROJECT}snapshots/<uuid:snapshot>/download/", snapshots.snapshot_download, name="snapshot-download"),
    path(f"{IN_PROJECT}members/", members.member_list, name="members"),
    path(f"{IN_PROJECT}members/add/", members.member_add, name="member-add"),
    path(f"{IN_PROJECT}members/remove/", members.member_remove, name="member-remove"),
    *annotator.urlpatterns,
    *talking.urlpatterns,
]

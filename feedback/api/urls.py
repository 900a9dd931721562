from django.urls import path

from feedback.api import labeling, views

urlpatterns = [
    path("projects/", views.ProjectList.as_view(), name="api-projects"),
    path("projects/<slug:project>/", views.ProjectDetail.as_view(), name="api-project"),
    path("projects/<slug:project>/prompts/", views.PromptList.as_view(), name="api-prompts"),
    path("projects/<slug:project>/prompts/import/", views.prompts_import, name="api-prompts-import"),
    path("projects/<slug:project>/queues/", views.QueueList.as_view(), name="api-queues"),
    path("projects/<slug:project>/judgments/", views.JudgmentList.as_view(), name="api-judgments"),
    path("projects/<slug:project>/snapshots/", views.SnapshotList.as_view(), name="api-snapshots"),
    path("projects/<slug:project>/simulated-annotators/", views.simulated_annotators, name="api-simulated-annotators"),
    path("queues/<uuid:queue>/", views.QueueDetail.as_view(), name="api-queue"),
    path("queues/<uuid:queue>/fill/", views.queue_fill, name="api-queue-fill"),
    path("queues/<uuid:queue>/claim/", labeling.claim, name="api-claim"),
    path("queues/<uuid:queue>/own-judgments/", labeling.OwnJudgments.as_view(), name="api-own-judgments"),
    path("assignments/<uuid:assignment>/submit/", labeling.submit, name="api-submit"),
    path("assignments/<uuid:assignment>/skip/", labeling.pass_over, name="api-skip"),
    path("assignments/<uuid:assignment>/renew/", labeling.renew, name="api-renew"),
    path("tasks/<uuid:task>/draft/", labeling.draft, name="api-draft"),
    path("tasks/<uuid:task>/reclaim/", labeling.take_back, name="api-reclaim"),
    path("judgments/<uuid:judgment>/review/", views.judgment_review, name="api-judgment-review"),
    path("judgments/<uuid:judgment>/revise/", labeling.revise, name="api-judgment-revise"),
    path("snapshots/<uuid:snapshot>/", views.SnapshotDetail.as_view(), name="api-snapshot"),
    path("snapshots/<uuid:snapshot>/download/", views.SnapshotDownload.as_view(), name="api-snapshot-download"),
]

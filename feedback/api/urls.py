from django.urls import path

from feedback.api import judgments, labeling, own, projects, queues, snapshots, talking

urlpatterns = [
    path("projects/", projects.ProjectList.as_view(), name="api-projects"),
    path("projects/<slug:project>/", projects.ProjectDetail.as_view(), name="api-project"),
    path("projects/<slug:project>/prompts/", projects.PromptList.as_view(), name="api-prompts"),
    path("projects/<slug:project>/prompts/import/", projects.prompts_import, name="api-prompts-import"),
    path("projects/<slug:project>/queues/", queues.QueueList.as_view(), name="api-queues"),
    path("projects/<slug:project>/judgments/", judgments.JudgmentList.as_view(), name="api-judgments"),
    path("projects/<slug:project>/snapshots/", snapshots.SnapshotList.as_view(), name="api-snapshots"),
    path(
        "projects/<slug:project>/simulated-annotators/", projects.simulated_annotators, name="api-simulated-annotators"
    ),
    path("queues/<uuid:queue>/", queues.QueueDetail.as_view(), name="api-queue"),
    path("queues/<uuid:queue>/fill/", queues.queue_fill, name="api-queue-fill"),
    path("queues/<uuid:queue>/claim/", labeling.claim, name="api-claim"),
    path("queues/<uuid:queue>/own-judgments/", own.OwnJudgments.as_view(), name="api-own-judgments"),
    path("assignments/<uuid:assignment>/submit/", labeling.submit, name="api-submit"),
    path("assignments/<uuid:assignment>/skip/", labeling.pass_over, name="api-skip"),
    path("assignments/<uuid:assignment>/renew/", labeling.renew, name="api-renew"),
    path("assignments/<uuid:assignment>/talk/", talking.talk, name="api-talk"),
    path("assignments/<uuid:assignment>/talk/say/", talking.turn_say, name="api-turn-say"),
    path("assignments/<uuid:assignment>/talk/choose/", talking.turn_choose, name="api-turn-choose"),
    path("assignments/<uuid:assignment>/talk/retry/", talking.turn_retry, name="api-turn-retry"),
    path("tasks/<uuid:task>/draft/", labeling.DraftOfTask.as_view(), name="api-draft"),
    path("tasks/<uuid:task>/reclaim/", labeling.take_back, name="api-reclaim"),
    path("judgments/<uuid:judgment>/review/", judgments.judgment_review, name="api-judgment-review"),
    path("judgments/<uuid:judgment>/revise/", own.revise, name="api-judgment-revise"),
    path("snapshots/<uuid:snapshot>/", snapshots.SnapshotDetail.as_view(), name="api-snapshot"),
    path("snapshots/<uuid:snapshot>/download/", snapshots.SnapshotDownload.as_view(), name="api-snapshot-download"),
]

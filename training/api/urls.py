from django.urls import path

from training.api import kinds, registry, views

ONE_CHECKPOINT = "checkpoints/<uuid:checkpoint>/"

urlpatterns = [
    path("projects/<slug:project>/runs/", views.RunList.as_view(), name="api-runs"),
    path("projects/<slug:project>/runs/sweep/", views.RunSweep.as_view(), name="api-runs-sweep"),
    path("projects/<slug:project>/run-kinds/", kinds.RunKinds.as_view(), name="api-run-kinds"),
    path("runs/<uuid:run>/", views.RunDetail.as_view(), name="api-run"),
    path("runs/<uuid:run>/cancel/", views.RunCancel.as_view(), name="api-run-cancel"),
    path("runs/<uuid:run>/pause/", views.RunPause.as_view(), name="api-run-pause"),
    path("runs/<uuid:run>/resume/", views.RunResume.as_view(), name="api-run-resume"),
    path("runs/<uuid:run>/retry/", views.RunRetry.as_view(), name="api-run-retry"),
    path("runs/<uuid:run>/repeat/", views.RunRepeat.as_view(), name="api-run-repeat"),
    path("runs/<uuid:run>/metrics/", views.RunMetrics.as_view(), name="api-run-metrics"),
    path("projects/<slug:project>/checkpoints/", views.CheckpointList.as_view(), name="api-checkpoints"),
    path("projects/<slug:project>/checkpoints/base/", views.CheckpointBase.as_view(), name="api-checkpoint-base"),
    path("projects/<slug:project>/people/<str:username>/learned/", views.PersonLearned.as_view(), name="api-learned"),
    path("projects/<slug:project>/checkpoints/import/", registry.CheckpointImport.as_view(), name="api-import-model"),
    path("projects/<slug:project>/promotions/", registry.PromotionList.as_view(), name="api-promotions"),
    path(ONE_CHECKPOINT, registry.CheckpointRecord.as_view(), name="api-checkpoint"),
    path(f"{ONE_CHECKPOINT}card/", registry.CheckpointCard.as_view(), name="api-card"),
    path(f"{ONE_CHECKPOINT}download/", registry.CheckpointDownload.as_view(), name="api-download"),
    path(f"{ONE_CHECKPOINT}promote/", registry.CheckpointPromote.as_view(), name="api-promote"),
    path(f"{ONE_CHECKPOINT}delete-files/", registry.CheckpointDeleteFiles.as_view(), name="api-delete-files"),
]

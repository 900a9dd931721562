"""Pages of runs and checkpoints."""

from django.urls import path

from training.views import checkpoints, compare, controls, registry, runs, start

IN_PROJECT = "p/<slug:project>/"
ONE_RUN = f"{IN_PROJECT}runs/<uuid:run>/"
ONE_CHECKPOINT = f"{IN_PROJECT}checkpoints/<uuid:checkpoint>/"

urlpatterns = [
    path(f"{IN_PROJECT}runs/", runs.run_list, name="runs"),
    path(f"{IN_PROJECT}runs/live/", runs.run_list_live, name="runs-live"),
    path(f"{IN_PROJECT}runs/compare/", compare.runs_compare, name="runs-compare"),
    path(f"{IN_PROJECT}runs/compare/metrics/", compare.runs_compare_metrics, name="runs-compare-metrics"),
    path(f"{IN_PROJECT}runs/glossary/", compare.runs_glossary, name="runs-glossary"),
    path(f"{IN_PROJECT}runs/start/<str:kind>/", start.run_start, name="run-start"),
    path(ONE_RUN, runs.run_detail, name="run"),
    path(f"{ONE_RUN}live/", runs.run_live, name="run-live"),
    path(f"{ONE_RUN}metrics/", runs.run_metrics, name="run-metrics"),
    path(f"{ONE_RUN}numbers/", runs.run_numbers, name="run-numbers"),
    path(f"{ONE_RUN}log/", runs.run_log, name="run-log"),
    path(f"{ONE_RUN}cancel/", controls.run_cancel, name="run-cancel"),
    path(f"{ONE_RUN}pause/", controls.run_pause, name="run-pause"),
    path(f"{ONE_RUN}resume/", controls.run_resume, name="run-resume"),
    path(f"{ONE_RUN}retry/", controls.run_retry, name="run-retry"),
    path(f"{ONE_RUN}repeat/", controls.run_repeat, name="run-repeat"),
    path(f"{IN_PROJECT}checkpoints/", checkpoints.checkpoint_list, name="checkpoints"),
    path(f"{IN_PROJECT}checkpoints/base/", checkpoints.checkpoint_base, name="checkpoint-base"),
    path(f"{IN_PROJECT}checkpoints/import/", registry.checkpoint_import, name="checkpoint-import"),
    path(ONE_CHECKPOINT, checkpoints.checkpoint_detail, name="checkpoint"),
    path(f"{ONE_CHECKPOINT}card/", registry.checkpoint_card, name="checkpoint-card"),
    path(f"{ONE_CHECKPOINT}download/", registry.checkpoint_download, name="checkpoint-download"),
    path(f"{ONE_CHECKPOINT}promote/", registry.checkpoint_promote, name="checkpoint-promote"),
    path(f"{ONE_CHECKPOINT}describe/", registry.checkpoint_describe, name="checkpoint-describe"),
    path(f"{ONE_CHECKPOINT}delete/", registry.checkpoint_delete, name="checkpoint-delete"),
    path(f"{IN_PROJECT}members/<int:person>/learned/", checkpoints.person_learned, name="person-learned"),
    path(
        f"{IN_PROJECT}snapshots/<uuid:snapshot>/checkpoints/",
        checkpoints.snapshot_checkpoints,
        name="snapshot-checkpoints",
    ),
]

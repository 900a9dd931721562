from django.contrib import admin
from django.urls import include, path

from rlhf_site import views

urlpatterns = [
    path("api/v1/", include("rlhf_site.api_urls")),  # first, because what comes after is tried at every request
    path("", views.home, name="home"),
    path("healthz", views.health, name="health"),
    path("projects/new/", views.project_new, name="project-new"),
    path("p/<slug:project>/", views.project_page, name="project"),
    path("p/<slug:project>/loop/", views.project_loop, name="project-loop"),
    path("", include("feedback.urls")),
    path("", include("training.urls")),
    path("accounts/", include("rlhf_site.accounts")),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
]

from django.contrib import admin
from django.urls import include, path

from rlhf_site import views

urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", views.health, name="health"),
    path("", include("feedback.urls")),
    path("", include("training.urls")),
    path("api/v1/", include("rlhf_site.api_urls")),
    path("accounts/", include("allauth.account.urls")),
    path("admin/", admin.site.urls),
]

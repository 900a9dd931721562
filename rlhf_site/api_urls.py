from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from rlhf_site import api

urlpatterns = [
    path("token/", api.TokenView.as_view(), name="api-token"),
    path("me/", api.me, name="api-me"),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api-schema"), name="api-docs"),
    path("", include("feedback.api.urls")),
    path("", include("training.api.urls")),
]

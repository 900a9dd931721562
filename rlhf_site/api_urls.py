from django.urls import include, path
from django.views.decorators.cache import cache_page
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from rlhf_site import api

HOUR = 60 * 60

urlpatterns = [
    path("token/", api.TokenView.as_view(), name="api-token"),
    path("me/", api.me, name="api-me"),
    # It says the same to everybody until the code changes, and takes seconds to put together.
    path("schema/", cache_page(HOUR)(SpectacularAPIView.as_view(authentication_classes=[])), name="api-schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api-schema"), name="api-docs"),
    path("", include("feedback.api.urls")),
    path("", include("training.api.urls")),
]

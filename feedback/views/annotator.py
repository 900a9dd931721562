"""Pages of the annotator."""

urlpatterns: list = []

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "rlhf_site"

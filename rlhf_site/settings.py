"""Every setting, from the environment. docs/settings.md lists the variables.

CONCORD_MODE=development (the default) needs nothing else; CONCORD_MODE=production refuses to start without
SECRET_KEY, ALLOWED_HOSTS and a https origin.
"""

import os
import secrets
from pathlib import Path

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from environs import Env

from training.configs import BadConfig
from training.configs.reward_names import VARIABLE, operator_functions

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent

MODE = env.str("CONCORD_MODE", "development")
if MODE not in ("development", "production"):
    raise ImproperlyConfigured(f"CONCORD_MODE is {MODE!r}; use development or production")
PRODUCTION = MODE == "production"
DEBUG = env.bool("DEBUG", False)
if PRODUCTION and DEBUG:
    raise ImproperlyConfigured("DEBUG=true shows secrets to visitors; it is refused with CONCORD_MODE=production")

DATA_DIR = Path(env.str("CONCORD_DATA_DIR", str(BASE_DIR / "var"))).resolve()
"""Database (when SQLite), snapshots, runs and models. Never in git."""
DATA_DIR.mkdir(parents=True, exist_ok=True)

BASE_MODEL = env.str("BASE_MODEL", "")
"""Directory or hub id of the base model; empty for the one that `make run` puts under DATA_DIR/models."""

MODEL_DIRS: list[Path] = [Path(one).expanduser() for one in map(str, env.list("MODEL_DIRS", []))]
"""Directories beside DATA_DIR/models from which people may bring in models."""

REWARD_FUNCTIONS = env.str("CONCORD_REWARD_FUNCTIONS", "")
"""Reward functions of the operator's own, name=module:function,...; trainers read the same variable."""
try:
    operator_functions({VARIABLE: REWARD_FUNCTIONS})
except BadConfig as error:
    raise ImproperlyConfigured(error.message) from error


def development_key() -> str:
    """Return a key that survives restarts and is nobody else's."""
    path = DATA_DIR / "secret_key"
    if not path.exists():
        try:
            with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(secrets.token_urlsafe(50))
        except FileExistsError:
            pass
    return path.read_text()


SECRET_KEY = env.str("SECRET_KEY") if PRODUCTION else env.str("SECRET_KEY", "") or development_key()
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS") if PRODUCTION else env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])

INSTALLED_APPS = [
    "rlhf_site",
    "training",
    "feedback",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "csp",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "rest_framework",
    "rest_framework.authtoken",
    "rules.apps.AutodiscoverRulesConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "rlhf_site.middleware.CompressPagesMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "rlhf_site.middleware.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "rlhf_site.middleware.FragmentLoginMiddleware",
    "rlhf_site.middleware.DatabaseAwayMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "rlhf_site.urls"
WSGI_APPLICATION = "rlhf_site.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "rlhf_site" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Database: SQLite in WAL mode that takes the write lock at BEGIN, or PostgreSQL.
DATABASES = {"default": env.dj_db_url("DATABASE_URL", f"sqlite:///{DATA_DIR / 'concord.sqlite3'}")}
DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", 600)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if "sqlite3" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"]["ENGINE"] = "rlhf_site.sqlite_in_turns"
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }
if "postgresql" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"]["ENGINE"] = "rlhf_site.postgres_kept"
    if env.bool("PREPARED_STATEMENTS", True):
        # PostgreSQL keeps the plan of what feedback.prepared sends it; other statements are not sent in that way.
        DATABASES["default"]["OPTIONS"] = {"prepare_threshold": 1}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# People
AUTH_USER_MODEL = "feedback.User"
AUTHENTICATION_BACKENDS = [
    "rules.permissions.ObjectPermissionBackend",
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "rlhf_site.accounts.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
EMAIL_BACKEND = env.str("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")
SIGNUP_OPEN = env.bool("SIGNUP_OPEN", False)

# Language and time
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
"""Of the pages that annotators see (`rlhf_site.middleware.LanguageMiddleware`); the others are in English."""
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_AGE = 60 * 60 * 24 * 365
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# Static files
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = Path(env.str("STATIC_ROOT", str(DATA_DIR / "static")))
if not PRODUCTION:
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # empty there; WhiteNoise warns when it is missing
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "whitenoise.storage.CompressedManifestStaticFilesStorage"
            if PRODUCTION
            else "django.contrib.staticfiles.storage.StaticFilesStorage"
        )
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = DEBUG

# Uploads and imports: files are read as a stream, so these bound disk and patience, not memory.
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 2**20
FILE_UPLOAD_MAX_MEMORY_SIZE = 5 * 2**20
NEAR_DUPLICATE_PERCENT = env.int("NEAR_DUPLICATE_PERCENT", 70)
"""Share of the runs of five characters that two prompts have in common to count as near-duplicates."""
PERSONAL_DATA_FINDER = env.str("PERSONAL_DATA_FINDER", "")
"""Dotted name of a function of your own that finds what has no form, such as names; empty for none."""
IMPORT_MAX_BYTES = env.int("IMPORT_MAX_BYTES", 2 * 2**30)
IMPORT_MAX_ROWS = env.int("IMPORT_MAX_ROWS", 5_000_000)

# Content security policy: own files only, no inline script or style.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "manifest-src": [SELF],
    },
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 60 * 60 * 24 * 14
if PRODUCTION:
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", True)
    SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", 60 * 60 * 24 * 365)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    LANGUAGE_COOKIE_SECURE = True

# API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rlhf_site.api_tokens.PersonsToken",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "rlhf_site.api_limits.CarefulJSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_standardized_errors.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "drf_standardized_errors.handler.exception_handler",
    "DEFAULT_PAGINATION_CLASS": "rlhf_site.api_limits.Pages",
    "PAGE_SIZE": 50,
    "DEFAULT_THROTTLE_RATES": {"login": env.str("LOGIN_THROTTLE", "20/min")},
}
DRF_STANDARDIZED_ERRORS = {"EXCEPTION_HANDLER_CLASS": "rlhf_site.api_errors.ApiExceptionHandler"}
SPECTACULAR_SETTINGS = {
    "TITLE": "Concord",
    "DESCRIPTION": "People's judgments become better language models, and every step between is on record.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "defaultModelsExpandDepth": -1},
    "ENUM_NAME_OVERRIDES": {
        "RunKindEnum": "training.models.Run.Kind",
        "RunStateEnum": "training.models.Run.State",
        "CheckpointKindEnum": "training.models.Checkpoint.Kind",
        "QueueStateEnum": "feedback.models.Queue.State",
        "TaskKindEnum": "feedback.schemas.TaskKind",
        "JobKindEnum": "feedback.models.Job.Kind",
        "JobStateEnum": "feedback.models.Job.State",
        "ReportKindEnum": "feedback.models.Report.Kind",
        "SkipKindEnum": "feedback.models.Skip.Kind",
        "SkipReasonEnum": "feedback.models.Skip.Reason",
        "FindingSettlementEnum": "feedback.models.Finding.Settlement",
        "ImportFormEnum": [(form, form) for form in ("label_studio", "argilla", "argilla_table")],
        "FileImportKindEnum": "feedback.models.FileImport.Kind",
        "GoldRetirementReasonEnum": "feedback.models.GoldRetirement.Reason",
        **{
            name: f"drf_standardized_errors.openapi_serializers.{name}.choices"
            for name in (
                "ValidationErrorEnum",
                "ClientErrorEnum",
                "ServerErrorEnum",
                *(f"ErrorCode{status}Enum" for status in (401, 403, 404, 405, 406, 415, 429, 500)),
            )
        },
    },
    "POSTPROCESSING_HOOKS": ["drf_standardized_errors.openapi_hooks.postprocess_schema_enums"],
}

# Jobs
JOB_LEASE_SECONDS = env.int("JOB_LEASE_SECONDS", 30)
JOB_MAX_ATTEMPTS = env.int("JOB_MAX_ATTEMPTS", 3)
JOB_REQUEST_SECONDS = env.float("JOB_REQUEST_SECONDS", 5.0)
"""What takes longer inside a request is left for a clerk to go on with."""
HUB_ENDPOINT = env.str("HUB_ENDPOINT", "")
"""Address of a hub of datasets; empty is the one that huggingface_hub knows."""
HUB_TOKEN = env.str("HUB_TOKEN", "")

# Training
RUN_LEASE_SECONDS = env.int("RUN_LEASE_SECONDS", 30)
RUN_MAX_ATTEMPTS = env.int("RUN_MAX_ATTEMPTS", 5)

# Conversations
POLICIES = "training.policies"
"""Module that tells `feedback` which checkpoints can answer (feedback.policies)."""
TURN_LEASE_SECONDS = env.int("TURN_LEASE_SECONDS", 30)
TALK_ANSWER_SECONDS = env.int("TALK_ANSWER_SECONDS", 300)
TALK_IDLE_SECONDS = env.int("TALK_IDLE_SECONDS", 300)
CONVERSATION_URL = env.str("CONVERSATION_URL", "").rstrip("/")
if CONVERSATION_URL and not CONVERSATION_URL.startswith(("http://", "https://")):
    raise ImproperlyConfigured(f"CONVERSATION_URL is {CONVERSATION_URL!r}; give an address such as http://host:8000/v1")
CONVERSATION_KEY = env.str("CONVERSATION_KEY", "")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {"brief": {"()": "rlhf_site.logs.RefusalsInBrief"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["brief"]}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
}

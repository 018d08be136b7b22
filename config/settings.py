"""Verdict's only settings file. Every variable it reads is listed in ``.env.example``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from config.env import (
    dotted_name,
    env_bool,
    env_folder,
    env_int,
    env_list,
    env_log_level,
    env_secret,
    env_text,
    env_url,
    network,
    path_prefix,
    web_origin,
)
from config.redis_socket import socket_path
from experiments import database

BASE_DIR = Path(__file__).resolve().parent.parent

# Data folder: database file, Redis socket, keys, artifacts, logs.
DATA_DIR = env_folder("VERDICT_DATA", BASE_DIR / "var")
# Checkpoints and other files of trials: here, or sent on to the store that all nodes share.
ARTIFACTS_DIR = env_folder("ARTIFACTS_DIR", DATA_DIR / "artifacts")
ARTIFACTS_STORE = env_url("ARTIFACTS_STORE", "", schemes=("s3",))
ARTIFACTS_ENDPOINT = env_url("ARTIFACTS_ENDPOINT", "", schemes=("http", "https"))
# Of files that programs log: the largest one, and of a project all together.
FILE_MEGABYTES = env_int("FILE_MEGABYTES", 10_240, minimum=1)
PROJECT_FILES_GIGABYTES = env_int("PROJECT_FILES_GIGABYTES", 100, minimum=1)
LOGS_DIR = DATA_DIR / "logs"

# The first admin's generated password, until somebody has signed in with it.
FIRST_PASSWORD = DATA_DIR / "first_password"

DEBUG = env_bool("DEBUG", False)
LOG_LEVEL = env_log_level("LOG_LEVEL", "INFO")
# "line" for people, "json" for machines: one object a line.
LOG_FORMAT = env_text("LOG_FORMAT", "line").lower()
if LOG_FORMAT not in ("line", "json"):
    raise ImproperlyConfigured(f"LOG_FORMAT: found {LOG_FORMAT}; expected line or json")

# Keys. DECISION_KEY signs the decision log and stays outside the database, so that whoever can
# write to the database alone cannot forge a decision.
SECRET_KEY = env_secret("SECRET_KEY", file=DATA_DIR / "secret_key", minimum_length=50)
DECISION_KEY = env_secret("DECISION_KEY", file=DATA_DIR / "decision_key", minimum_length=32)
# Heads of the decision logs that this node has seen; append-only, and outside the database, too.
DECISION_HEADS = DATA_DIR / "decision_heads"

# Web address
HOST = env_text("HOST", "127.0.0.1")
PORT = env_int("PORT", 8000, minimum=1, maximum=65535)
# Requests answered at once, and so the most database connections that they hold.
WEB_THREADS = env_int("WEB_THREADS", 16, minimum=8, maximum=1000)
# How long a client may keep the web server waiting for a head, a body, or its reading an answer.
WEB_CLIENT_SECONDS = env_int("WEB_CLIENT_SECONDS", 20, minimum=1, maximum=3600)
# How many connections of one address may wait for their client at the same time.
WEB_CONNECTIONS_PER_ADDRESS = env_int("WEB_CONNECTIONS_PER_ADDRESS", 100, minimum=4)
BEHIND_TLS = env_bool("BEHIND_TLS", False)
# Where people reach this server: links in mails and webhooks begin with it, and its path, such as
# /verdict, is the prefix of every address.
PUBLIC_URL = env_url("PUBLIC_URL", f"http://{HOST}:{PORT}", schemes=("http", "https")).rstrip("/")
_PUBLIC = urlsplit(PUBLIC_URL)
if not path_prefix(_PUBLIC.path) or _PUBLIC.query or _PUBLIC.fragment:
    raise ImproperlyConfigured(
        f"PUBLIC_URL: found {PUBLIC_URL!r}; expected scheme, host and at most a path of letters, "
        "digits, - and _, such as https://tools.example.org/verdict"
    )
FORCE_SCRIPT_NAME = _PUBLIC.path or None
ALLOWED_HOSTS = env_list(
    "ALLOWED_HOSTS",
    list(
        dict.fromkeys(
            name
            for name in ("localhost", "127.0.0.1", "[::1]", HOST, _PUBLIC.hostname)
            if name and name not in ("0.0.0.0", "::")
        )
    ),
    wanted="host names without scheme or port, separated by commas",
    accepts=lambda item: "/" not in item and " " not in item,
)
# A proxy that ends TLS without BEHIND_TLS is told to whoever sends a form, not let through.
CSRF_TRUSTED_ORIGINS = env_list(
    "CSRF_TRUSTED_ORIGINS",
    [f"{_PUBLIC.scheme}://{_PUBLIC.netloc}"] if BEHIND_TLS or _PUBLIC.scheme == "http" else [],
    wanted="origins such as https://verdict.example.org, separated by commas",
    accepts=web_origin,
)

# Messages: mail goes to the console until a mail server is named.
EMAIL_HOST = env_text("EMAIL_HOST", "")
EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend"
    if EMAIL_HOST
    else "django.core.mail.backends.console.EmailBackend"
)
EMAIL_PORT = env_int("EMAIL_PORT", 587, minimum=1, maximum=65535)
EMAIL_HOST_USER = env_text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env_text("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env_bool("EMAIL_USE_TLS", True)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env_text("DEFAULT_FROM_EMAIL", "verdict@localhost")
# Networks that webhooks may reach beside public addresses.
WEBHOOK_NETWORKS = env_list(
    "WEBHOOK_NETWORKS",
    [],
    wanted="networks such as 10.0.0.0/8 or fd00::/8, separated by commas",
    accepts=network,
)
# Who may read /metrics: whoever sends this as a bearer token, or comes from these networks.
METRICS_TOKEN = env_text("METRICS_TOKEN", "")
METRICS_NETWORKS = env_list(
    "METRICS_NETWORKS",
    [],
    wanted="networks such as 127.0.0.1 or 10.0.0.0/8, separated by commas",
    accepts=network,
)
# Finished deliveries of webhooks and mails are listed for so long, then only counted; 0: for ever.
DELIVERIES_KEEP_DAYS = env_int("DELIVERIES_KEEP_DAYS", 90, minimum=0, maximum=36_500)
STALLED_AFTER_MINUTES = env_int("STALLED_AFTER_MINUTES", 30, minimum=1)

# Trials
OBJECTIVES = env_list(
    "OBJECTIVES",
    ["workers.problems"],
    wanted="dotted module prefixes such as workers.problems, separated by commas",
    accepts=dotted_name,
)
# Where workers look for them after all that is installed.
OBJECTIVES_FOLDER = env_text("OBJECTIVES_FOLDER", "")
# While `verdict up` runs: its folder and objectives, a line each, for commands in other shells.
RUNNING_OBJECTIVES = DATA_DIR / "objectives"
if "VERDICT_UP" not in os.environ and RUNNING_OBJECTIVES.is_file():
    _folder, *_running = RUNNING_OBJECTIVES.read_text("utf-8", "replace").splitlines() or [""]
    OBJECTIVES += [name for name in _running if name not in OBJECTIVES]
    OBJECTIVES_FOLDER = OBJECTIVES_FOLDER or _folder
# Command lines that experiments may name; see docs/own_training.md.
COMMANDS_FILE = env_text("COMMANDS_FILE", "")
OUTPUT_MEGABYTES = env_int("OUTPUT_MEGABYTES", 64, minimum=1)
# A larger diff of uncommitted code is not kept with its trial.
DIFF_KILOBYTES = env_int("DIFF_KILOBYTES", 1024, minimum=0)
_USABLE_CPUS = (
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
)
# The commit of this code, where it does not lie in a repository (an image).
VERDICT_COMMIT = env_text("VERDICT_COMMIT", "")
WORKER_SLOTS = env_int("WORKER_SLOTS", min(4, _USABLE_CPUS), minimum=1, maximum=1024)
# "auto" finds the node's GPUs; a number is taken at its word, 0 uses none.
WORKER_GPUS = env_text("WORKER_GPUS", "auto").lower()
if WORKER_GPUS != "auto" and not (WORKER_GPUS.isdecimal() and int(WORKER_GPUS) <= 64):
    raise ImproperlyConfigured(
        f"WORKER_GPUS: found {WORKER_GPUS}; expected auto, or how many GPUs to use, 0 to 64"
    )
TRIALS_PER_GPU = env_int("TRIALS_PER_GPU", 1, minimum=1, maximum=64)
WORKER_NAME = env_text("WORKER_NAME", "")
STOP_GRACE_SECONDS = env_int("STOP_GRACE_SECONDS", 3, minimum=1, maximum=3600)
# How long a trial waits for its pruner's answer; an answer that is late prunes a step later.
PRUNER_SECONDS = env_int("PRUNER_SECONDS", 1, minimum=1, maximum=3600)
# How often a trial is begun again after its process or its worker died.
TRIAL_RETRIES = env_int("TRIAL_RETRIES", 2, minimum=0, maximum=100)
# Of each trial these checkpoints are kept: the last ones, and the best by the official metric.
CHECKPOINTS_KEEP_LAST = env_int("CHECKPOINTS_KEEP_LAST", 1, minimum=1, maximum=100)
CHECKPOINTS_KEEP_BEST = env_int("CHECKPOINTS_KEEP_BEST", 1, minimum=0, maximum=100)
CHECKPOINT_MEGABYTES = env_int("CHECKPOINT_MEGABYTES", 4096, minimum=1)
CHECKPOINT_SECONDS = env_int("CHECKPOINT_SECONDS", 60, minimum=0)
# Caps on GPU hours; 0: none. Those of a person count the last GPU_HOURS_DAYS days.
GPU_HOURS_PER_EXPERIMENT = env_int("GPU_HOURS_PER_EXPERIMENT", 0, minimum=0)
GPU_HOURS_PER_PERSON = env_int("GPU_HOURS_PER_PERSON", 0, minimum=0)
GPU_HOURS_DAYS = env_int("GPU_HOURS_DAYS", 30, minimum=1, maximum=3660)
HEARTBEAT_SECONDS = env_int("HEARTBEAT_SECONDS", 5, minimum=1, maximum=3600)
STALE_AFTER_SECONDS = env_int("STALE_AFTER_SECONDS", 60, minimum=2)
if STALE_AFTER_SECONDS < 2 * HEARTBEAT_SECONDS:
    raise ImproperlyConfigured(
        f"STALE_AFTER_SECONDS: found {STALE_AFTER_SECONDS}; expected at least twice "
        f"HEARTBEAT_SECONDS, that is {2 * HEARTBEAT_SECONDS}, or busy trials are taken for dead"
    )


# Database
DATABASES = {
    "default": database.of_url(
        env_url(
            "DATABASE_URL",
            f"sqlite:///{quote(str(DATA_DIR / 'verdict.sqlite3'))}",
            schemes=("sqlite", "postgres", "postgresql"),
        ),
        name="DATABASE_URL",
    )
}
# How long web and workers wait for one answer of PostgreSQL before they take it to be away.
DATABASE_SECONDS = env_int("DATABASE_SECONDS", 60, minimum=1, maximum=86_400)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Queue. The defaults below it make a message harmless to deliver twice and hard to lose: it
# names a queue, never a trial, and whoever takes it claims the next trial in the database.
PRIVATE_REDIS_SOCKET = socket_path(DATA_DIR)
PRIVATE_REDIS_URL = f"redis+socket://{PRIVATE_REDIS_SOCKET}"
REDIS_URL = env_url("REDIS_URL", PRIVATE_REDIS_URL, schemes=("redis", "rediss", "redis+socket"))
TASK_APP = "workers.celery.app"  # the Celery application that sends tasks
CELERY_BROKER_URL = REDIS_URL
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "cpu"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    # A Redis that is stopped, or whose machine is gone, closes no socket.
    "socket_connect_timeout": 5,
    "socket_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
# Nobody asks workers anything over Redis: one connection and one way to fail less.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
# A page that starts an experiment must not hang on a queue that is down.
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0.1,
    "interval_step": 0.2,
    "interval_max": 0.5,
}

# Application
INSTALLED_APPS = [
    "experiments",
    "workers",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
# Static files, and clients that wait for news, are served by config.asgi before Django sees a
# request; all of these and the view then run in one thread (config/threads.py).
MIDDLEWARE = [
    "experiments.web.middleware.request_ids",
    "experiments.site.pages.health.probes",
    "django.middleware.security.SecurityMiddleware",
    "experiments.web.middleware.security_headers",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "experiments.web.middleware.RefuseNullCharacters",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["experiments.templatetags.manual"],
        },
    },
]

# Static files: hashed, compressed, served for ever from the browser's cache.
STATIC_URL = f"{_PUBLIC.path}/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "config.static_files.HashedFiles"},
    "artifacts": {"BACKEND": "experiments.trials.artifacts.storage.LocalFolder"},
}
if ARTIFACTS_STORE:  # its keys are where Amazon's own tools look for them
    STORAGES["artifacts"] = {
        "BACKEND": "experiments.trials.artifacts.s3_storage.S3Artifacts",
        "OPTIONS": {
            "bucket_name": urlsplit(ARTIFACTS_STORE).netloc,
            "location": urlsplit(ARTIFACTS_STORE).path.strip("/"),
            "endpoint_url": ARTIFACTS_ENDPOINT or None,
        },
    }

# Sign-in
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "projects"
LOGOUT_REDIRECT_URL = "login"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# Failed logins within a quarter of an hour, after which nothing more is tried.
LOGIN_FAILURES_PER_NAME = env_int("LOGIN_FAILURES_PER_NAME", 10, minimum=1)
LOGIN_FAILURES_PER_ADDRESS = env_int("LOGIN_FAILURES_PER_ADDRESS", 50, minimum=1)
# A link to set a new password works for so long, and once.
PASSWORD_RESET_TIMEOUT = 4 * 3600

# Security
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = _PUBLIC.path or "/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = BEHIND_TLS
CSRF_COOKIE_SECURE = BEHIND_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if BEHIND_TLS else 0
# Whether all names below this one speak TLS, and whether browsers learn so from a list: that is
# for whoever owns the domain to say.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "experiments.site.error_handlers.csrf_failure"

# Language and time
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "context": {"()": "experiments.web.log_context.WithContext"},
        "secrets": {"()": "experiments.web.log_context.WithoutSecrets"},
        "refusals": {"()": "experiments.web.log_context.RefusalsInOneLine"},
    },
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {about}{message}", "style": "{"},
        "json": {"()": "experiments.web.log_context.JsonLines"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["context", "refusals", "secrets"],
            "formatter": LOG_FORMAT,
        },
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    # Django's own handlers mail admins and print only while debugging.
    "loggers": {"django": {"handlers": [], "level": "NOTSET"}},
}
if LOG_FORMAT == "json":  # the web server's own lines as well
    LOGGING["loggers"]["uvicorn"] = {"handlers": [], "level": "NOTSET", "propagate": True}  # type: ignore[index]

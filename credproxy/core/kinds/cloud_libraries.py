"""The libraries that run in the worker: which extra brings each, and which variables of the environment it reads."""

from typing import Final

from credproxy.core.kinds.uses import Library


GOOGLE: Final = Library(
    "google",
    {"": "google.auth"},
    environ=(
        "GOOGLE_APPLICATION_CREDENTIALS",
        "CLOUDSDK_CONFIG",
        "GCE_METADATA_HOST",
        "GCE_METADATA_ROOT",
        "GCE_METADATA_IP",
        "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES",
        # An external account may begin with a login of AWS's.
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ),
)
"""Source: googleapis.dev/python/google-auth, "google.auth.environment_vars"."""

LIBRARIES: Final = (GOOGLE,)

"""``config check`` where an extra of the package is not installed: the rule that needs it, and the command that brings it."""

import subprocess
import sys
from pathlib import Path

from credproxy.adapters.own_metadata import installing
from credproxy.core.kinds.cloud_libraries import AWS, AZURE, GOOGLE


RULES = """
[[host]]
match = "storage.googleapis.com"
provider = "google"

[[host]]
match = "acct.blob.core.windows.net"
provider = "azure"

[[host]]
match = "s3.eu-west-1.amazonaws.com"
provider = "s3"

[[host]]
match = "team.azurecr.io"
provider = "oci"
credentials = { source = "acr" }
"""

WITHOUT = """
import sys
sys.modules |= dict.fromkeys(("google.auth", "azure.identity", "botocore"))
from credproxy.cli import main
main(["config", "check", sys.argv[1]])
"""


def test_each_rule_that_lacks_its_library_is_told_with_the_command(tmp_path: Path) -> None:
    """At the check, and not when a build needs it."""
    (tmp_path / "config.toml").write_text(RULES)
    argv = [sys.executable, "-c", WITHOUT, str(tmp_path / "config.toml")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    where = tmp_path / "config.toml"
    assert lines[::2] == [
        f"{where}:2: host[0]: the rule for 'storage.googleapis.com' needs 'google.auth', which is not installed",
        f"{where}:6: host[1]: the rule for 'acct.blob.core.windows.net' needs 'azure.identity', which is not installed",
        f"{where}:10: host[2]: the rule for 's3.eu-west-1.amazonaws.com' needs 'botocore', which is not installed",
        f"{where}:14: host[3]: the rule for 'team.azurecr.io' needs 'azure.identity', which is not installed",
    ]
    assert lines[1::2] == [f"hint: {installing(library)}" for library in (GOOGLE, AZURE, AWS, AZURE)]

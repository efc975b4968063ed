"""Previews of a stack on AWS where there is no way to AWS.

Pulumi's aws plugin asks AWS who its user is before it plans anything, and it cannot be had from a
package registry. In its place, the project's stand-in plans from the inputs alone.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mlops_stack import aws_standin, environment

NOTE: Final = (
    "Planned without AWS: there is no aws plugin or no credential here, so the project's stand-in "
    "held the inputs against the SDK's types. What AWS itself would refuse is not in here."
)
# Nobody listens there, should a plan ask for something after all.
_NO_SERVER = "http://127.0.0.1:9"


def aws_can_be_asked() -> bool:
    """Return whether Pulumi's aws plugin is installed and has credentials."""
    variables = environment.variables()
    plugin = Path(variables["PULUMI_HOME"], "plugins", aws_standin.folder_name())
    if not plugin.is_dir() and not shutil.which("pulumi-resource-aws", path=variables["PATH"]):
        return False
    # Imported here: only stacks on AWS need its SDK.
    import botocore.session  # noqa: PLC0415

    session = botocore.session.get_session()
    # Elsewhere than on AWS, nobody answers.
    session.set_config_variable("metadata_service_timeout", 1)
    session.set_config_variable("metadata_service_num_attempts", 1)
    return session.get_credentials() is not None


@contextlib.contextmanager
def stand_in() -> Iterator[dict[str, str]]:
    """Give variables with which Pulumi's engine finds the stand-in as its aws plugin."""
    with tempfile.TemporaryDirectory(prefix="preview-", dir=environment.state_dir()) as name:
        aws_standin.make_home(Path(name))
        yield {
            "PULUMI_HOME": name,
            "AWS_ENDPOINT_URL": _NO_SERVER,
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLOPS_AWS_STANDIN_STATE": str(Path(name, "unchecked.json")),
        }

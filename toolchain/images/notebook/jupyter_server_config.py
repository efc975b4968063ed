"""JupyterLab behind a token, below the prefix that the notebook controller gives."""

import os
from pathlib import Path

# Jupyter defines the function.
c = get_config()  # type: ignore[name-defined]  # noqa: F821
c.ServerApp.ip = "0.0.0.0"  # noqa: S104 - the Pod's own network namespace
c.ServerApp.port = 8888
c.ServerApp.port_retries = 0
c.ServerApp.open_browser = False
c.ServerApp.base_url = os.environ["NB_PREFIX"]
c.ServerApp.root_dir = os.environ["HOME"]
# Clients come by the node's address, which the Pod does not know.
c.ServerApp.allow_remote_access = True
# A file: arguments and variables are seen by every kernel and by `ps`.
token = Path("/etc/notebook/token").read_text().strip()
if not token:
    raise SystemExit("/etc/notebook/token is empty: without a token anyone could run code")
c.IdentityProvider.token = token
# Names of packages that are not in the image's index would be looked up on the internet.
c.LabApp.extension_manager = "readonly"
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"

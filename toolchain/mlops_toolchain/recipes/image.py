"""Container images, built with buildah from the Dockerfiles in toolchain/images."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from mlops_toolchain import layout
from mlops_toolchain.artefact import Context
from mlops_toolchain.folders import remove

_IMAGES = Path("toolchain/images")
# Any image's configuration holds a time; a fixed one makes equal content equal images.
_EPOCH = "1700000000"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image as an OCI archive.

    Attributes:
        name: name of the archive.
        dockerfile: folder below toolchain/images.
        reference: the image's name, or None for docker.io/local/<name>:<version>-<key>.
        files: files to have in the build's context, as (path there, artefact, path in it).
        folders: folders of the checkout to have in the context.
        base: name of the image that the Dockerfile builds on; its artefact is `image-<base>`.
        arguments: build arguments.
        view: the archive's place in the view, if not images/<name>.tar; the same result serves.
    """

    name: str
    dockerfile: str
    reference: str | None = None
    files: tuple[tuple[str, str, str], ...] = ()
    folders: tuple[str, ...] = ()
    base: str | None = None
    arguments: tuple[tuple[str, str], ...] = ()
    kind: str = "image"
    view: str = field(default="", repr=False)

    def sources(self) -> tuple[Path, ...]:
        """Return the Dockerfile's folder and those copied into the image."""
        root = layout.checkout()
        return (root / _IMAGES / self.dockerfile, *(root / folder for folder in self.folders))

    def links(self) -> dict[str, str]:
        """Return the archive's place in the view."""
        return {self.view or f"images/{self.name}.tar": f"{self.name}.tar"}

    def build(self, context: Context) -> None:
        """Build, and write the archive with the image's name in its index."""
        # Imported here: the list of artefacts is made of recipes, and names depend on the list.
        from mlops_toolchain import images  # noqa: PLC0415

        work = context.output / "work"
        source = work / "context"
        shutil.copytree(layout.checkout() / _IMAGES / self.dockerfile, source)
        for folder in self.folders:
            shutil.copytree(
                layout.checkout() / folder,
                source / Path(folder).name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        for target, artefact, path in self.files:
            shutil.copyfile(context.need(artefact) / path, source / target)
            (source / target).chmod(0o755)
        storage = (
            *("--root", work / "storage", "--runroot", work / "run"),
            *("--storage-driver", "overlay"),
        )
        base: tuple[str, ...] = ()
        if self.base:
            archive = context.need(f"image-{self.base}") / f"{self.base}.tar"
            base = ("--from", f"oci-archive:{archive}")
        reference = self.reference or images.reference(self.name)
        env = {
            "BUILDAH_ISOLATION": "chroot",
            "TMPDIR": str(work),
            "STORAGE_OPTS": "",
            "UV": os.environ.get("UV", "uv"),
        }
        context.run(
            *("buildah", *storage, "bud", "--format", "oci", "--layers=false"),
            *("--network", "host", "--timestamp", _EPOCH),
            *("--signature-policy", _policy(work)),
            *base,
            *(part for k, v in self.arguments for part in ("--build-arg", f"{k}={v}")),
            *("--tag", reference, source),
            env=env,
        )
        context.run(
            *("buildah", *storage, "push", "--signature-policy", _policy(work)),
            *("--format", "oci", reference),
            f"oci-archive:{context.output}/{self.name}.tar:{reference}",
            env=env,
        )
        remove(work)


def _policy(work: Path) -> Path:
    """Return a signature policy of our own: the host's may not be there, and images are local."""
    policy = work / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    return policy

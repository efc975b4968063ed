"""The stacks that environments are made from."""

from mlops_stack.pulumi_cli import settings_in
from mlops_stack.settings import Settings, SettingsError, check_stack_name
from mlops_toolchain import layout


def template_settings(template: str) -> Settings:
    """Return what a template configures.

    Raises:
        SettingsError: no such template, or one that must not be thrown away.
    """
    file = layout.checkout() / f"Pulumi.{check_stack_name(template)}.yaml"
    if not file.exists():
        raise SettingsError(f"TEMPLATE={template}: there is no {file.name}; write it or use dev")
    settings = settings_in(file)
    if not settings.ephemeral:
        raise SettingsError(
            f"TEMPLATE={template} is protected (ephemeral: false); use a template that is ephemeral"
        )
    if settings.cluster_provider == "existing":
        raise SettingsError(
            f"TEMPLATE={template} uses an existing cluster, which environments cannot share; "
            "use a template whose clusterProvider makes one"
        )
    return settings


def refuse_lasting(name: str) -> None:
    """Refuse a name that has a stack file.

    Raises:
        SettingsError: the name has one.
    """
    if (layout.checkout() / f"Pulumi.{name}.yaml").exists():
        raise SettingsError(
            f"{name} has a stack file, so it is a lasting stack, which is never reaped; choose "
            "another NAME, or remove the file if it is none"
        )

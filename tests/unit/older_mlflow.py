"""MLflow's database as earlier versions of it made it."""

from pathlib import Path


def make(file: Path, revision: str) -> None:
    """Make a database with the tables of a revision, and nothing in them."""
    # Importing these takes seconds.
    from alembic import command  # noqa: PLC0415
    from mlflow.store.db.utils import (  # noqa: PLC0415
        InitialBase,
        _get_alembic_config,
        create_sqlalchemy_engine,
    )

    engine = create_sqlalchemy_engine(f"sqlite:///{file}")
    InitialBase.metadata.create_all(engine)
    config = _get_alembic_config(f"sqlite:///{file}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()

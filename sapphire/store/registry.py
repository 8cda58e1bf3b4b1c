"""The register of models: the statements of `sapphire.registry`."""

from sapphire.store.connections import Row
from sapphire.store.database import Store


def registered(store: Store) -> list[Row]:
    """Every registered model as it stands, withdrawn ones too, in the order added; `report` is JSON."""
    return store.read("SELECT * FROM current_model ORDER BY seq")


def default(store: Store) -> str | None:
    """The name last made the default."""
    found = store.read("SELECT arg_max(name, seq) AS name FROM model_event WHERE kind = 'default'")
    return found[0]["name"]

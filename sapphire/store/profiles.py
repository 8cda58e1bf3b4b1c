"""Who works here, as last saved."""

from sapphire.store.connections import Row
from sapphire.store.database import Store


def saved_profiles(store: Store) -> list[Row]:
    """Every profile as last saved, the most recently saved first: name, role, think_first."""
    return store.read(
        "SELECT name, role, think_first FROM profile_event "
        "QUALIFY row_number() OVER (PARTITION BY name ORDER BY seq DESC) = 1 ORDER BY seq DESC"
    )

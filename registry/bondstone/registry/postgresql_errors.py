"""What the errors of PostgreSQL and psycopg mean to a user."""

from bondstone.registry.errors import RegistryUnavailable

_ADVICE = {
    "08": "it does not answer: see that it runs and can be reached, then try again",
    "25006": "it is read-only: set BONDSTONE_REGISTRY to the primary server",
    "28": "correct the user or the password in BONDSTONE_REGISTRY, or PGPASSFILE",
    "3D": "make that database, or correct BONDSTONE_REGISTRY",
    "42501": "ask its owner for the right to create, read and write the registry's tables",
    "42P07": "it holds another program's tables: give bondstone a database or a schema of its own",
    "42": "it holds no bondstone registry, or a damaged one: set BONDSTONE_REGISTRY to another, or restore it from a backup",
    "53100": "its disk is full; nothing was saved",
    "53": "it has no room for another connection: try again, or raise max_connections",
    "55P03": "another process writes it: try again",
    "57": "it is being stopped or started: try again",
}


def unavailable(url: str, error: Exception) -> RegistryUnavailable:
    """The error as ours: its first line, without parameters, and what to do."""
    diagnosis = getattr(error, "diag", None)
    lines = ((diagnosis and diagnosis.message_primary) or str(error)).splitlines() or [type(error).__name__]
    state = getattr(error, "sqlstate", None) or _state_of_a_refusal(lines[0])
    hint = next((text for begin, text in _ADVICE.items() if state.startswith(begin)), "try again")
    return RegistryUnavailable(f"registry {url} is unavailable ({lines[0].strip()}): {hint}")


def _state_of_a_refusal(text: str) -> str:
    """libpq keeps the code of a refused connection to itself; the words are English unless the server is set otherwise."""
    words = {
        "starting up": "57",
        "shutting down": "57",
        "too many": "53",
        "authentication": "28",
        "no password": "28",
        "role": "28",
        "database": "3D",
    }
    return next((state for word, state in words.items() if "FATAL" in text and word in text), "08")

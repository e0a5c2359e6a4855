"""Written by ``python -m bondstone.registry.statements``: do not edit."""

# ruff: noqa: E501
SQLITE = {
    "registry": "SELECT registry.registry_id, registry.created_at, registry.generation, registry.changed_at, registry.settings FROM registry",
    "add_registry": "INSERT INTO registry (id, registry_id, created_at, generation, changed_at, settings) VALUES (:id, :registry_id, :created_at, :generation, :changed_at, :settings)",
    "set_settings": "UPDATE registry SET generation=:generation, changed_at=:changed_at, settings=:settings WHERE registry.generation = :expected",
    "keyrings": "SELECT keyrings.slot, keyrings.provider, keyrings.key_id, keyrings.generation, keyrings.changed_at, keyrings.wrapped FROM keyrings ORDER BY keyrings.slot",
    "add_keyring": "INSERT INTO keyrings (slot, provider, key_id, generation, changed_at, wrapped) VALUES (:slot, :provider, :key_id, :generation, :changed_at, :wrapped)",
    "load": "SELECT heads.kind, heads.name, heads.generation, heads.current, heads.previous, heads.pending, heads.highest, heads.deleted_through, heads.changed_at, heads.tag, versions.saved_at, versions.sealed FROM heads LEFT OUTER JOIN versions ON versions.kind = heads.kind AND versions.name = heads.name AND versions.version = heads.current WHERE heads.kind = :kind AND heads.name = :name",
    "head": "SELECT heads.kind, heads.name, heads.generation, heads.current, heads.previous, heads.pending, heads.highest, heads.deleted_through, heads.changed_at, heads.tag FROM heads WHERE heads.kind = :kind AND heads.name = :name",
    "heads": "SELECT heads.kind, heads.name, heads.generation, heads.current, heads.previous, heads.pending, heads.highest, heads.deleted_through, heads.changed_at, heads.tag FROM heads WHERE (heads.current != 0 OR heads.pending != 0) AND (:kind = '' OR heads.kind = :kind) ORDER BY heads.kind, heads.name LIMIT :limit OFFSET :offset",
    "add_head": "INSERT INTO heads (kind, name, generation, current, previous, pending, highest, deleted_through, changed_at, tag) VALUES (:kind, :name, :generation, :current, :previous, :pending, :highest, :deleted_through, :changed_at, :tag)",
    "move_head": "UPDATE heads SET generation=:generation, current=:current, previous=:previous, pending=:pending, highest=:highest, deleted_through=:deleted_through, changed_at=:changed_at, tag=:tag WHERE heads.kind = :kind AND heads.name = :name AND heads.generation = :expected",
    "replace_head": "UPDATE heads SET generation=:generation, current=:current, previous=:previous, pending=:pending, highest=:highest, deleted_through=:deleted_through, changed_at=:changed_at, tag=:tag WHERE heads.kind = :kind AND heads.name = :name AND heads.tag = :expected",
    "version": "SELECT versions.saved_at, versions.sealed FROM versions WHERE versions.kind = :kind AND versions.name = :name AND versions.version = :version",
    "history": "SELECT versions.version, versions.saved_at, versions.sealed FROM versions WHERE versions.kind = :kind AND versions.name = :name ORDER BY versions.version",
    "add_version": "INSERT INTO versions (kind, name, version, saved_at, sealed) VALUES (:kind, :name, :version, :saved_at, :sealed)",
    "add_audit": "INSERT INTO audit (at, actor, action, kind, name, version, outcome) VALUES (:at, :actor, :action, :kind, :name, :version, :outcome)",
    "audit": "SELECT audit.seq, audit.at, audit.actor, audit.action, audit.kind, audit.name, audit.version, audit.outcome FROM audit ORDER BY audit.seq DESC LIMIT :limit OFFSET :offset",
}

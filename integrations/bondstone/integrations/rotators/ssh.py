"""SSH keys: replaced by hand; the block does not say where they open."""

from bondstone.blocks.rotator import Guided


class SshKeys(Guided):
    """Pasted; that the key is one, and opens with its passphrase, was seen when it was saved."""

    remedy = "remove the old public key from every authorized_keys, and from the keys of your Git host"


ssh_key = SshKeys()

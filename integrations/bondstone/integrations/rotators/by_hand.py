"""What nobody can be asked about, or whose vendor has no interface to replace it: pasted, and revoked by hand."""

from bondstone.blocks.rotator import Guided


class ByHand(Guided):
    """Guided, with a word on where the old one is revoked."""

    def __init__(self, remedy: str) -> None:
        self.remedy = remedy


secret = ByHand("revoke the old one at whoever issued it")
ssh_key = ByHand("remove the old public key from every authorized_keys, and from the keys of your Git host")

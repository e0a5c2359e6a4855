"""How the credentials of each vendor are replaced, and proved: one module per vendor, found by the entry points `bondstone.rotators`.

What they promise stands in `bondstone.blocks.rotator`; `testing` in this folder drives one through a whole rotation.
"""

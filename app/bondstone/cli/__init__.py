"""The command line. `docs/cli.md` describes it; `commands` declares it."""


def main() -> int:
    """Run the command line on this process's arguments; the exit code."""
    import sys
    import warnings

    from bondstone.cli import output
    from bondstone.cli.hygiene import harden
    from bondstone.cli.program import run

    harden()
    output.any_encoding()
    warnings.showwarning = lambda message, *_, **__: output.note(f"warning: {message}")
    return run(sys.argv[1:])

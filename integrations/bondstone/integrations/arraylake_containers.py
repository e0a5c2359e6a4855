"""Where virtual chunks of Arraylake's repositories lie: in buckets that it lets them refer to, by keys that it gives."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bondstone.blocks import AccessDenied, ArraylakeRepo, Handle, InvalidBlock, S3Bucket
from bondstone.integrations.arraylake_keys import Answer, ObstoreKeys, inquiry
from bondstone.integrations.icechunk.containers import Container, longest
from bondstone.integrations.s3.errors import failures, refused, translated

if TYPE_CHECKING:
    import icechunk

type Renewed = Callable[[Answer, str], bool]


@dataclass(frozen=True)
class Authorized(Container):
    """A prefix that was given to `update_virtual_chunk_containers` of Arraylake's client."""

    handle: Handle[ArraylakeRepo]
    ask_again: Renewed  # for the keys of a prefix, after a refusal

    @property
    def bucket(self) -> S3Bucket:
        """As Arraylake describes it."""
        said = self.signing().chunks(self.prefix)
        return S3Bucket(
            bucket=self.prefix.split("/")[2],
            region=said.region,
            endpoint=said.endpoint_url,
            path_style=said.force_path_style,
            anonymous=said.credentials is None,
        )

    @property
    def keys(self) -> ObstoreKeys:
        """Of this prefix."""
        return ObstoreKeys(self.handle, self.prefix)

    def signing(self) -> Answer:
        """What Arraylake said, with its keys."""
        return inquiry(self.handle).answer()

    def renewed(self, before: Answer, /) -> bool:
        """Whether Arraylake gives others."""
        return self.ask_again(before, self.prefix)

    def declare(self, repository: "icechunk.Repository") -> None:
        """Nothing: Arraylake tells whoever opens the repository."""

    @contextmanager
    def translated(self) -> Iterator[None]:
        """A key that is refused is Arraylake's to correct."""
        with translated(self.bucket):
            try:
                yield
            except failures() as error:
                if not refused(error):
                    raise
            else:
                return
        raise AccessDenied(
            f"{self.prefix} refused the keys that Arraylake gave for {self.handle.reference}: correct its bucket at Arraylake"
        ) from None


def authorized(handle: Handle[ArraylakeRepo], answer: Answer, url: str, ask_again: Renewed) -> Authorized:
    """The one that `url` lies in. Raises `InvalidBlock` if there is none."""
    prefix = longest(answer.said.virtual_chunk_credentials, url)
    if prefix is None:
        raise InvalidBlock(
            f"Arraylake does not let {answer.block.repo!r} of {handle.reference} refer to {url}: authorize its prefix by"
            " update_virtual_chunk_containers of arraylake.connect"
        )
    return Authorized(prefix, handle, ask_again)

"""GitLab."""

from pydantic import AwareDatetime, Field

from bondstone.blocks.checks import Url
from bondstone.blocks.git import GitCredentials


class GitlabToken(GitCredentials):
    """A project or group access token of GitLab; goes wherever git-credentials do.

    Source: GitLab Docs, "Project access tokens API" and "Group access tokens API".
    """

    url: Url = Field(default="https://gitlab.com", description="URL of GitLab.", examples=["https://gitlab.com"])
    owner: str = Field(
        description="The project or group that the token is of, by its number.",
        examples=["projects/42"],
        pattern=r"^(projects|groups)/[0-9]+$",
    )
    token_id: int = Field(description="Number of the token, as GitLab lists it.", examples=[117], ge=1)
    manager: GitCredentials | None = Field(
        default=None,
        description="Personal token with scope api of a maintainer or owner, who makes and revokes this one.",
        examples=["git-credentials/gitlab-admin"],
    )
    expires_at: AwareDatetime | None = Field(
        default=None, description="When the token ends, with its time zone.", examples=["2027-01-01T00:00:00Z"]
    )

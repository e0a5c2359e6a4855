"""Kubernetes."""

import re
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bondstone.blocks.block import Block
from bondstone.blocks.checks import Certificate, PrivateKey, Token, Url, Word
from bondstone.blocks.pem import EXAMPLE_CERTIFICATE, EXAMPLE_KEY
from bondstone.blocks.secret_values import SecretStr

_KUBECONFIG = """apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "https://kube.example.org:6443"}}]
users: [{name: flows, user: {token: EXAMPLE}}]
contexts: [{name: lab, context: {cluster: lab, user: flows}}]
current-context: lab
"""


class KubernetesCluster(Block):
    """A cluster by its API server and a token or client certificate, or by a kubeconfig file.

    Source: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files".
    """

    server: Url | None = Field(
        default=None, description="URL of the API server.", examples=["https://kube.example.org:6443"]
    )
    ca_certificate: Certificate | None = Field(
        default=None,
        description="Certificates (PEM) that the server is trusted by; the system's own if left out.",
        examples=[EXAMPLE_CERTIFICATE],
    )
    token: Token | None = Field(
        default=None, description="Bearer token, of a service account for example.", examples=["token-EXAMPLE"]
    )
    client_certificate: Certificate | None = Field(
        default=None, description="Client certificate (PEM).", examples=[EXAMPLE_CERTIFICATE]
    )
    client_key: PrivateKey | None = Field(
        default=None, description="Private key (PEM) of the client certificate.", examples=[EXAMPLE_KEY]
    )
    kubeconfig: SecretStr | None = Field(
        default=None, description="Content of a kubeconfig file, instead of all above.", examples=[_KUBECONFIG]
    )
    context: Word | None = Field(
        default=None, description="Context of the kubeconfig; its current one if left out.", examples=["lab"]
    )
    namespace: str = Field(
        default="default",
        description="Namespace that is worked in.",
        examples=["flows"],
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    )

    @field_validator("kubeconfig")
    @classmethod
    def _is_a_file_of_kubectl(cls, value: SecretStr | None) -> SecretStr | None:
        sections = re.findall(r'\b(clusters|contexts|users)"?:', value.get_secret_value() if value else "")
        if value is not None and set(sections) != {"clusters", "contexts", "users"}:
            raise PydanticCustomError(
                "kubeconfig",
                "is no kubeconfig (it has clusters, contexts and users): give the content of the file, not its path",
            )
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.client_certificate is None) != (self.client_key is None):
            raise PydanticCustomError("half", "client_certificate and client_key go together")
        if (self.kubeconfig is None) == (self.server is None):
            raise PydanticCustomError("one_way", "give either server or kubeconfig")
        ways = sum(way is not None for way in (self.kubeconfig, self.token, self.client_key))
        if ways != 1 or (self.kubeconfig and self.ca_certificate):
            raise PydanticCustomError(
                "one_way",
                "with server goes either token or client_key; with kubeconfig goes neither, and no ca_certificate",
            )
        if self.context and not self.kubeconfig:
            raise PydanticCustomError("half", "context goes with kubeconfig")
        return self

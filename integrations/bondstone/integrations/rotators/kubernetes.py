"""Kubernetes. Source: Kubernetes documentation, "Authenticating: API access to authentication information for a client"."""

import json
import ssl
from typing import Any

from bondstone.blocks.errors import guarded
from bondstone.blocks.kubernetes import KubernetesCluster
from bondstone.blocks.rotator import Guided, Verified
from bondstone.integrations.https import ask, good

_REVIEW = "apis/authentication.k8s.io/v1/selfsubjectreviews"
_PROVES = "The API server knows the token and whose it is; what that user may do is not asked."


class KubernetesClusters(Guided):
    """Pasted; a token is verified by asking the API server who it is. It is not asked about certificates and kubeconfigs."""

    remedy = (
        "delete the old token's Secret or service account (kubectl delete secret …); bound tokens end by themselves"
    )

    @guarded
    def verify(self, block: KubernetesCluster) -> Verified | None:
        if not (block.token and block.server):
            return None
        what, url = block.reference or block.kind, f"{block.server.rstrip('/')}/{_REVIEW}"
        body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).encode()
        answer = ask(url, what, body=body, headers=_headers(block), context=_trust(block))
        found = good(answer, what, "is the token expired, or deleted?").json(what)
        return Verified("POST SelfSubjectReview", _user(found), _PROVES)


def _headers(block: KubernetesCluster) -> dict[str, str]:
    token = block.token.get_secret_value() if block.token else ""
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


def _trust(block: KubernetesCluster) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=block.ca_certificate)


def _user(review: dict[str, Any]) -> str:
    status = review.get("status")
    info = status.get("userInfo") if isinstance(status, dict) else None
    return str(info.get("username", "?")) if isinstance(info, dict) else "?"


kubernetes_cluster = KubernetesClusters()

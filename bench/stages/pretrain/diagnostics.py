"""Signs of collapse, measured on a fixed batch of views."""

import torch
from torch import Tensor

_LOW_DEVIATION = 0.1
_LOW_RANK = 2.0


def embedding_deviation(embeddings: Tensor) -> float:
    """Mean over dimensions of the deviation of L2-normalised embeddings, times the root of the width.

    1 for embeddings spread evenly over the sphere, 0 when all are the same (Chen and He, "Exploring
    simple Siamese representation learning", CVPR 2021, section 4.1).

    Args:
        embeddings: (tracks, width)
    """
    if len(embeddings) < 2:
        return 0.0
    normalised = torch.nn.functional.normalize(embeddings.double(), dim=1)
    return float(normalised.std(dim=0).mean() * embeddings.shape[1] ** 0.5)


def effective_rank(embeddings: Tensor) -> float:
    """RankMe: exponential of the entropy of the normalised singular values (Garrido et al., ICML 2023, eq. 1).

    Between 1 and the smaller side of the matrix. Embeddings are centred first, so that a common
    offset, which no probe can see, does not count as a direction.

    Args:
        embeddings: (tracks, width)
    """
    centred = embeddings.double() - embeddings.double().mean(dim=0)
    singular = torch.linalg.svdvals(centred)
    share = singular / singular.sum().clamp_min(1e-12)
    return float(torch.exp(-(share * (share + 1e-12).log()).sum()))


def collapse_warning(deviation: float, rank: float) -> str | None:
    """A plain sentence when the signs say that the encoder gives (almost) the same embedding for every track."""
    if deviation < _LOW_DEVIATION:
        return f"looks collapsed: embeddings barely differ (deviation {deviation:.3f} of 1)"
    if rank < _LOW_RANK:
        return f"looks collapsed: embeddings lie on a line (effective rank {rank:.1f})"
    return None

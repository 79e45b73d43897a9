"""Signs of collapse, measured on a fixed batch of views."""

import torch
from torch import Tensor

# Below these an encoder is said to have collapsed.
_LOW_DEVIATION = 0.1
_LOW_RANK = 2.0


def embedding_deviation(embeddings: Tensor) -> float:
    """Computes how far embeddings spread over the sphere: 1 where evenly, 0 where all are the same.

    It is the standard deviation of L2-normalised embeddings, averaged over dimensions, times the
    root of the width (Chen and He, "Exploring simple Siamese representation learning", CVPR 2021,
    section 4.1).

    Args:
        embeddings: (tracks, width).
    """
    if len(embeddings) < 2:
        return 0.0
    normalised = torch.nn.functional.normalize(embeddings.double(), dim=1)
    return float(normalised.std(dim=0).mean() * embeddings.shape[1] ** 0.5)


def effective_rank(embeddings: Tensor) -> float:
    """Computes RankMe, the number of directions that embeddings use (Garrido et al., ICML 2023).

    It is the exponential of the entropy of the normalised singular values (equation 1), between 1
    and the smaller side of the matrix. Embeddings are centred first, so that a common offset, which
    no probe can see, does not count as a direction.

    Args:
        embeddings: (tracks, width).
    """
    centred = embeddings.double() - embeddings.double().mean(dim=0)
    singular = torch.linalg.svdvals(centred)
    share = singular / singular.sum().clamp_min(1e-12)
    return float(torch.exp(-(share * (share + 1e-12).log()).sum()))


def collapse_warning(deviation: float, rank: float) -> str | None:
    """Says in a sentence that the encoder gives almost the same embedding for every track.

    Args:
        deviation: of `embedding_deviation`.
        rank: of `effective_rank`.

    Returns:
        The sentence, or None where neither sign is there.
    """
    if deviation < _LOW_DEVIATION:
        return f"looks collapsed: embeddings barely differ (deviation {deviation:.3f} of 1)"
    if rank < _LOW_RANK:
        return f"looks collapsed: embeddings lie on a line (effective rank {rank:.1f})"
    return None

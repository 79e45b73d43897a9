"""Which training tracks are labelled at a fraction and draw: the same for every method."""

from bench.data.prepared import Prepared
from bench.settings.specs import RunSpec
from bench.stages.parts import Labelled
from bench.stages.probe import subsets


def pool(data: Prepared) -> subsets.Pool:
    """The tracks of the training split, which may be labelled."""
    rows = data.rows("train")
    # The same for encoders of different sample rates, and whatever the seed of pretraining is.
    purpose = f"labelled {data.facts['tracks_hash']}"
    ids, groups = (data.tracks[name].to_numpy(str)[rows] for name in ("track_id", "group"))
    return subsets.Pool(ids, data.labels[rows], groups, len(data.tracks), purpose)


def labelled(data: Prepared, spec: RunSpec, imported: list[str]) -> Labelled:
    """Draws the labelled tracks.

    They are a function of data set, split, fraction, draw and seed: the same for every method.

    Args:
        data: the data set.
        spec: the cell.
        imported: ids of an imported subset; empty for one that is drawn.
    """
    candidates = pool(data)
    if imported:
        subset = subsets.places(candidates, imported, f"subset {spec.labels.subset}")
    else:
        subset = subsets.labelled_subset(candidates, spec.fraction, spec.draw, spec.labels)
    targets = data.labels.argmax(axis=1) if data.kind == "classes" else data.labels
    without = subsets.tags_without_positive(candidates.labels, subset)
    identity = subsets.subset_hash([str(name) for name in candidates.ids[subset]])
    return Labelled(data.rows("train")[subset], targets, without, identity)

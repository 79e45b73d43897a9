"""Which training tracks are labelled at a fraction and draw: the same for every method."""

from bench.data.prepared import Prepared
from bench.settings.specs import RunSpec
from bench.stages.parts import Labelled
from bench.stages.probe import subsets


def pool(data: Prepared) -> subsets.Pool:
    """The tracks of the training split, from which the labelled ones are drawn.

    Args:
        data: the data set.
    """
    rows = data.rows("train")
    # The draws are the same for encoders of different sample rates and for all pretraining seeds.
    purpose = f"labelled {data.facts['tracks_hash']}"
    ids, groups = (data.tracks[name].to_numpy(str)[rows] for name in ("track_id", "group"))
    return subsets.Pool(ids, data.labels[rows], groups, len(data.tracks), purpose)


def labelled(data: Prepared, spec: RunSpec, imported: list[str]) -> Labelled:
    """Draws the labelled tracks of a cell.

    They depend on the data set, the split, the fraction, the draw and the seed of the draws, and so
    are the same for every method.

    Args:
        data: the data set.
        spec: the cell.
        imported: ids of the tracks of an imported subset; empty where the subset is drawn.
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

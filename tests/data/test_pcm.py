"""Reading from the PCM store."""

from tests.data.stores import store_of


def test_pcm_store_reads_what_was_written_and_repeats_short_tracks(tmp_path):
    store = store_of(tmp_path, [300, 30])
    assert store.read(0, 10, 5).tolist() == [10, 11, 12, 13, 14]
    assert store.read(1, 28, 5).tolist() == [1028, 1029, 1000, 1001, 1002]

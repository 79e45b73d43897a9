"""Tells whether an audio file was cut off, which libsndfile reads without an error."""

from pathlib import Path

_OPEN_ENDED = 0xFFFFFFFF  # the length that a streamed WAV carries in place of a true one


def cut_off(path: Path) -> bool:
    """Whether a WAV, AIFF, AU or Ogg file ends before its header or its last page says.

    False for files of other formats.
    """
    with open(path, "rb") as file:
        head = file.read(12)
        size = path.stat().st_size
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            while len(chunk := file.read(8)) == 8:
                length = int.from_bytes(chunk[4:], "little")
                if chunk[:4] == b"data":
                    return length not in (0, _OPEN_ENDED) and file.tell() + length > size
                file.seek(length + length % 2, 1)
        if head[:4] == b"FORM":
            return int.from_bytes(head[4:8], "big") + 8 > size
        if head[:4] == b".snd":
            length = int.from_bytes(head[8:12], "big")
            return length != _OPEN_ENDED and int.from_bytes(head[4:8], "big") + length > size
        if head[:4] == b"OggS":
            # RFC 3533: a page is at most 65 307 bytes; bit 2 of the sixth byte marks the last page
            # of a stream.
            file.seek(max(0, size - 65_307))
            tail = file.read()
            page = tail.rfind(b"OggS")
            return page < 0 or not _whole_last_page(tail[page:])
    return False


def _whole_last_page(page: bytes) -> bool:
    """Whether an Ogg page is marked as the last one of its stream, and complete."""
    if len(page) < 27 or not page[5] & 4:
        return False
    segments = page[26]
    return len(page) >= 27 + segments + sum(page[27 : 27 + segments])

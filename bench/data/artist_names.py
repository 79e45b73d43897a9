"""Names of artists and groups in a form that their different spellings share."""

import unicodedata

# What stands for no artist, as `normalised` has it.
_NAMELESS = {
    *("", "unknown", "unknown artist", "various", "various artists", "va"),
    *("none", "nan", "n a", "na", "artist"),
}


def comparable(name: str, track: str, numbers: bool) -> str:
    """A name in the form that its other spellings share; "" where it names nobody.

    Args:
        name: as the data set has it.
        track: id of its track; "track:ID" as the name stands for "no group".
        numbers: whether names without a letter count.
    """
    if name.endswith(f":{track}"):
        return ""
    plain = normalised(name)
    names_nobody = plain in _NAMELESS
    is_number = not any(letter.isalpha() for letter in plain)
    return "" if names_nobody or (is_number and not numbers) else plain


def normalised(name: str) -> str:
    """A name without case, accents, punctuation and a leading "the".

    >>> normalised("  The BEATLES "), normalised("Sigur Rós"), normalised("Simon & Garfunkel")
    ('beatles', 'sigur ros', 'simon and garfunkel')
    """
    plain = unicodedata.normalize("NFKD", name.replace("&", " and ")).casefold()
    letters = [
        letter if letter.isalnum() else " " for letter in plain if not unicodedata.combining(letter)
    ]
    return " ".join("".join(letters).split()).removeprefix("the ")

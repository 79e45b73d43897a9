"""The ten musical styles: tempos, meters, harmony and band of each. They overlap on purpose.

No style has an instrument, a tempo or a chord to itself; what tells styles apart is the
combination. So a tagger has to hear patterns: the spectrum alone does not give the genre away.
"""

from dataclasses import dataclass

Role = str
"""One of "drums", "percussion", "bass", "chords", "pad", "lead", "riff"."""


@dataclass(frozen=True)
class Chair:
    """One place in a style's band, which a track's band may fill or leave empty.

    Attributes:
        role: what is played there.
        probability: how often the place is taken, at a medium energy.
        instruments: names in `instruments.INSTRUMENTS` to choose from; a name that is listed twice
            is twice as likely.
        patterns: names in the role's table in `patterns`; empty for a lead.
        level_db: loudness in the mix in dB, relative to the other stems.
    """

    role: Role
    probability: float
    instruments: tuple[str, ...]
    patterns: tuple[str, ...] = ()
    level_db: float = 0.0


@dataclass(frozen=True)
class Style:
    """What tracks of one style are drawn from.

    Attributes:
        tempo: lowest and highest tempo, in quarter notes a minute.
        meters: name in `patterns.METERS` -> weight.
        modes: name in `harmony.MODES` -> weight.
        bright: chord progressions for modes with a major third, and for the blues scale.
        dark: chord progressions for modes with a minor third.
        chairs: the places of the band.
        swing: lowest and highest swing: how much longer than half of its pair the first of two
            swung notes is, as a fraction of the pair (0 is straight).
        swung: length of one note of a swung pair, in sixteenths: 2 for eighths, 1 for sixteenths.
        looseness: standard deviation of the onsets' timing, in seconds.
        melody: notes a beat of the lead, and the share of each note's time for which it sounds
            (1 is legato, below 0.5 staccato).
    """

    tempo: tuple[float, float]
    meters: dict[str, float]
    modes: dict[str, float]
    bright: tuple[str, ...]
    dark: tuple[str, ...]
    chairs: tuple[Chair, ...]
    swing: tuple[float, float] = (0.0, 0.0)
    swung: int = 2
    looseness: float = 0.006
    melody: tuple[float, float] = (1.0, 0.9)


TWELVE_BARS = "I7 IV7 I7 I7 IV7 IV7 I7 V7/ii ii7 V7 I7,V7/ii ii7,V7"
TWELVE_BARS_PLAIN = "I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7"
MINOR_BLUES = "i7 i7 i7 i7 iv7 iv7 i7 i7 bVI7 V7 i7 V7"

STYLES: dict[str, Style] = {
    "rock": Style(
        tempo=(88, 168), meters={"4/4": 0.82, "6/8": 0.1, "7/8": 0.08},
        modes={"major": 0.3, "mixolydian": 0.25, "minor": 0.3, "dorian": 0.1, "phrygian": 0.05},
        bright=("I IV V IV", "I V vi IV", "I bVII IV I", "I iii IV V", "I V/V IV I"),
        dark=("i bVI bIII bVII", "i bVII bVI bVII", "i iv bVI V", "i bIII bVII IV",
              "I5 bII5 I5 bVII5"),
        chairs=(
            Chair("drums", 1.0, ("power kit", "room kit", "standard kit"),
                  ("rock eighths", "rock drive", "rock ride", "half time", "double kick")),
            Chair("bass", 0.95, ("picked bass", "fingered bass"),
                  ("eighths", "driving", "root fifth"), -1.0),
            Chair("chords", 0.95,
                  ("distorted guitar", "overdriven guitar", "clean guitar", "steel guitar"),
                  ("power eighths", "power syncopated", "gallop", "chug", "strum eighths"), -1.0),
            Chair("pad", 0.35, ("rock organ", "string ensemble", "grand piano", "choir"),
                  ("held", "halves"), -4.0),
            Chair("lead", 0.6,
                  ("overdriven guitar", "distorted guitar", "clean guitar", "saw lead", "oohs"), (),
                  0.0),
        ),
        melody=(1.6, 0.95),
    ),
    "jazz": Style(
        tempo=(72, 210), meters={"4/4": 0.75, "3/4": 0.17, "5/4": 0.08},
        modes={"major": 0.5, "dorian": 0.25, "minor": 0.15, "lydian": 0.1},
        bright=("ii7 V7 Imaj7 V7/ii", "Imaj7,V7/ii ii7,V7 iii7,V7/ii ii7,V7", "Imaj7 V7/V ii7 V7",
                "iii7 V7/ii ii7 V7", TWELVE_BARS),
        dark=("i6 viih7,V7/i iih7 V7b9", "i7 i7 bVImaj7 V7b9", "iih7 V7b9 i6 i6", "i7 IV9 i7 IV9",
              MINOR_BLUES),
        chairs=(
            Chair("drums", 0.85, ("brush kit", "standard kit", "room kit"),
                  ("swing ride", "swing brushes", "bebop"), -3.0),
            Chair("bass", 0.97, ("double bass", "double bass", "fretless bass", "fingered bass"),
                  ("walking", "walking up", "walking sixths", "two feel"), 0.0),
            Chair("chords", 0.9, ("grand piano", "jazz guitar", "tine piano", "drawbar organ"),
                  ("charleston", "swing stabs", "freddie green"), -2.0),
            Chair("lead", 0.9,
                  ("tenor sax", "trumpet", "muted trumpet", "alto sax", "soprano sax",
                   "grand piano", "jazz guitar", "flute", "trombone"), (), 1.0),
            Chair("riff", 0.25, ("brass section", "trombone", "alto sax"),
                  ("swing stabs", "charleston"), -3.0),
        ),
        swing=(0.08, 0.17), looseness=0.012, melody=(2.0, 0.8),
    ),
    "blues": Style(
        tempo=(58, 138), meters={"4/4": 0.8, "6/8": 0.2},
        modes={"blues": 0.75, "mixolydian": 0.15, "dorian": 0.1},
        bright=(TWELVE_BARS_PLAIN, "I7 IV7 I7 V7", "I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7"),
        dark=(MINOR_BLUES, "i7 iv7 i7 V7"),
        chairs=(
            Chair("drums", 0.85, ("standard kit", "room kit", "brush kit"),
                  ("shuffle", "slow blues", "rock eighths"), -2.0),
            Chair("bass", 0.9, ("fingered bass", "double bass", "picked bass"),
                  ("boogie", "shuffle", "walking sixths", "root fifth"), 0.0),
            Chair("chords", 0.95,
                  ("bright piano", "clean guitar", "steel guitar", "overdriven guitar",
                   "drawbar organ"), ("boogie", "charleston", "quarters", "freddie green"), -1.5),
            Chair("pad", 0.3, ("drawbar organ", "rock organ", "brass section"),
                  ("held", "swing stabs"), -4.0),
            Chair("lead", 0.8,
                  ("overdriven guitar", "clean guitar", "tenor sax", "steel guitar",
                   "bright piano"), (), 1.0),
        ),
        swing=(0.1, 0.17), looseness=0.01, melody=(1.5, 0.9),
    ),
    "classical": Style(
        tempo=(56, 144), meters={"4/4": 0.5, "3/4": 0.3, "6/8": 0.2},
        modes={"major": 0.5, "minor": 0.2, "harmonic minor": 0.3},
        bright=("I IV V7 I", "I vi ii V7", "I V7/V V7 I", "I,V7 vi,V7/IV IV,ii V7",
                "I V vi iii IV I IV V"),
        dark=("i iv V7 i", "i bVI iio V7", "i bVII bVI V7", "i,V7 i,iv iio,V7 i", "i V7/iv iv V7"),
        chairs=(
            Chair("chords", 0.95,
                  ("grand piano", "string ensemble", "pizzicato strings", "nylon guitar",
                   "church organ"),
                  ("alberti", "rolling", "arpeggio", "quarters", "halves", "slow arpeggio"), -2.0),
            Chair("bass", 0.7, ("cello", "double bass", "string ensemble"),
                  ("arco", "held", "root fifth"), -2.0),
            Chair("pad", 0.5, ("slow strings", "string ensemble", "choir", "french horn"),
                  ("held", "halves"), -4.0),
            Chair("lead", 0.95,
                  ("violin", "flute", "grand piano", "cello", "trumpet", "french horn", "recorder"),
                  (), 0.0),
            Chair("riff", 0.3, ("string ensemble", "french horn", "trombone", "pizzicato strings"),
                  ("tremolo", "quarters", "halves"), -3.0),
            Chair("drums", 0.08, ("standard kit",), ("march", "pulse"), -6.0),
        ),
        looseness=0.014, melody=(1.4, 0.97),
    ),
    "folk": Style(
        tempo=(76, 156), meters={"4/4": 0.5, "3/4": 0.28, "6/8": 0.22},
        modes={"major": 0.45, "mixolydian": 0.2, "dorian": 0.25, "minor": 0.1},
        bright=("I IV I V", "I V vi IV", "I bVII I V", "I ii IV V", "I I IV V"),
        dark=("i bVII i bVII", "i bVII bVI v", "i IV i bVII", "i bIII bVII i"),
        chairs=(
            Chair("chords", 1.0,
                  ("steel guitar", "nylon guitar", "steel guitar", "grand piano", "drawbar organ"),
                  ("strum eighths", "strum pop", "strum waltz", "travis", "fingerpicked", "oompah"),
                  -1.0),
            Chair("bass", 0.65, ("double bass", "fingered bass"),
                  ("root fifth", "oompah", "held", "two feel"), -1.0),
            Chair("lead", 0.85,
                  ("fiddle", "flute", "recorder", "pan flute", "violin", "steel guitar", "oohs"),
                  (), 0.0),
            Chair("drums", 0.3, ("brush kit", "standard kit"), ("train", "folk light"), -4.0),
            Chair("percussion", 0.3, ("hand percussion",), ("shaker", "tambourine", "triangle"),
                  -3.0),
            Chair("pad", 0.2, ("drawbar organ", "slow strings", "oohs"), ("held",), -5.0),
        ),
        looseness=0.012, melody=(1.8, 0.85),
    ),
    "reggae": Style(
        tempo=(62, 104), meters={"4/4": 1.0},
        modes={"major": 0.35, "mixolydian": 0.15, "minor": 0.35, "dorian": 0.15},
        bright=("I IV", "I V vi IV", "I ii", "I IV I V", "I bVII"),
        dark=("i iv", "i bVII", "i bVI bVII", "i v iv v", "i7 iv7"),
        chairs=(
            Chair("drums", 0.97, ("standard kit", "room kit", "808 kit", "electronic kit"),
                  ("one drop", "steppers", "rockers"), -1.0),
            Chair("bass", 1.0, ("fingered bass", "fretless bass", "synth bass"),
                  ("one drop", "roots", "steppers"), 1.0),
            Chair("chords", 1.0, ("clean guitar", "muted guitar", "bright piano", "drawbar organ"),
                  ("skank", "double skank", "ska"), -1.0),
            Chair("riff", 0.55, ("drawbar organ", "percussive organ", "tine piano"),
                  ("bubble", "ska"), -3.0),
            Chair("lead", 0.5,
                  ("trombone", "tenor sax", "brass section", "oohs", "flute", "drawbar organ"), (),
                  0.0),
            Chair("percussion", 0.35, ("hand percussion",), ("nyabinghi", "shaker"), -4.0),
        ),
        swing=(0.0, 0.08), swung=1, looseness=0.009, melody=(1.0, 0.8),
    ),
    "funk": Style(
        tempo=(84, 126), meters={"4/4": 1.0},
        modes={"dorian": 0.4, "mixolydian": 0.35, "blues": 0.25},
        bright=("I9", "I9 I9 IV9 I9", "I9 bVII", "I9 I9 I9 IV9,V9"),
        dark=("i9", "i7 IV9", "i7 i7 i7 bIII,IV", "i9 iv7"),
        chairs=(
            Chair("drums", 1.0, ("standard kit", "room kit", "electronic kit", "808 kit"),
                  ("funk sixteenths", "funk breaks", "funk linear"), 0.0),
            Chair("bass", 1.0, ("slap bass", "fingered bass", "rubber bass", "synth bass"),
                  ("funk one", "funk octaves", "funk syncopated"), 0.0),
            Chair("chords", 0.95,
                  ("clean guitar", "muted guitar", "tine piano", "fm piano", "percussive organ"),
                  ("funk scratch", "funk stabs", "clav"), -1.0),
            Chair("riff", 0.55, ("brass section", "trumpet", "alto sax", "poly synth"),
                  ("funk stabs", "stabs"), -1.0),
            Chair("lead", 0.45, ("alto sax", "tenor sax", "square lead", "tine piano", "trumpet"),
                  (), 0.0),
            Chair("percussion", 0.4, ("hand percussion",), ("shaker", "tumbao", "tambourine"),
                  -4.0),
        ),
        swing=(0.0, 0.1), swung=1, looseness=0.006, melody=(1.8, 0.6),
    ),
    "latin": Style(
        tempo=(84, 196), meters={"4/4": 0.9, "6/8": 0.1},
        modes={"major": 0.3, "mixolydian": 0.1, "minor": 0.2, "harmonic minor": 0.25,
               "dorian": 0.15},
        bright=("I IV V IV", "Imaj7 V7/V ii7 V7", "I6 V7/ii ii7 V7", "I V7 V7 I"),
        dark=("i iv V7 V7", "i bVII bVI V7", "i7 IV7", "i V7 V7 i", "i6 iih7 V7b9 i6"),
        chairs=(
            Chair("percussion", 0.85, ("hand percussion",),
                  ("tumbao", "bongo martillo", "son clave", "rumba clave", "guiro", "agogo"), 0.0),
            Chair("drums", 0.5, ("standard kit", "room kit", "808 kit", "electronic kit"),
                  ("songo", "cascara", "bossa", "reggaeton"), -3.0),
            Chair("bass", 0.97, ("double bass", "fingered bass", "synth bass"),
                  ("tumbao", "bossa", "salsa"), 0.0),
            Chair("chords", 1.0, ("bright piano", "nylon guitar", "grand piano", "tine piano"),
                  ("montuno", "bossa", "funk stabs"), -1.0),
            Chair("riff", 0.4, ("brass section", "trumpet", "trombone"), ("stabs", "funk stabs"),
                  -1.0),
            Chair("lead", 0.6, ("trumpet", "flute", "nylon guitar", "alto sax", "oohs", "trombone"),
                  (), 0.0),
        ),
        looseness=0.008, melody=(1.6, 0.75),
    ),
    "electronic": Style(
        tempo=(98, 148), meters={"4/4": 1.0},
        modes={"minor": 0.45, "dorian": 0.2, "phrygian": 0.15, "major": 0.2},
        bright=("I V vi IV", "I IV", "vi IV I V", "Imaj7 IVmaj7"),
        dark=("i bVI bIII bVII", "i", "i bVII", "i bII", "i iv bVI bVII"),
        chairs=(
            Chair("drums", 0.97, ("electronic kit", "808 kit", "808 kit", "power kit"),
                  ("four on the floor", "techno", "electro", "breakbeat", "trip"), 1.0),
            Chair("bass", 0.95, ("synth bass", "rubber bass", "picked bass"),
                  ("octaves", "offbeat", "acid", "sub"), 0.0),
            Chair("chords", 0.85,
                  ("poly synth", "saw lead", "fm piano", "square lead", "bright piano"),
                  ("sequence", "fast sequence", "offbeat chords", "stabs"), -1.0),
            Chair("pad", 0.5, ("sweep pad", "warm pad", "string ensemble", "choir"), ("held",),
                  -4.0),
            Chair("lead", 0.45, ("saw lead", "square lead", "oohs", "fm piano"), (), -1.0),
            Chair("percussion", 0.2, ("hand percussion",), ("shaker", "tambourine"), -5.0),
        ),
        looseness=0.001, melody=(1.5, 0.7),
    ),
    "ambient": Style(
        tempo=(50, 96), meters={"4/4": 0.75, "3/4": 0.15, "5/4": 0.1},
        modes={"major": 0.25, "lydian": 0.3, "minor": 0.25, "dorian": 0.2},
        bright=("Imaj9 IVmaj9", "Imaj7 II", "I vi", "Isus I IVmaj7 Isus"),
        dark=("i9 bVImaj7", "i7 iv9", "i bVII bVImaj7 bVII", "i9"),
        chairs=(
            Chair("pad", 1.0,
                  ("warm pad", "halo pad", "sweep pad", "slow strings", "choir", "church organ"),
                  ("held",), 0.0),
            Chair("chords", 0.7,
                  ("tine piano", "grand piano", "fm piano", "clean guitar", "nylon guitar",
                   "poly synth"), ("slow arpeggio", "fingerpicked", "arpeggio"), -2.0),
            Chair("bass", 0.5, ("fretless bass", "synth bass", "cello"), ("held", "sub"), -2.0),
            Chair("lead", 0.45,
                  ("flute", "pan flute", "oohs", "square lead", "soprano sax", "violin"), (), -2.0),
            Chair("drums", 0.15, ("808 kit", "electronic kit", "brush kit"), ("pulse", "trip"),
                  -5.0),
        ),
        looseness=0.02, melody=(0.6, 1.0),
    ),
}  # fmt: skip

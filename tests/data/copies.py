"""Composed test music, and ways to make a copy of it that is not the same samples."""

import io

import numpy as np
import soundfile
from scipy.signal import lfilter

RATE = 16_000
SECONDS = 14.0
SCALE = np.array([0, 2, 4, 5, 7, 9, 11])


def music(seed: int, seconds: float = SECONDS, band: int = 0) -> np.ndarray:
    """Chords, a melody and noise bursts in a random rhythm, (samples,) at RATE.

    Pieces of the same band share instruments, tempo and key.
    """
    rng, style = np.random.default_rng(seed), np.random.default_rng(1_000_000 + band)
    beat, key = 60 / style.uniform(80, 160), style.integers(45, 57)
    voices = style.uniform(0.2, 1.0, (2, 6)) / np.arange(1, 7)
    audio = np.zeros(round((seconds + 4) * RATE), np.float32)
    time = 0.0
    while time < seconds:
        length = beat * rng.choice([0.5, 1.0, 1.5])
        degrees = (
            rng.integers(0, 7) + np.array([0, 2, 4])
            if rng.random() < 0.4
            else rng.integers(0, 14, 1)
        )
        clock = np.arange(round((length + 0.3) * RATE)) / RATE
        decay = np.exp(-clock * rng.uniform(1.5, 4.0)).astype(np.float32)
        start = round(time * RATE)
        for degree in degrees:
            pitch = 440 * 2 ** ((key - 69 + SCALE[degree % 7] + 12 * (degree // 7)) / 12)
            partials = voices[int(len(degrees) > 1)][:, None] * np.sin(
                2 * np.pi * pitch * np.arange(1, 7)[:, None] * clock
            )
            audio[start : start + len(clock)] += 0.1 * decay * partials.sum(axis=0)
        if rng.random() < 0.5:
            burst = rng.normal(size=round(0.08 * RATE)) * np.exp(
                -np.linspace(0, 6, round(0.08 * RATE))
            )
            audio[start : start + len(burst)] += 0.15 * burst
        time += length
    return audio[: round(seconds * RATE)]


def pcm(audio: np.ndarray) -> np.ndarray:
    """Samples in [-1, 1] as int16."""
    return np.round(np.clip(audio, -1, 1) * 32767).astype(np.int16)


def encoded(
    audio: np.ndarray, kind: str, subtype: str, level: float, rate: int = RATE
) -> np.ndarray:
    """Audio after an encoder of libsndfile; level 0 is the best quality, 1 the lowest bit rate."""
    file = io.BytesIO()
    constant = {"bitrate_mode": "CONSTANT"} if kind == "MP3" else {}
    soundfile.write(
        file, audio, rate, format=kind, subtype=subtype, compression_level=level, **constant
    )
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def with_noise(audio: np.ndarray, decibels: float) -> np.ndarray:
    """Audio with white noise so many dB below it."""
    noise = np.random.default_rng(9).normal(size=len(audio))
    return audio + noise * audio.std() * 10 ** (-decibels / 20)


# Ways to make a copy of audio in [-1, 1].
CHANGES = {
    "mp3": lambda audio: encoded(audio, "MP3", "MPEG_LAYER_III", 0.9),
    "ogg": lambda audio: encoded(audio, "OGG", "VORBIS", 1.0),
    "opus": lambda audio: encoded(audio, "OGG", "OPUS", 0.95),
    "equaliser": lambda audio: lfilter([1, -0.6], [1, -0.2], audio),
    "louder": lambda audio: 3 * audio,
    "quieter": lambda audio: audio / 100,
    "noise": lambda audio: with_noise(audio, 20),
    "other way up": lambda audio: -audio,
    "cut": lambda audio: audio,
}

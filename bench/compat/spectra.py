"""`bench.spectra` is `bench.settings.frontends`: encoders written for version 0.1 import this."""

from bench.settings.frontends import LogMelSpec as LogMelSpec
from bench.settings.frontends import MfccSpec as MfccSpec

"""`bench.external` is `bench.core.external`: encoders written for version 0.1 import this."""

from bench.core.external import DESCRIPTIONS as DESCRIPTIONS
from bench.core.external import WEIGHTS as WEIGHTS
from bench.core.external import description as description
from bench.core.external import weights_of as weights_of

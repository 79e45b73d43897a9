"""`bench.errors` is `bench.core.errors`: plug-ins written for version 0.1 import this."""

from bench.core.errors import InputError as InputError
from bench.core.errors import unknown as unknown

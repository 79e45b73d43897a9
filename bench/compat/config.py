"""`bench.config.Spec` is `bench.settings.base.Spec`: plug-ins for version 0.1 import this."""

from bench.settings.base import Spec as Spec

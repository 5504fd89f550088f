"""A base class that both Lightnings take for a callback of their own."""

import sys
from typing import TYPE_CHECKING

from lightning.pytorch import Callback

if TYPE_CHECKING:
    AnyCallback = Callback
else:
    # pytorch_lightning's trainer calls whatever has the hooks; but its LightningCLI refuses a class in YAML that is not
    # derived from its own Callback. Who uses it has imported it by now; nobody else is to pay for importing it.
    _OTHER = sys.modules.get("pytorch_lightning")
    AnyCallback = Callback if _OTHER is None else type("AnyCallback", (Callback, _OTHER.Callback), {})

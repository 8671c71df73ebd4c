from bridge.delivery.rendering import Renderer as Encoder
from bridge.delivery.rendering import TableForm

__all__ = ["Encoder", "TableForm"]

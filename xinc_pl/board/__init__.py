"""The Canvas tab of TensorBoard: Python that answers, and one page that asks.

TensorBoard finds ``plugin.CanvasPlugin`` by the entry point ``tensorboard_plugins``. Nothing here imports torch until
the tab is first looked at.
"""

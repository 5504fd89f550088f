from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugin_util import markdown_to_safe_html
from tensorboard.plugins.custom_scalar import layout_pb2
from tiny import Probe, tiny_clip, tiny_video, trainer

import xinc_pl.callbacks
from xinc_pl import XINCCallback
from xinc_pl.callbacks.guide import Chapter, guide_text, layout

CHAPTER = Chapter("spread", "How it spreads.", ["block_1", "head"], {"gini": "inequality"}, {"gini": [".*/gini"]})


def test_the_page_tells_what_each_tag_means() -> None:
    text = guide_text([CHAPTER])
    assert "## xinc/spread" in text
    assert "How it spreads." in text
    assert "| `gini` | inequality |" in text
    assert "`block_1`, `head`" in text


class Cells(HTMLParser):
    """The tables of a page: rows of what stands in their cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._inside = tag in ("td", "th") or (self._inside and tag == "code")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag == "code"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data


def shown(chapter: Chapter) -> list[list[str]]:
    """The rows of a chapter's table as TensorBoard shows them."""
    return Cells(markdown_to_safe_html(guide_text([chapter]))).rows[1:]


@pytest.mark.parametrize("text", ["mean |M|", "a < b > c", "*x* _y_ __z__", "`a|b` | c", "[0, 1] (x) # & &amp;"])
def test_words_are_shown_as_they_stand(text: str) -> None:
    chapter = Chapter("x", text, ["_net_.0"], {"q|r": text}, {})
    assert shown(chapter) == [["q|r", text.replace("`", "")]]


CALLBACKS = [each for each in vars(xinc_pl.callbacks).values() if getattr(each, "meanings", None)]


@pytest.mark.parametrize("callback", CALLBACKS)
def test_tables_of_all_callbacks_are_whole(callback: type[XINCCallback]) -> None:
    chapter = Chapter("x", (callback.__doc__ or "").split("\n")[0], ["head"], callback.meanings, {})
    assert shown(chapter) == [[name, meaning.replace("`", "")] for name, meaning in callback.meanings.items()]


def test_charts_match_their_tags_with_and_without_frame() -> None:
    import re

    kind, (pattern,) = layout([CHAPTER])["spread"]["gini"]
    assert kind == "Multiline"
    for tag in ("xinc/spread/head/gini", "xinc/spread/block_1/gini/frame_0003"):
        assert re.match(pattern, tag)
    for tag in ("xinc/spread/head/gini_control", "xinc/other/head/gini"):
        assert not re.match(pattern, tag)


class Explained(Probe):
    """Tells things."""

    meanings: ClassVar[Mapping[str, str]] = {"probe": "a number"}

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return {f"probe of {layers[0]}": [f"{layers[0]}/probe"]}


def test_the_page_and_one_layout_for_all_callbacks_are_logged_once(tmp_path: Path) -> None:
    callbacks = [Explained(at_epochs=(0, 1), name="a"), Explained(at_epochs=(1,), name="b", layers=["head"])]
    run = trainer(tmp_path, callbacks, max_epochs=2)
    run.fit(tiny_video(), tiny_clip())
    events = EventAccumulator(run.log_dir, size_guidance={"tensors": 0}).Reload()
    (page,) = events.Tensors("xinc/guide/text_summary")
    text = page.tensor_proto.string_val[0].decode()
    assert "Tells things." in text
    assert "## xinc/b" in text
    (config,) = events.Tensors("custom_scalars__config__")
    charts = layout_pb2.Layout.FromString(config.tensor_proto.string_val[0])
    assert [(category.title, category.chart[0].title) for category in charts.category] == [
        ("a", "probe of block_1"),
        ("b", "probe of head"),
    ]

"""The tab in a browser: what one clicks, and what is then shown, against what the core gives."""

import csv
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard import default, program

from xinc_pl.board.plugin import CanvasPlugin
from xinc_pl.recorded import RecordedRun, recorded_run

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="there is no chromium with its chromedriver"),
]

PATIENCE = 60


def served(logdir: Path) -> str:
    """The address of a TensorBoard that shows some runs."""
    server = program.TensorBoard([*default.get_static_plugins(), CanvasPlugin])
    server.configure(("tensorboard", "--logdir", str(logdir), "--port", "0", "--load_fast", "false"))
    return str(server.launch())


@pytest.fixture(scope="module")
def address(logdir: Path) -> str:
    return served(logdir)


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for each in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "window-size=1280,1400"):
        options.add_argument(f"--{each}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))
    yield started
    started.quit()


class Page:
    """The page in a window of its own, and what one does with it."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        self.address = f"{address}data/plugin/canvas/index.html"

    def open(self, state: str = "") -> None:
        self.driver.get("about:blank")
        self.driver.get(f"{self.address}#{state}")
        self.ready("pictures")

    def run(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(f"return {script}", *values)

    def until(self, what: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := what()):
            assert time.monotonic() < deadline, self.run("document.body.innerText")
            time.sleep(0.05)
        return found

    def ready(self, section: str) -> None:
        self.until(lambda: self.run("!!document.querySelector(`[data-section=${arguments[0]}][data-ready]`)", section))

    def press(self, selector: str, at: int = 0, **event: Any) -> None:
        """Click an element."""
        self.until(lambda: self.run("document.querySelectorAll(arguments[0]).length > arguments[1]", selector, at))
        self.driver.execute_script(
            "document.querySelectorAll(arguments[0])[arguments[1]]"
            ".dispatchEvent(new MouseEvent('click', {bubbles: true, ...arguments[2]}))",
            selector,
            at,
            event,
        )

    def drag(self, start: tuple[int, int], end: tuple[int, int], size: tuple[int, int]) -> None:
        """Press the pointer at one pixel of the target, and let go of it at another; the same one is a click."""
        stage = self.driver.find_element("css selector", ".pictures .stage")
        actions = webdriver.ActionChains(self.driver)
        width, height = stage.size["width"], stage.size["height"]
        for move, (row, column) in enumerate((start, end)):
            x = (column + 0.5) / size[1] * width - width / 2
            y = (row + 0.5) / size[0] * height - height / 2
            actions.move_to_element_with_offset(stage, round(x), round(y))
            if move == 0:
                actions.click_and_hold()
        actions.release().perform()

    def listed(self, layer: str) -> list[int]:
        """Neurons of the list, in its order."""
        rows = self.run(
            f"[...document.querySelectorAll('[role=option][data-layer={layer}]')].map((r) => r.dataset.neuron)"
        )
        return [int(each) for each in rows]

    def keys(self, text: str) -> None:
        webdriver.ActionChains(self.driver).send_keys(text).perform()


@pytest.fixture
def page(driver: Any, address: str) -> Iterator[Page]:
    shown = Page(driver, address)
    driver.get_log("browser")
    yield shown
    troubles = [each["message"] for each in driver.get_log("browser") if each["level"] == "SEVERE"]
    assert not [each for each in troubles if "favicon" not in each]


@pytest.fixture(scope="module")
def run(logdir: Path) -> RecordedRun:
    found = recorded_run(logdir / "version_0")
    assert found is not None
    return found


def a_pixel_of_the_rocket(run: RecordedRun) -> tuple[int, int]:
    (rocket,) = (each for each in run.frame(0).instances if each.category == "rocket")
    row, column = rocket.mask.nonzero()[int(rocket.mask.sum()) // 2].tolist()
    return row, column


def test_a_click_on_the_rocket_lists_the_neurons_that_paint_it(page: Page, run: RecordedRun) -> None:
    page.open("frame=0&epoch=4&layer=block_2")
    pixel = a_pixel_of_the_rocket(run)
    page.drag(pixel, pixel, (16, 32))
    page.ready("list")
    ranking = run.canvas(4, 0)["block_2"].top(pixel, 16)
    assert page.listed("block_2") == ranking.neurons.tolist()
    shares = page.run("[...document.querySelectorAll('.row .bar[data-value]')].map((each) => +each.dataset.value)")
    assert shares == pytest.approx(ranking.shares.tolist(), rel=1e-5)


def test_a_rectangle_is_dragged(page: Page, run: RecordedRun) -> None:
    page.open("frame=2&epoch=3&layer=head")
    page.drag((3, 4), (8, 11), (16, 32))
    page.ready("list")
    mask = torch.zeros(16, 32, dtype=torch.bool)
    mask[3:9, 4:12] = True
    assert page.listed("head") == run.canvas(3, 2)["head"].top(mask, 16).neurons.tolist()


def test_a_neuron_is_shown_over_all_epochs_and_taken_away(page: Page, run: RecordedRun) -> None:
    page.open("frame=0&epoch=4&layer=head&pixel=5,9")
    page.ready("list")
    page.press("[role=option]")
    for section in ("map", "strip", "effect", "facts"):
        page.ready(section)
    tiles = page.run("[...document.querySelectorAll('.tiles [data-epoch]')].map((each) => +each.dataset.epoch)")
    assert tuple(tiles) == run.epochs
    assert page.run("document.querySelectorAll('.tiles .waiting, .tiles .error').length") == 0
    removal = run.canvas(4, 0, "effect").removal
    first, second = page.listed("head")[:2]

    def psnr(neurons: list[int]) -> float:
        target = run.frame(0).target
        assert target is not None
        image = removal.together({"head": neurons}).clamp(0, 1)
        return float(-10 * (image.double() - target).square().mean().log10())

    def told() -> float:
        return float(page.run("document.querySelector('[data-psnr]').dataset.psnr"))

    assert told() == pytest.approx(psnr([first]), abs=1e-3)
    page.press("[role=option]", 1, ctrlKey=True)
    page.until(lambda: abs(told() - psnr([first, second])) < 1e-3)
    assert "without all of them" in page.run("document.querySelector('[data-section=effect]').innerText")


def test_the_address_restores_the_view(page: Page) -> None:
    page.open("frame=0&epoch=4&layer=head")
    page.press(".instances [data-instance]")
    page.ready("list")
    page.press("[role=option]", 2)
    page.ready("effect")
    page.press("[data-sort=total]")
    page.press("[data-value=effect]")
    page.until(lambda: "convention=effect" in page.run("location.hash"))
    page.until(lambda: page.run("!!document.querySelector('[data-section=list][data-ready]')"))
    state = page.run("location.hash.slice(1)")
    seen = page.listed("head")
    page.open(state)
    for section in ("list", "map", "strip", "effect", "facts"):
        page.ready(section)
    assert page.run("location.hash.slice(1)") == state
    assert page.listed("head") == seen
    assert page.run("document.querySelector('.sorted').dataset.sort") == "total"
    assert (
        page.run("document.querySelector('.convention, [aria-label=convention] [aria-checked=true]').innerText")
        == "effect"
    )


def test_keys_and_two_panes(page: Page) -> None:
    page.open("frame=0&epoch=4&layer=head")
    page.keys("\ue012")  # left
    page.until(lambda: "epoch=3&" in page.run("location.hash"))
    page.keys("1")
    page.until(lambda: "layer=block_1" in page.run("location.hash"))
    page.keys("]")
    page.until(lambda: "frame=2" in page.run("location.hash"))
    page.keys("p")
    page.until(lambda: page.run("document.querySelectorAll('.pane').length") == 2)
    page.until(lambda: "epoch2=1" in page.run("location.hash"))
    page.until(lambda: page.run("document.querySelectorAll('[data-section=pictures][data-ready]').length") == 2)
    page.keys("0")
    page.keys("p")
    page.until(lambda: page.run("document.querySelectorAll('.pane').length") == 1)
    page.drag((3, 4), (3, 4), (16, 32))
    page.until(lambda: page.run("document.querySelectorAll('.layer-table').length") == 3)


@pytest.mark.parametrize(("sort", "by"), [("total", "total"), ("change", "change"), ("signed", "positive")])
def test_the_list_is_sorted_among_all_neurons(page: Page, run: RecordedRun, sort: str, by: str) -> None:
    page.open("frame=0&epoch=4&layer=block_2&pixel=5,9")
    page.ready("list")
    shares = page.listed("block_2")
    page.press(f"[data-sort={sort}]")
    page.until(lambda: page.run("document.querySelector('.sorted').dataset.sort") == sort)
    canvas, before = run.canvas(4, 0)["block_2"], run.canvas(3, 0)["block_2"]
    maps, earlier = canvas.maps().double(), before.maps().double()
    value = {
        "total": maps.abs().mean((1, 2)),
        "change": (maps - earlier)[:, 5, 9].abs(),
        "positive": maps[:, 5, 9],
    }[by]
    listed = page.listed("block_2")
    assert value[listed].tolist() == pytest.approx(value.sort(descending=True).values[:16].tolist(), rel=1e-4)
    assert set(listed) != set(shares)
    assert f"sort={sort}" in page.run("location.hash")


def test_by_group_and_where_no_epoch_is_before(page: Page) -> None:
    page.open("frame=0&epoch=0&layer=block_2&pixel=5,9&sort=change")
    page.ready("list")
    assert "for there is no epoch before" in page.run("document.querySelector('.layer-table header').innerText")
    page.press("[data-sort=group]")
    page.until(lambda: page.run("!!document.querySelector('.group small')"))
    letters = page.run("[...document.querySelectorAll('.group i')].map((each) => each.innerText)")
    assert letters == sorted(letters)
    assert len(set(letters)) > 1
    assert max(letters.count(each) for each in letters) <= 4


def test_in_a_narrow_pane_the_list_can_still_be_sorted(page: Page) -> None:
    page.open("frame=0&epoch=4&layer=head&pixel=5,9")
    page.ready("list")
    shown = "getComputedStyle(document.querySelector(arguments[0])).display !== 'none'"
    assert not page.run(shown, ".orders")
    page.keys("p")
    page.until(lambda: page.run(shown, ".orders"))
    assert not page.run(shown, "[data-sort=total]")
    page.driver.execute_script(
        "const one = document.querySelector('.orders'); one.value = 'total'; one.dispatchEvent(new Event('change'));"
    )
    page.until(lambda: page.run(shown, "[data-sort=total]"))
    assert page.run("document.querySelector('.orders').value") == "total"


TWO_RUNS = "run=version_0&epoch=2&run2=version_1&epoch2=2&frame=0&layer=head&pixel=5,9"


@pytest.fixture
def of_two(driver: Any, compared_address: str) -> Page:
    return Page(driver, compared_address)


@pytest.fixture(scope="module")
def compared_address(compared: Path) -> str:
    return served(compared)


def matched_in(compared: Path) -> tuple[list[int], list[int]]:
    """Neurons of the head in both runs, the best match first."""
    facts = json.loads((compared / "compare_0/pairs.json").read_text())
    (match,) = (each for each in facts["matches"] if each["layer"] == "head" and each["kind"] == "other_seed")
    own, others = match["neurons"]
    return own, others


def chips(page: Page, pane: int) -> list[str]:
    found: list[str] = page.run(
        "[...document.querySelectorAll('.pane')[arguments[0]].querySelectorAll('.detail:not(.nothing) .chip')]"
        ".map((each) => each.firstChild.innerText)",
        pane,
    )
    return found


def test_the_neuron_of_the_other_run_that_is_matched(of_two: Page, compared: Path) -> None:
    page, (own, others) = of_two, matched_in(compared)
    page.open(f"{TWO_RUNS}&neuron=head:{own[0]}")
    page.until(lambda: chips(page, 1) == [f"head : {others[0]}"])
    assert chips(page, 0) == [f"head : {own[0]}"]
    text = page.until(lambda: page.run("document.querySelectorAll('[data-section=match][data-ready]')[0]?.innerText"))
    assert re.search(rf"head : {others[0]} is version_0.s head : {own[0]}, similarity", text)
    assert "from compare_0: epochs 2 here and 2 there, frame 0, paper" in text
    # its map is that of the other run
    run = recorded_run(compared / "version_1")
    assert run is not None
    largest = float(run.canvas(2, 0)["head"].magnitudes([others[0]]).max())
    note = page.until(
        lambda: page.run("document.querySelectorAll('.pane')[1].querySelector('.large .note')?.innerText")
    )
    assert float(note.split()[-1]) == pytest.approx(largest, rel=0.01)


def test_a_neuron_is_chosen_in_the_second_pane(of_two: Page, compared: Path) -> None:
    page, (own, others) = of_two, matched_in(compared)
    page.open(f"{TWO_RUNS}&k=64&neuron=head:{own[0]}")
    page.until(lambda: chips(page, 1))
    second = f".pane:nth-child(2) [role=option][data-neuron='{others[1]}']"
    page.press(second)
    page.until(lambda: chips(page, 0) == [f"head : {own[1]}"])
    assert chips(page, 1) == [f"head : {others[1]}"]
    state = page.run("location.hash.slice(1)")
    assert "from=2" in state
    assert page.run("document.querySelector('.pane [aria-selected=true]').dataset.neuron") == str(own[1])
    page.open(state)
    page.until(lambda: chips(page, 0) == [f"head : {own[1]}"])
    page.press(".pane:nth-child(1) .chip .drop")  # the matched one stands for the one it is matched to
    page.until(lambda: not chips(page, 1))
    page.press(second)
    page.until(lambda: chips(page, 0))
    page.press(".two")
    page.until(lambda: page.run("document.querySelectorAll('.pane').length") == 1)
    assert "neuron" not in page.run("location.hash")


def test_where_there_is_no_match_it_is_said_how_to_get_one(of_two: Page) -> None:
    of_two.open(f"{TWO_RUNS.replace('run2=version_1', 'run2=version_2')}&neuron=head:3")
    text = of_two.until(lambda: of_two.run("document.querySelector('.why')?.innerText"))
    assert "has not been compared" in text
    assert "python -m xinc_pl compare" in text
    assert chips(of_two, 0) == ["head : 3"]
    assert chips(of_two, 1) == []
    of_two.until(lambda: of_two.run("document.querySelectorAll('[data-section=list][data-ready]').length") == 2)


def test_what_is_wrong_with_the_pairs_is_told(driver: Any, compared: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(compared, tmp_path / "damaged"))
    (folder / "compare_0/pairs.json").write_text("{")
    page = Page(driver, served(folder))
    page.open(f"{TWO_RUNS}&neuron=head:3")
    text = page.until(lambda: page.run("document.querySelector('.match .error')?.innerText"))
    assert text == "compare_0: pairs.json is damaged: it is not JSON; compare the runs again"


def test_a_network_that_is_no_chain_is_shown_by_its_effects(driver: Any, others: Path) -> None:
    page = Page(driver, served(others))
    page.open("run=version_1&pixel=1,2&k=64")
    page.ready("list")
    assert "convention=effect" in page.run("location.hash")
    assert page.run("document.querySelectorAll('.pictures figure').length") == 1
    page.press("[role=option]")
    page.ready("effect")
    assert "against the image with it" in page.run("document.querySelector('[data-section=effect]').innerText")


def test_what_is_wrong_is_told_with_the_run(page: Page) -> None:
    page.driver.get("about:blank")
    page.driver.get(f"{page.address}#run=version_1")
    message = page.until(lambda: page.run("document.querySelector('[role=alert]')?.innerText"))
    assert message == "run version_1 has no recordings; train with the callback CanvasRecorder"
    page.driver.get("about:blank")
    page.driver.get(f"{page.address}#layer=nonsense&pixel=1,2")
    message = page.until(lambda: page.run("document.querySelector('.list [role=alert]')?.innerText"))
    assert "run version_0 has no layer nonsense" in message
    page.driver.get_log("browser")  # the refusals stand there as well


def test_nothing_recorded_says_what_to_do(driver: Any, tmp_path: Path) -> None:
    page = Page(driver, served(tmp_path))
    driver.get(page.address)
    text = page.until(lambda: page.run("document.querySelector('.empty')?.innerText"))
    assert "CanvasRecorder" in text
    assert str(tmp_path) in text


def test_the_tab_in_tensorboard_keeps_its_state_in_the_address(page: Page, address: str) -> None:
    driver = page.driver
    driver.get("about:blank")
    driver.get(f"{address}#canvas&p.canvas.view=frame%3D2%26layer%3Dblock_2%26pixel%3D3%2C4")
    frame = page.until(lambda: driver.find_elements("css selector", "iframe[src*='name=canvas']"))[0]
    driver.switch_to.frame(frame)
    page.ready("list")
    assert len(page.listed("block_2")) == 16
    page.press("[role=option]", 1)
    page.ready("effect")
    driver.switch_to.default_content()
    assert "head" not in page.run("location.hash")
    page.until(lambda: "neuron%3Dblock_2" in page.run("location.hash"))
    assert page.run("location.hash").startswith("#canvas&")


def test_the_slider_is_moved_and_keeps_the_pointer(page: Page) -> None:
    page.open("frame=0&epoch=4&layer=head")
    slider = page.driver.find_element("css selector", "input[type=range]")
    page.driver.execute_script("arguments[0].focus()", slider)
    for _ in range(2):
        slider.send_keys("\ue012")  # left
    page.until(lambda: "epoch=1&" in page.run("location.hash"))
    assert page.run("document.activeElement === arguments[0]", slider)
    assert page.run("document.querySelector('.epochs output').innerText").startswith("epoch 1 · ")


def test_pictures_and_tables_are_saved(page: Page, run: RecordedRun, tmp_path: Path) -> None:
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.open("frame=0&epoch=4&layer=head&pixel=5,9&neuron=head:2")
    for section in ("list", "map", "strip"):
        page.ready(section)
    page.until(lambda: page.run("!document.querySelector('.neurons').innerText.includes('…')"))
    page.press(".csv")
    page.press(".large .save button", 0)
    page.press(".large .save button", 1)
    expected = {"neurons-head-epoch-4.csv", "head-2-epoch-4-paper.png", "head-2-epoch-4-paper.svg"}
    page.until(lambda: {file.name for file in tmp_path.iterdir()} == expected)
    ranking = run.canvas(4, 0)["head"].top((5, 9), 16)
    with (tmp_path / "neurons-head-epoch-4.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["neuron"]) for row in rows] == ranking.neurons.tolist()
    assert [float(row["share here"]) for row in rows] == pytest.approx(ranking.shares.tolist())
    assert [float(row["adds here (layer units)"]) for row in rows] == pytest.approx(ranking.signed.tolist(), rel=1e-4)
    with Image.open(tmp_path / "head-2-epoch-4-paper.png") as picture:
        assert picture.size == (1024, 512)
        shown = np.asarray(picture.convert("RGB"))[16::32, 16::32].astype(int)
    map_ = run.canvas(4, 0)["head"].maps([2])[0].numpy()
    assert ((shown[..., 0] > shown[..., 2]) == (map_ > 0))[abs(map_) > abs(map_).max() / 5].all()  # red adds
    drawing = ElementTree.parse(tmp_path / "head-2-epoch-4-paper.svg")
    assert "layer units" in "".join(drawing.getroot().itertext())


def test_what_takes_long_says_so(page: Page) -> None:
    page.open("frame=0&epoch=4&layer=head")
    page.driver.execute_script(
        "const own = window.fetch; window.fetch = async (...all) => "
        "{ await new Promise((done) => setTimeout(done, 1500)); return own(...all); }"
    )
    page.press(".instances [data-instance]")
    page.until(lambda: page.run("!!document.querySelector('.list.loading')"))
    page.ready("list")
    assert not page.run("!!document.querySelector('.list.loading')")


def test_dark_and_light(page: Page) -> None:
    grounds = {}
    for theme in ("dark", "light"):
        features = [{"name": "prefers-color-scheme", "value": theme}]
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        page.open("frame=0&epoch=4&layer=head")
        assert page.run("document.documentElement.dataset.theme") == theme
        grounds[theme] = page.run("getComputedStyle(document.body).backgroundColor")
    assert grounds["dark"] != grounds["light"]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

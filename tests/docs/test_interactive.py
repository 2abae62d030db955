"""The pages that move, used as a person would use them."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eva.data import load_mini
from eva.record import Run

RECORDS = Path(__file__).parents[2] / "docs" / "records"


@pytest.fixture(scope="module")
def person(address: str) -> Iterator[Any]:
    """A page in Chromium, and whatever goes wrong in it is a failure."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        found = None
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("this test needs chromium and playwright")
        pytest.skip("this test needs chromium and playwright")
    errors: list[str] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        context = chromium.new_context(
            base_url=address, reduced_motion="reduce", viewport={"width": 1280, "height": 1100}
        )
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        chromium.close()
    assert not errors


EXPLORER = "/interactive/receptive-fields/"


def cells(page: Any, path: str) -> list[str]:
    """Map, field, jump, padding and start of a layer, as the table shows them."""
    texts: list[str] = page.locator(f'tr[data-path="{path}"] .number').all_inner_texts()
    return texts


def test_explorer_starts_with_experiment_5_and_says_what_a_unit_sees(person: Any) -> None:
    person.goto(EXPLORER)
    assert cells(person, "4") == ["11×11", "8×8", "2", "0", "7/2"]
    said = person.locator("#explorer .seen .said")
    assert "rows 10 to 17 and columns 10 to 17: 8 by 8 pixels" in said.inner_text()
    counts = person.locator("#explorer .weights").all_inner_texts()
    assert counts[:3] == ["0", "81", "729"] and counts[-2:] == ["160", "0"]
    assert person.get_by_text("All weights: 7,603").is_visible()


def test_hovering_a_unit_of_the_map_says_what_it_sees(person: Any) -> None:
    person.goto(EXPLORER)
    unit_map = person.locator("canvas.square.pick")
    unit_map.scroll_into_view_if_needed()
    box = unit_map.bounding_box()
    person.mouse.move(box["x"] + box["width"] * 2.5 / 11, box["y"] + box["height"] * 0.5 / 11)
    said = person.locator("#explorer .seen .said").inner_text()
    assert "row 0, column 2 of 11 by 11 sees rows 0 to 7 and columns 4 to 11" in said


def test_explorer_is_used_by_keyboard_alone(person: Any) -> None:
    person.goto(EXPLORER)
    person.get_by_role("radio", name="1 convolution").focus()
    person.keyboard.press("Space")
    person.get_by_role("slider", name="Row of the unit").focus()
    person.keyboard.press("Home")
    person.keyboard.press("ArrowRight")
    said = person.locator("#explorer .seen .said").inner_text()
    assert "Layer 1, convolution: unit in row 1," in said and "rows 1 to 3" in said


def test_a_changed_network_is_computed_and_shared_by_its_address(person: Any) -> None:
    person.goto(EXPLORER)
    person.get_by_role("combobox", name="Network").select_option("dilated")
    assert cells(person, "4") == ["28×28", "31×31", "1", "15", "0"]
    person.get_by_label("stride of layer 1").fill("2")
    person.get_by_label("stride of layer 1").press("Tab")
    assert cells(person, "1") == ["14×14", "3×3", "2", "1", "0"]
    person.get_by_role("combobox", name="New layer at the end").select_option("residual")
    person.get_by_role("button", name="Add", exact=True).click()
    assert cells(person, "5")[0] == "14×14"
    person.wait_for_url("**net=c3s2p1.*")
    shared, rows = person.url, cells(person, "5")
    person.goto("about:blank")
    person.goto(shared)
    assert cells(person, "5") == rows
    person.get_by_role("button", name="Remove layer 5", exact=True).click()
    assert cells(person, "5") == []
    assert person.evaluate("document.activeElement.tagName") == "BUTTON"


def test_a_network_that_does_not_fit_and_a_damaged_link_are_explained(person: Any) -> None:
    person.goto(f"{EXPLORER}#size=8&net=c3.c3.c5")
    assert "Layer 3 has no room" in person.get_by_role("alert").inner_text()
    person.goto("about:blank")
    person.goto(f"{EXPLORER}#size=8&net=q7")
    assert "can't be read" in person.get_by_role("alert").inner_text()


DRAW = "/interactive/draw/"


def answer(page: Any) -> str:
    """What the network says about the drawing."""
    text: str = page.locator("#draw .thirds .said").inner_text()
    return text


def draw(page: Any, strokes: list[list[tuple[float, float]]]) -> None:
    """Draw lines with the mouse, in shares of the drawing's side."""
    page.locator("#draw").get_by_role("button", name="Clear").click()
    box = page.get_by_role("application").bounding_box()
    for first, *rest in strokes:
        page.mouse.move(box["x"] + box["width"] * first[0], box["y"] + box["height"] * first[1])
        page.mouse.down()
        for x, y in rest:
            page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y, steps=4)
        page.mouse.up()


def test_digits_that_are_drawn_are_read(person: Any) -> None:
    person.goto(DRAW)
    draw(person, [[(0.52, 0.15), (0.48, 0.85)]])
    assert "answers 1" in answer(person)
    draw(person, [[(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)]])
    assert "answers 7" in answer(person)
    person.locator("#draw").get_by_role("button", name="Clear").click()
    assert answer(person) == "Nothing is drawn yet."


def test_the_first_stroke_takes_the_place_of_a_real_digit(person: Any) -> None:
    person.goto(DRAW)
    person.get_by_role("combobox", name="or a real digit").select_option("8")
    box = person.get_by_role("application").bounding_box()
    person.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.15)
    person.mouse.down()
    person.mouse.move(box["x"] + box["width"] * 0.48, box["y"] + box["height"] * 0.85, steps=4)
    person.mouse.up()
    assert "answers 1" in answer(person)


def test_a_one_is_drawn_by_keyboard(person: Any) -> None:
    person.goto(DRAW)
    person.get_by_role("application").focus()
    person.keyboard.press("Delete")
    person.keyboard.press("Space")
    for _ in range(14):
        person.keyboard.press("ArrowDown")
    assert "answers 1" in answer(person)


def test_hovering_a_feature_map_shows_the_field_over_the_drawing(person: Any) -> None:
    person.goto(DRAW)
    maps = person.locator("#draw .maps canvas")
    assert maps.count() == 9
    maps.first.scroll_into_view_if_needed()
    box = maps.first.bounding_box()
    person.mouse.move(box["x"] + box["width"] * 2.5 / 11, box["y"] + box["height"] * 0.5 / 11)
    said = person.locator("#draw > .said").inner_text()
    assert "row 0, column 2 of 11 by 11 sees rows 0 to 7 and columns 4 to 11" in said
    person.get_by_role("combobox", name="After layer").select_option("4")
    assert maps.count() == 16


def test_the_home_page_reads_a_drawing_and_leaves_the_feature_maps_to_their_page(
    person: Any,
) -> None:
    person.goto("/")
    draw(person, [[(0.52, 0.15), (0.48, 0.85)]])
    assert "answers 1" in answer(person)
    assert person.locator("#draw .maps").count() == 0
    assert person.locator("#draw").get_by_role("link").get_attribute("href") == "interactive/draw/"


def test_the_drawing_page_is_light(person: Any) -> None:
    sizes: list[int] = []

    def weigh(response: Any) -> None:
        sizes.append(int(response.headers.get("content-length", 0)))

    person.on("response", weigh)
    person.goto("about:blank")
    person.goto(DRAW, wait_until="networkidle")
    person.remove_listener("response", weigh)
    assert 50_000 < sum(sizes) < 3_000_000


PLAYGROUND = "/interactive/augmentation/"


def playground(page: Any, what: str) -> Any:
    """The recipe's line, or what is said of the digits."""
    return page.locator({"line": "#augmentation code", "said": "#augmentation > .said"}[what]).last


def has_read(page: Any) -> None:
    """Wait until the network has read all draws."""
    page.get_by_text("The reference network").last.wait_for()


def test_the_playground_starts_with_experiment_5_and_its_line(person: Any) -> None:
    person.goto(PLAYGROUND)
    parts = "Rotation(degrees=12), Shear(degrees=12), Scale(fraction=0.15), Shift(pixels=2.8)"
    line = playground(person, "line").inner_text()
    assert line == f'augment=[{parts}], interpolation="nearest"'
    has_read(person)
    assert "of these 40" in playground(person, "said").inner_text() or (
        "reads all 40" in playground(person, "said").inner_text()
    )


def test_more_augmentation_is_read_worse(person: Any) -> None:
    person.goto(PLAYGROUND)
    limits = person.get_by_role("combobox", name="Limits of")
    limits.select_option("none")
    assert playground(person, "line").inner_text() == "augment=[]"
    has_read(person)
    assert playground(person, "said").inner_text() == "The reference network reads all 40."
    limits.select_option("much")
    has_read(person)
    said = playground(person, "said").inner_text()
    assert int(said.split("misreads ")[1].split()[0]) > 8
    person.get_by_role("button", name="Draw again").click()
    has_read(person)
    assert playground(person, "said").inner_text() != said


# How many of the 40 drawn pictures differ from the real digit at the head of their column.
CHANGED = """canvas => {
  const [columns, rows, gap] = [10, 5, 3];
  const ratio = canvas.width / canvas.clientWidth;
  const side = (canvas.clientWidth - gap * (columns - 1)) / columns;
  const ctx = canvas.getContext("2d");
  const value = (column, row, x, y) => {
    const left = column * (side + gap) + ((x + 0.5) * side) / 28;
    const top = row * (side + gap) + (row ? gap : 0) + ((y + 0.5) * side) / 28;
    return ctx.getImageData(Math.floor(left * ratio), Math.floor(top * ratio), 1, 1).data[0];
  };
  const steps = [...Array(12).keys()].map((i) => 3 + 2 * i);
  let changed = 0;
  for (let column = 0; column < columns; column++) {
    for (let row = 1; row < rows; row++) {
      const same = steps.every((x) => steps.every((y) =>
        Math.abs(value(column, row, x, y) - value(column, 0, x, y)) < 8));
      changed += !same;
    }
  }
  return changed;
}"""


def test_digits_move_with_a_slider_and_are_read_when_it_rests(person: Any) -> None:
    person.goto(PLAYGROUND)
    canvas = person.locator("#augmentation canvas")
    person.get_by_role("combobox", name="Limits of").select_option("none")
    assert canvas.evaluate(CHANGED) == 0
    slider = person.get_by_role("slider", name="Shift, at most")
    slider.focus()
    person.keyboard.press("End")
    assert canvas.evaluate(CHANGED) == 40
    person.get_by_text("The reference network misreads").wait_for()
    person.keyboard.press("Home")
    assert canvas.evaluate(CHANGED) == 0
    person.get_by_text("The reference network reads all 40.").wait_for()


def test_limits_are_moved_by_keyboard_and_the_line_is_copied(person: Any) -> None:
    person.goto(PLAYGROUND)
    person.get_by_role("combobox", name="Limits of").select_option("none")
    slider = person.get_by_role("slider", name="Rotation, at most")
    slider.focus()
    for _ in range(3):
        person.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "3°"
    assert playground(person, "line").inner_text() == "augment=[Rotation(degrees=3)]"
    assert person.get_by_role("combobox", name="Limits of").input_value() == ""
    person.context.grant_permissions(["clipboard-read", "clipboard-write"])
    person.get_by_role("button", name="Copy this line").click()
    person.get_by_text("The line copied.").wait_for()
    assert person.evaluate("navigator.clipboard.readText()") == "augment=[Rotation(degrees=3)]"


REPLAY = "/interactive/replay/"


def replayed(page: Any) -> str:
    """What is said of the curves."""
    text: str = page.locator("#replay .said").first.inner_text()
    return text


def test_the_replay_shows_the_epochs_of_the_record(person: Any) -> None:
    run = Run.load(RECORDS / "exp5" / "seed0.json")
    person.goto(REPLAY)
    person.get_by_role("combobox", name="Replay").select_option("exp5")
    slider = person.get_by_role("slider", name="Epoch")
    slider.focus()
    person.keyboard.press("End")
    row, before = run.rows[-1], run.rows[-2]
    anew = len(set(row.wrong) - set(before.wrong))
    mended = len(set(before.wrong) - set(row.wrong))
    assert replayed(person) == (
        f"After epoch 15 of 15: training {row.train_accuracy:.2f} %, test "
        f"{row.test_accuracy:.2f} %. {len(row.wrong)} of 10,000 test images are misread: "
        f"{anew} anew, and {mended} no longer."
    )
    mini = Run.load(RECORDS / "replay" / "exp5.json")
    said = person.locator("#replay .said").last.inner_text()
    assert said.endswith(f"and {len(mini.rows[-1].wrong)} of all 1000.")
    assert slider.get_attribute("aria-valuetext") == "15 of 15"
    label = person.locator("#replay canvas").last.get_attribute("aria-label")
    read = json.loads((RECORDS / "replay" / "read.json").read_text())["exp5"][-1]
    digits = load_mini().test_labels[list(mini.rows[-1].wrong)].tolist()
    answers = {f"a {digit} as {answer}" for digit, answer in zip(digits, read, strict=True)}
    shown = label.split("of all 1000. ")[1].split(", ")
    assert len(shown) == int(said.split()[0]) and set(shown) <= answers
    assert not any(digit == answer for digit, answer in zip(digits, read, strict=True))
    assert person.locator("#replay [aria-live]").inner_text().startswith("After epoch 15 of 15")


def test_the_replay_plays_to_its_end_and_can_be_paused(person: Any) -> None:
    person.goto(REPLAY)
    play = person.get_by_role("button", name="Play")
    play.click()
    person.get_by_text("After epoch 2 of 15").first.wait_for()
    person.get_by_role("button", name="Pause").click()
    paused = replayed(person)
    person.wait_for_timeout(1200)
    assert replayed(person) == paused
    slider = person.get_by_role("slider", name="Epoch")
    slider.focus()
    person.keyboard.press("End")
    person.keyboard.press("ArrowLeft")
    play.click()
    person.get_by_text("After epoch 15 of 15").first.wait_for()
    play.wait_for()

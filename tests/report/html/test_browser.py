"""The report in a real browser: sorting, filters, links, themes, keyboard, screen readers.

Every test also checks that no page makes a request elsewhere, or writes a message to the console.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.report.html import write
from bench.report.html.render import NONE
from tests import browser
from tests.synthetic_results import write_cells

pytestmark = pytest.mark.skipif(
    bool(browser.missing()), reason=browser.missing() or "there is a browser"
)
METHODS = ("simclr", "vicreg", "random_init", "mfcc", "<script>alert(1)<b>&amp;")
LIMIT = 20

VISIBLE = (
    "[...document.querySelectorAll('#{} tbody tr:not(.group)')]"
    ".filter(row => row.offsetParent !== null)"
)


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with browser.started() as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("browser")
    datasets = ("magnatagatune", "magnatagatune:pons", "gtzan")
    write_cells(made / "results", METHODS, datasets, (0.1, 1.0), 2, 1, ("linear", "mlp"), 50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "LIMIT", LIMIT)
        write.write_report(made / "results", made / "out", permutations=100)
    return made / "out"


@pytest.fixture
def go(driver: Any, folder: Path) -> Any:
    """Opens a page of the report.

    Every console message and every request of the test is checked at its end.
    """

    def open_page(name: str = "index.html") -> Any:
        browser.load(
            driver, (folder / name.partition("#")[0]).as_uri() + "".join(name.partition("#")[1:])
        )
        return driver

    driver.get_log("browser")
    browser.requested(driver)
    yield open_page
    assert driver.get_log("browser") == []
    for address in browser.requested(driver):
        assert address.startswith((folder.as_uri(), "data:,", "about:")), address


def one_of_each(folder: Path) -> list[str]:
    """A page of each kind."""
    named = ["index.html", "runs.html", "comparisons.html"]
    found = [
        sorted(folder.glob(pattern))[0]
        for pattern in ("runs/vicreg*", "runs/_script*", "comparisons/*")
    ]
    return [*named, *(path.relative_to(folder).as_posix() for path in found)]


def rows(driver: Any, table: str = "board") -> list[list[str]]:
    return driver.execute_script(
        f"return {VISIBLE.format(table)}.map(row => [...row.cells].map(c => c.innerText))"
    )


def test_pages_load_and_ask_for_nothing_else(go, folder):
    for name in one_of_each(folder):
        driver = go(name)
        assert driver.title.endswith("pretext-bench")
        assert driver.execute_script("return document.querySelector('header').offsetWidth") > 0
        assert driver.execute_script("return getComputedStyle(document.body).margin") == "0px", (
            "no style sheet"
        )


KEYS = """
const [id, column] = arguments, table = document.getElementById(id), row = table.tHead.rows[0];
const keys = [...table.tBodies].filter(body => !body.hidden).map(body => [...body.rows]
  .filter(row => !row.classList.contains('group') && !row.hidden)
  .map(row => row.cells[column].dataset.v ?? row.cells[column].innerText));
const marked = row.querySelectorAll('[aria-sort]').length;
return [row.cells[column].getAttribute('aria-sort'), marked, keys];
"""


@pytest.mark.parametrize(("page", "table"), [("index.html", "board"), ("runs.html", "runs")])
def test_every_column_sorts_by_mouse_and_by_keyboard(go, page, table):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    driver = go(page)
    heads = driver.find_elements(By.CSS_SELECTOR, f"#{table} thead th")
    assert len(heads) >= 8
    for column, head in enumerate(heads):
        button = head.find_element(By.TAG_NAME, "button")
        number = head.get_attribute("data-kind") == "number"
        directions = []
        for key in ("", Keys.ENTER, Keys.SPACE):
            button.send_keys(key) if key else button.click()
            direction, marked, bodies = driver.execute_script(KEYS, table, column)
            directions.append(direction)
            assert marked == 1
            for values in bodies:
                if number:
                    known = [
                        float(value.replace("\N{MINUS SIGN}", "-"))
                        for value in values
                        if value.strip(NONE)
                    ]
                    assert known == sorted(known, reverse=directions[-1] == "descending"), (
                        column,
                        directions,
                    )
                    assert all(value.strip(NONE) for value in values[: len(known)]), (
                        "a missing value is not last"
                    )
                else:
                    assert values == sorted(
                        values, key=str.lower, reverse=directions[-1] == "descending"
                    )
        first = head.get_attribute("data-first") or "ascending"
        assert directions == [
            first,
            {"ascending": "descending", "descending": "ascending"}[first],
            first,
        ]
        assert f"by {button.text}" in driver.find_element(By.ID, f"{table}-status").text


def test_filters_together(go):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.select import Select

    driver = go()
    everything = driver.execute_script(
        "return document.querySelectorAll('#board tbody tr:not(.group)').length"
    )
    assert everything == len(METHODS) * 3 * 2 * 2
    assert len(rows(driver)) == LIMIT
    status = driver.find_element(By.ID, "board-status")
    assert f"the first {LIMIT} are shown" in status.text
    Select(driver.find_element(By.ID, "board-dataset")).select_by_value("magnatagatune")
    Select(driver.find_element(By.ID, "board-split")).select_by_value("pons")
    Select(driver.find_element(By.ID, "board-probe")).select_by_value("mlp")
    assert len(rows(driver)) == len(METHODS) * 2
    assert f"{len(METHODS) * 2} of {everything} rows match" in status.text
    heading = driver.execute_script(
        "return [...document.querySelectorAll('.group')].filter(r => r.offsetParent).length"
    )
    assert heading == 1
    Select(driver.find_element(By.ID, "board-fraction")).select_by_value("0.1")
    Select(driver.find_element(By.ID, "board-encoder")).select_by_value("resnet_small")
    driver.find_element(By.ID, "board-q").send_keys("SIM")
    ((method, encoder, *_, probe, runs),) = [row[:6] for row in rows(driver)]
    assert (method, encoder, probe) == ("simclr", "resnet_small", "mlp")
    assert runs.startswith("2")
    address = driver.current_url
    driver.find_element(By.ID, "board-q").send_keys("nothing of that name")
    assert rows(driver) == []
    assert status.text == "No row matches"
    driver.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    assert len(rows(driver)) == LIMIT
    go("index.html#" + address.partition("#")[2])
    assert len(rows(driver)) == 1, "the address of a filtered page brings the filters back"


def test_the_rest_of_a_long_table_is_at_a_click(go):
    from selenium.webdriver.common.by import By

    driver = go("runs.html")
    more = driver.find_element(By.CSS_SELECTOR, "button.more")
    total = len(METHODS) * 3 * 3 * 2
    assert len(rows(driver, "runs")) == LIMIT
    assert more.text == f"Show all {total} rows"
    more.click()
    assert len(rows(driver, "runs")) == total
    assert not more.is_displayed()
    assert driver.switch_to.active_element.get_attribute("role") == "region"


def test_links_lead_from_page_to_page(go):
    from selenium.webdriver.common.by import By

    driver = go()
    summary = driver.find_element(By.CSS_SELECTOR, "#board details summary")
    summary.click()
    link = driver.find_element(By.CSS_SELECTOR, "#board details[open] a")
    assert link.text.startswith("draw")
    link.click()
    assert "/runs/" in driver.current_url
    assert driver.find_element(By.TAG_NAME, "pre").text.startswith("bench run --method")
    assert len(driver.find_elements(By.CSS_SELECTOR, "#tags svg")) == 2 * 8, (
        "classes that have a score"
    )
    driver.find_element(By.CSS_SELECTOR, ".crumbs a").click()
    found = rows(driver, "runs")
    assert found
    assert {row[0] for row in found} == {rows(driver, "runs")[0][0]}
    driver.find_element(By.LINK_TEXT, "Comparisons").click()
    driver.find_element(By.CSS_SELECTOR, "#main h2 a").click()
    assert driver.find_element(By.TAG_NAME, "h1").text.startswith("Comparisons on gtzan")
    driver.find_element(By.CSS_SELECTOR, ".crumbs a:last-child").click()
    assert {row[0] for row in rows(driver)} == set(METHODS)
    bodies = (
        "return [...document.querySelectorAll('#board tbody')].filter(b => !b.hidden)"
        ".map(b => b.dataset.dataset)"
    )
    assert driver.execute_script(bodies) == ["gtzan"]


def paper(driver: Any) -> int:
    """Brightness of the background, 0 to 765."""
    text = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    return sum(int(number) for number in text.strip("rgb()").split(", ")[:3])


def test_the_chosen_theme_stays(go, folder):
    from selenium.webdriver.common.by import By

    driver = go()
    media = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    assert paper(driver) > 700
    driver.find_element(By.ID, "theme").click()
    assert driver.find_element(By.ID, "theme").get_attribute("aria-pressed") == "true"
    assert paper(driver) < 150
    for name in one_of_each(folder):
        assert paper(go(name)) < 150
    driver.find_element(By.ID, "theme").click()
    assert paper(driver) > 700
    driver.execute_script("localStorage.clear()")
    media["features"][0]["value"] = "dark"
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    assert paper(go()) < 150, "without a choice the system's theme"
    assert driver.find_element(By.ID, "theme").get_attribute("aria-pressed") == "true"
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


NAMELESS = """
const name = element => (element.getAttribute('aria-label') || element.innerText || '').trim();
const bad = [...document.querySelectorAll('a, button, summary')]
  .filter(e => e.checkVisibility() && !name(e));
bad.push(...[...document.querySelectorAll('input, select')].filter(e => !e.labels.length));
bad.push(...[...document.querySelectorAll('svg')]
  .filter(e => e.getAttribute('aria-hidden') !== 'true'));
bad.push(...[...document.querySelectorAll('[tabindex="0"]')].filter(e => !name(e)));
bad.push(...[...document.querySelectorAll('[aria-labelledby]')]
  .filter(e => !document.getElementById(e.getAttribute('aria-labelledby'))));
bad.push(...[...document.querySelectorAll('th')].filter(e => !e.scope));
if (document.querySelectorAll('main').length !== 1 || !document.documentElement.lang)
  bad.push(document.body);
return bad.map(e => e.outerHTML.slice(0, 200));
"""

PALE = """
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const parse = text => text.match(/[\\d.]+/g).map(Number);
const ground = element => {
  for (let e = element; e; e = e.parentElement) {
    const colour = parse(getComputedStyle(e).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
};
const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
const bad = new Map();
for (const element of document.querySelectorAll('body *')) {
  const written = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  if (!written || !element.checkVisibility()) continue;
  const style = getComputedStyle(element);
  const colour = element.namespaceURI.includes('svg') ? style.fill : style.color;
  const found = ratio(light(parse(colour)), light(ground(element)));
  if (found < 4.5) bad.set(`${element.tagName}.${element.className} ${colour}`, found);
}
for (const shape of document.querySelectorAll('svg path:not(.g)')) {
  const found = ratio(light(parse(getComputedStyle(shape).stroke)), light(ground(shape)));
  if (found < 3) bad.set(`${shape.outerHTML} ${getComputedStyle(shape).stroke}`, found);
}
return [...bad];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_and_contrast(go, folder, scheme):
    for name in one_of_each(folder):
        driver = go(name)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        assert driver.execute_script(NAMELESS) == [], name
        assert driver.execute_script(PALE) == [], name
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_keyboard_reaches_everything_and_is_seen(go):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    driver = go()
    body, seen = driver.find_element(By.TAG_NAME, "body"), []
    focus = """const e = document.activeElement, s = getComputedStyle(e);
    const b = e.getBoundingClientRect();
    const outlined = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2;
    return [e.tagName, e.id || e.innerText, outlined, b.left >= 0];"""
    for number in range(40):
        (body if number == 0 else driver.switch_to.active_element).send_keys(Keys.TAB)
        tag, name, outlined, visible = driver.execute_script(focus)
        assert outlined, (tag, name)
        assert visible, (tag, name)
        seen.append((tag, name.partition("\n")[0].strip()))
    assert seen[0] == ("A", "Skip to content")
    assert {("BUTTON", "theme"), ("INPUT", "board-q"), ("SELECT", "board-fraction")} <= set(seen)
    assert any(tag == "BUTTON" and name.startswith("Method") for tag, name in seen)
    go("index.html")
    driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert driver.switch_to.active_element.tag_name == "main"


def test_a_narrow_screen_scrolls_tables_and_nothing_else(go, folder):
    for name in one_of_each(folder):
        driver = go(name)
        size = {"width": 360, "height": 700, "deviceScaleFactor": 1, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 360, name
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_paper_and_pages_without_scripts_show_the_numbers(go):
    driver = go()
    shown = (
        "return ['.filters', '#board', 'header']"
        ".map(name => document.querySelector(name).checkVisibility())"
    )
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert driver.execute_script(shown) == [False, True, False]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    go("runs.html")
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert len(rows(driver, "runs")) == len(METHODS) * 3 * 3 * 2
    assert not driver.execute_script("return document.querySelector('.filters').checkVisibility()")

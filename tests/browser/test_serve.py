"""`packshot serve` as a merchandiser meets it: in a real browser, on a real server with a real worker.

The tests share one server, and the last one stops it.
"""

import signal
import sqlite3
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus

import psutil
from playwright.sync_api import Page, Route, expect

from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables
from tests.browser.merchandiser import fill_form, open_artifacts, open_upcoming, submit
from tests.browser.served import BERLIN, NIGHT, Served
from tests.browser.shop import SAMPLES, write_catalog


def test_a_run_from_the_form_completes_and_shows_its_table_and_thumbnails_once_its_colour_is_one(
    served: Served, page: Page
) -> None:
    fill_form(page, served, skus="MUG-01, VASE-02", scenes=["wooden-table", "our-window"])
    page.get_by_label("Own colours").fill("greenish")
    with page.expect_response("**/create_flow_run") as refused:
        page.get_by_role("button", name="Submit").click()
    assert not refused.value.ok
    said = page.get_by_role("paragraph").filter(has_text="'greenish' does not match")
    expect(said).to_be_visible()
    page.get_by_label("Own colours").fill("#1A7F5A")
    expect(said).to_be_hidden()
    run_id = submit(page)
    run = served.wait_for_run(run_id, {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}, seconds=180)
    assert run["state_type"] == "COMPLETED", run["state"]
    open_artifacts(page, served, run_id)
    page.get_by_text("Made: 4 images of 2 products").click()
    expect(page.get_by_role("heading", name="4 images of 2 products")).to_be_visible()
    counted = page.get_by_role("row").filter(has_text="images").get_by_role("cell")
    expect(counted).to_have_text(["images", "4", "4", "0", "0", "0", "0"])
    pictures = page.locator("img[src^='data:image/']")
    expect(pictures).to_have_count(4)
    assert all(picture.evaluate("it => it.complete && it.naturalWidth > 0") for picture in pictures.all())
    page.go_back()
    page.get_by_text("counts", exact=True).click()
    expect(page.get_by_role("cell", name="SKUs", exact=True)).to_be_visible()
    colours = Tables(ObjectStore(str(served.home.parent / "store"))).live_images(["colour"])["colour"].to_pylist()
    assert colours == ["hex-1a7f5a"] * 4


def test_what_is_rejected_in_the_gallery_and_pasted_into_the_form_is_gone(served: Served, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    (gallery,) = (served.home.parent / "store" / "runs").glob("*/report/index.html")
    page.goto(gallery.as_uri())
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(4)
    expect(page.locator("#verdicts")).to_be_hidden()
    tiles.nth(0).hover()
    tiles.nth(0).get_by_role("button", name="Reject").click()
    tiles.nth(1).locator("a.frame").click()
    page.keyboard.press("a")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("r")
    page.keyboard.press("r")  # changed one's mind
    page.keyboard.press("Escape")
    page.reload()
    page.get_by_role("button", name="Copy 1 to reject").click()
    expect(page.get_by_text("paste it into the form")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    bad, good = (tiles.nth(at).get_attribute("data-key") for at in (0, 1))
    assert copied == bad
    page.goto(served.review_form)
    page.get_by_label("Reject").fill(copied)
    page.get_by_label("Approve").fill(f"https://cdn.example.com/{good}")
    run_id = submit(page)
    run = served.wait_for_run(run_id, {"COMPLETED", "FAILED", "CRASHED"}, seconds=120)
    assert run["state_type"] == "COMPLETED", run["state"]
    open_artifacts(page, served, run_id)
    expect(page.get_by_text("Reviewed: 1 rejected, 1 approved: 1 taken down")).to_be_visible()
    live = Tables(ObjectStore(str(served.home.parent / "store"))).live_images(["key"])["key"].to_pylist()
    assert len(live) == 3
    assert copied not in live


def test_the_runs_page_leads_to_its_gallery_and_to_all_that_is_live_which_send_what_was_said(
    served: Served, page: Page
) -> None:
    run = next(
        run
        for run in served.ask("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
        if "skus" in run["parameters"]["parameters"]
    )
    open_artifacts(page, served, run["id"])
    page.get_by_text("Made: 4 images of 2 products").click()
    link = page.get_by_role("link", name="Open the gallery")
    page.goto(served.url + str(link.get_attribute("href")))
    _reject_one_that_is_seen(page)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    page.get_by_role("link", name="All live images").click()
    expect(page.locator(".tile")).to_have_count(3)
    page.get_by_label("Find a SKU, title or category").fill("stoneware")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Products 1 to 1 of 1, by SKU.")).to_be_visible()
    _reject_one_that_is_seen(page)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Sent: it is done in some seconds.")).to_be_visible()
    sent = str(page.get_by_role("link", name="See it").get_attribute("href")).split("flow-run/")[1].partition("?")[0]
    done = served.wait_for_run(sent, {"COMPLETED", "FAILED", "CRASHED"}, seconds=120)
    assert done["state_type"] == "COMPLETED", done["state"]
    rejected = (
        Tables(ObjectStore(str(served.home.parent / "store"))).read("reviews", ["verdict"])["verdict"].to_pylist()
    )
    assert sorted(rejected) == ["approved", "rejected", "rejected"]


def test_the_browsers_own_keys_say_nothing_and_what_is_said_while_others_are_sent_is_kept(
    served: Served, page: Page
) -> None:
    page.goto(f"{served.url}/gallery/")
    first, second = (page.locator(".tile").nth(at) for at in (0, 1))
    first.locator("a.frame").click()
    for keys in ("Control+r", "Meta+r", "Control+a"):
        page.keyboard.press(keys)
    page.keyboard.press("Escape")
    expect(page.locator("#verdicts")).to_be_hidden()
    held = list[Route]()
    page.route("**/create_flow_run", lambda route: held.append(route))
    first.hover()
    first.get_by_role("button", name="Reject").click()
    with page.expect_request("**/create_flow_run"):
        page.get_by_role("button", name="Send").click()
    second.hover()
    second.get_by_role("button", name="Reject").click()
    held[0].fulfill(json={"id": "sent"})
    expect(page.get_by_text("Sent: it is done in some seconds.")).to_be_visible()
    expect(page.get_by_role("button", name="Copy 1 to reject")).to_be_visible()
    expect(first).to_have_class("tile gone")
    expect(second).to_have_class("tile bad")
    page.get_by_role("button", name="Forget all").click()


def _reject_one_that_is_seen(page: Page) -> None:
    """The first image of the vase."""
    tile = page.locator(".product[data-sku='VASE-02'] .tile").first
    picture = tile.locator("img")
    picture.scroll_into_view_if_needed()
    page.wait_for_function("it => it.complete && it.naturalWidth > 0", arg=picture.element_handle())
    tile.hover()
    tile.get_by_role("button", name="Reject").click()


def test_a_mistyped_sku_is_named_on_the_runs_page(served: Served, page: Page) -> None:
    fill_form(page, served, skus="MUG-01, VASE-20", scenes=[])
    run_id = submit(page)
    run = served.wait_for_run(run_id, {"COMPLETED", "FAILED", "CRASHED"}, seconds=120)
    assert run["state_type"] == "FAILED"
    page.goto(f"{served.url}/v2/runs/flow-run/{run_id}?tab=Logs")
    expect(page.get_by_text("did you mean VASE-02?").first).to_be_visible()


def test_the_form_offers_what_the_library_holds_is_filled_in_and_speaks_to_this_server_alone(
    served: Served, page: Page
) -> None:
    strangers: list[str] = []
    page.route(lambda url: not url.startswith(served.url), lambda route: strangers.append(route.request.url))
    page.goto(served.form)
    expect(page.get_by_label("Catalog", exact=True)).to_have_value(str(served.home.parent / "catalog/catalog.parquet"))
    expect(page.get_by_label("Store", exact=True)).to_have_value(str(served.home.parent / "store"))
    expect(page.get_by_text("Say which products")).to_be_visible()
    expect(page.get_by_label("Only show what would be made")).to_be_visible()
    page.get_by_label("Select colours").click()
    expect(page.get_by_role("option", name="terracotta", exact=True)).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert strangers == []
    for path in ("/api/deployments/filter", "/gallery/"):
        asked = page.request.fetch(f"{served.url}{path}", headers={"host": "evil.example"}, max_redirects=0)
        assert asked.status == HTTPStatus.MISDIRECTED_REQUEST, "a page whose name was made to lead here"


def test_the_nightly_schedule_stands_with_its_next_run(served: Served, page: Page) -> None:
    open_upcoming(page, served, "nightly-refresh")
    expect(page.get_by_text(f"At 03:30 {'AM' if NIGHT < 12 else 'PM'}")).to_be_visible()
    expect(page.get_by_text("Scheduled").nth(1)).to_be_visible()
    scheduled = served.ask("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}})
    following = min(datetime.fromisoformat(run["expected_start_time"]) for run in scheduled)
    assert following.astimezone(BERLIN).strftime("%H:%M") == f"{NIGHT:02}:30"


def test_one_at_a_time_on_the_gpu_and_in_each_deployment(served: Served) -> None:
    limits = served.ask("/v2/concurrency_limits/filter", {})
    assert {limit["name"]: limit["limit"] for limit in limits}["tag:gpu"] == 1
    deployments = {one["name"]: one for one in served.ask("/deployments/filter", {})}
    strategies = {name: one["concurrency_options"]["collision_strategy"] for name, one in deployments.items()}
    assert strategies == {"nightly-refresh": "CANCEL_NEW", "make-variants": "ENQUEUE", "review-images": "ENQUEUE"}
    assert {one["global_concurrency_limit"]["limit"] for one in deployments.values()} == {1}


def test_stopping_ends_server_worker_and_runs_and_leaves_the_schedule_on(served: Served) -> None:
    many = tuple(replace(SAMPLES[0], sku=f"MUG-{number}") for number in range(50))
    write_catalog(served.home.parent / "catalog", many)  # so that the run is not through before it is stopped
    (nightly,) = [one for one in served.ask("/deployments/filter", {}) if one["name"] == "nightly-refresh"]
    run_id = served.ask(f"/deployments/{nightly['id']}/create_flow_run", {})["id"]
    served.wait_for_run(run_id, {"RUNNING"}, seconds=120)
    started = served.descendants()
    assert len(started) >= 3, "a server, a worker and a run"
    assert served.stop(signal.SIGINT) == 0, served.said()
    _, alive = psutil.wait_procs(started, timeout=5)
    assert not alive
    with sqlite3.connect(served.home / "prefect.db") as database:
        assert database.execute("select active from deployment_schedule").fetchall() == [(1,)]
        assert database.execute("select paused from deployment").fetchall() == [(0,), (0,), (0,)]
        assert database.execute("select state_type from flow_run where id = ?", (run_id,)).fetchone() == ("CANCELLED",)
        assert database.execute("select sum(active_slots) from concurrency_limit_v2").fetchone() == (0,)

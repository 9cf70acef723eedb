"""What a merchandiser does in the browser, step by step."""

from collections.abc import Iterable

from playwright.sync_api import Page, expect

from tests.browser.served import Served


def fill_form(page: Page, served: Served, skus: str, scenes: Iterable[str]) -> None:
    """Opens the form, and names products and scenes in it."""
    page.goto(served.form)
    page.get_by_label("SKUs").fill(skus)
    page.get_by_label("Select scenes").click()
    for scene in scenes:
        page.get_by_role("option", name=scene, exact=True).click()
    page.keyboard.press("Escape")


def submit(page: Page) -> str:
    """Presses Submit, and leaves; returns the run's id. The note that links to the run is gone after some seconds:
    nobody waits for it."""
    with page.expect_response("**/create_flow_run") as asked:
        page.get_by_role("button", name="Submit").click()
    assert asked.value.ok, asked.value.text()
    run_id = str(asked.value.json()["id"])
    page.goto("about:blank")  # the UI asks the server for news as long as it is looked at
    return run_id


def open_artifacts(page: Page, served: Served, run_id: str) -> None:
    """The run's page, with what it made."""
    page.goto(f"{served.url}/v2/runs/flow-run/{run_id}?tab=Artifacts")
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    expect(page.get_by_text("counts", exact=True)).to_be_visible()


def open_upcoming(page: Page, served: Served, deployment: str) -> None:
    """A deployment's page, with the runs that its schedule has planned."""
    page.goto(f"{served.url}/v2/deployments")
    page.get_by_text(deployment).first.click()
    page.get_by_role("tab", name="Upcoming").click()

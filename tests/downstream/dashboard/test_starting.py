"""The page "Start here": what it offers, the command it shows, and the runs it makes."""

import html
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from multidict import MultiDict

from downstream.dashboard.app import make_app
from downstream.dashboard.starting import (
    Job,
    Offered,
    StartError,
    WantedRun,
    commands,
    settings_text,
    wanted_of,
    worker_commands,
)
from downstream.dashboard.watch import SnapshotWatch
from streams.errors import BrokerError
from streams.snapshots.manifests import RunManifest

TOKEN = "not to be guessed"
OFFERED = Offered(
    corpora=("library",),
    models=("gpt2", 'models/"odd" \\ name é'),
    dictionaries=(("sae", "models/sae"), ("listed", "release#blocks.1")),
    rankings=("maximum", "random"),
    statistics=("domains", "tokens"),
)
FORM = MultiDict(
    [
        ("name", "new-run"), ("corpus", "library"), ("model", OFFERED.models[1]),
        ("dictionary", "sae=models/sae"), ("dictionary", "listed=release#blocks.1"),
        ("k", "50"), ("ranking", "maximum"), ("ranking", "random"), ("micro_batch", "64"),
        ("statistic", "tokens"),
    ]
)  # fmt: skip


class Starter:
    """Notes what it is to start. away: the broker cannot be asked."""

    def __init__(self) -> None:
        self.started: list[WantedRun] = []
        self.jobs: Sequence[Job] = ()
        self.away = False

    def offered(self) -> Offered:
        if self.away:
            raise BrokerError("no broker")
        return OFFERED

    def start(self, wanted: WantedRun) -> None:
        self.started.append(wanted)
        self.jobs = (Job(wanted.name, "running"),)


def changed(**values: str) -> MultiDict[str]:
    form = FORM.copy()
    for name, value in values.items():
        form[name] = value
    return form


def test_a_form_becomes_settings_that_say_the_same() -> None:
    wanted = wanted_of(FORM, OFFERED)
    assert tomllib.loads(settings_text(wanted)) == {
        "corpus": {"name": "library"},
        "run": {
            "name": "new-run", "k": 50, "rankings": ["maximum", "random"],
            "statistics": ["tokens"],
        },
        "model": {"path": OFFERED.models[1], "micro_batch": 64},
        "dictionaries": [
            {"name": "sae", "path": "models/sae"},
            {"name": "listed", "release": "release", "id": "blocks.1"},
        ],
    }  # fmt: skip
    auto = tomllib.loads(settings_text(replace(wanted, micro_batch="auto")))
    assert auto["model"]["micro_batch"] == "auto"
    assert all("new-run" in line for line in commands(wanted)[1:])


@pytest.mark.parametrize(
    "form",
    [
        changed(name=""), changed(name="../x"), changed(name="a b"), changed(corpus="other"),
        changed(model="/etc/passwd"), changed(dictionary="sae=/etc"), changed(k="0"),
        changed(k="9" * 9), changed(ranking="nothing"), changed(micro_batch="2"),
        changed(statistic="nothing"), MultiDict(), MultiDict(name="x", k="1"),
    ],
)  # fmt: skip
def test_what_is_not_offered_is_refused(form: MultiDict[str]) -> None:
    with pytest.raises(StartError):
        wanted_of(form, OFFERED)


def test_what_snapshots_were_made_of_is_offered(manifest: RunManifest) -> None:
    found = Offered(corpora=("c",)).joined([manifest, manifest])
    assert found.models == ("models/prose-2l",)
    assert found.dictionaries == (("sae", "models/sae"),)


@pytest.mark.asyncio
async def test_the_page_shows_the_command_and_makes_runs_for_who_knows_the_token(
    manifest: RunManifest,
) -> None:
    starter = Starter()

    def app(**options: Any) -> Any:
        watch = SnapshotWatch(lambda: [manifest], interval=60)
        watch.look()
        return TestClient(TestServer(make_app(watch, **options)))

    async with app(starter=starter, start_token=TOKEN) as browser:

        async def sent(form: MultiDict[str], **headers: str) -> int:
            answer = await browser.post(
                "/start/", data=form, headers=headers, allow_redirects=False
            )
            return int(answer.status)

        shown = await (await browser.get("/start/", params=FORM)).text()
        assert "millrace runs create --settings run.toml" in shown
        text = html.unescape(shown.partition('<pre class="code">')[2].partition("</pre>")[0])
        assert tomllib.loads(text) == tomllib.loads(settings_text(wanted_of(FORM, OFFERED)))
        assert "Make this run" in shown
        assert TOKEN not in shown
        assert await sent(FORM) == 403
        assert await sent(changed(token="wrong")) == 403
        assert await sent(changed(token=TOKEN), Origin="http://elsewhere") == 403
        assert await sent(changed(token=TOKEN, model="/etc/passwd")) == 400
        assert starter.started == []
        assert await sent(changed(token=TOKEN)) == 303
        assert await sent(changed(name="second")) == 303  # the cookie says who it is
        assert [wanted.name for wanted in starter.started] == ["new-run", "second"]
        assert "second</b> is being created" in await (await browser.get("/start/")).text()
        told = await (await browser.get("/start/?format=json")).json()
        assert told["jobs"] == [{"name": "second", "state": "running", "said": "", "workers": []}]
        starter.jobs = (Job("second", "done", workers=worker_commands("second")),)
        made = await (await browser.get("/start/")).text()
        for line in ("aggregates", "activations"):
            assert f"millrace {line} --run second --until-done" in made
        assert 'data-follow="second" data-to="/runs/second/"' in made
        starter.jobs = (Job("demo", "serving"),)  # of which there is a snapshot already
        made = await (await browser.get("/start/")).text()
        assert '<a href="/runs/demo/">Its snapshot</a>' in made
        assert "data-follow" not in made
        assert ["sae", "models/sae"] in told["offered"]["dictionaries"]
        starter.away = True
        assert "The broker cannot be asked" in await (await browser.get("/start/")).text()
        assert await sent(changed(name="third")) == 400
    async with app(starter=starter) as browser:  # without a token the command alone
        starter.away = False
        shown = await (await browser.get("/start/", params=FORM)).text()
        assert "runs create" in shown
        assert "Make this run" not in shown
        assert (await browser.post("/start/", data=changed(token=TOKEN))).status == 403
    async with app() as browser:
        assert "without a broker" in await (await browser.get("/start/")).text()

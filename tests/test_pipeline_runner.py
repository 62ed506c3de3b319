import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import Interrupted, RecipeError, RunFolderError
from r1kit.files import disk, lock, publish_folder
from r1kit.pipeline import fingerprint as fingerprints
from r1kit.pipeline.config import Recipe, load_recipe
from r1kit.pipeline.plan import Step
from r1kit.pipeline.runner import RunOptions, plan_run, run_recipe
from r1kit.settings import Settings
from r1kit.stages.protocol import StageContext
from r1kit.stages.registry import STAGE_KINDS, StageKind
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag
from r1kit.types import Artifact


class CountSettings(Settings):
    """A stage that counts to `steps`, saving after each, and writes what it counted as its model."""

    steps: int = 3
    stop_at: int = 0  # asks for a stop at this step, the first time
    api_key: str = ""


class CountStage:
    ran: list[str] = []  # noqa: RUF012 - one list for the test to read

    def __init__(self, settings: CountSettings) -> None:
        self.settings = settings

    def run(self, context: StageContext) -> Artifact:
        self.ran.append(context.name)
        context.workdir.mkdir(exist_ok=True)
        state = context.workdir / "step"
        start = int(state.read_text()) if state.exists() else 0
        for step in range(start, self.settings.steps):
            state.write_text(str(step + 1))
            context.log.metrics(step, {"seed": context.seed % 97})
            if self.settings.stop_at == step + 1 and start == 0:
                raise Interrupted(f"stopped after step {step + 1}")
        before = Path(context.inputs["model"].place, "count.txt").read_text() if context.inputs else ""
        publish_folder(
            lambda f: (f / "count.txt").write_text(f"{before}{self.settings.steps} ") and None, context.output
        )
        return Artifact("model", context.output, context.fingerprint, {"steps": self.settings.steps})


def kind(needs_model: bool) -> StageKind:
    return StageKind(CountSettings, CountStage, needs_model, lambda s: (), lambda s: (), ("seeds.py",))


@pytest.fixture(autouse=True)
def _count_kinds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(STAGE_KINDS, "start", kind(needs_model=False))
    monkeypatch.setitem(STAGE_KINDS, "count", kind(needs_model=True))
    CountStage.ran = []
    fingerprints._source_hash.cache_clear()
    yield
    fingerprints._source_hash.cache_clear()


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    file = tmp_path / "chain.yaml"
    file.write_text(
        "name: chain\nseed: 1\nstages:\n  one: {kind: start}\n  two: {kind: count, from: one, steps: 4}\n"
        "  three: {kind: count, from: two}\n"
    )
    return file


def go(file: Path, out: Path, *overrides: str, **options: Any) -> dict[str, Any]:
    return run_recipe(
        load_recipe(str(file), overrides), out, RunOptions(**options), Progress(quiet=True), StopFlag()
    )


def states(recipe: Recipe, out: Path) -> dict[str, str]:
    return {step.stage: step.state for step in plan_run(recipe, out)}


def test_stages_run_in_order_each_from_its_parent(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert go(recipe_file, out) == {"stages": {}}
    assert CountStage.ran == ["one", "two", "three"]
    assert (out / "stages/three/model/count.txt").read_text() == "3 4 3 "
    assert json.loads((out / "results.json").read_text()) == {"stages": {}}
    manifest = json.loads((out / "run.json").read_text())
    assert manifest["recipe"]["name"] == "chain"
    assert manifest["versions"]["torch"].startswith("2.")
    assert manifest["stages"] == ["one", "two", "three"]


def test_finished_run_is_not_run_again(recipe_file: Path, tmp_path: Path) -> None:
    go(recipe_file, tmp_path / "run")
    CountStage.ran.clear()
    assert go(recipe_file, tmp_path / "run") == {"stages": {}}
    assert CountStage.ran == []


def test_unfinished_run_needs_resume_or_another_folder(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Interrupted, match="stopped after step 2"):
        go(recipe_file, out, "stages.two.stop_at=2")
    with pytest.raises(RunFolderError) as error:
        go(recipe_file, out, "stages.two.stop_at=2")
    assert str(error.value) == (
        f"{out}: holds an unfinished run of this recipe; "
        "go on with --resume, or choose another folder with --out"
    )


def test_a_wish_to_stop_that_a_stage_did_not_see_ends_the_run_before_the_next(
    recipe_file: Path, tmp_path: Path
) -> None:
    out, stop = tmp_path / "run", StopFlag()
    recipe = load_recipe(str(recipe_file), ())
    stop.request()
    with pytest.raises(Interrupted, match="one: stopped before it was begun"):
        run_recipe(recipe, out, RunOptions(), Progress(quiet=True), stop)
    assert CountStage.ran == []
    go(recipe_file, out, resume=True)
    assert CountStage.ran == ["one", "two", "three"]


def test_resume_goes_on_inside_the_broken_stage(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Interrupted):
        go(recipe_file, out, "stages.two.stop_at=2")
    assert states(load_recipe(str(recipe_file), ["stages.two.stop_at=2"]), out) == {
        "one": "done",
        "two": "broken off",
        "three": "new",
    }
    go(recipe_file, out, "stages.two.stop_at=2", resume=True)
    assert CountStage.ran == ["one", "two", "two", "three"]
    rows = [json.loads(line)["step"] for line in (out / "stages/two/metrics.jsonl").read_text().splitlines()]
    assert rows == [0, 1, 2, 3]


def test_resume_in_an_empty_folder_starts(recipe_file: Path, tmp_path: Path) -> None:
    go(recipe_file, tmp_path / "run", resume=True)
    assert CountStage.ran == ["one", "two", "three"]


def test_changed_setting_is_shown_and_refused(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    go(recipe_file, out)
    for options in ({}, {"resume": True}):
        with pytest.raises(RunFolderError) as error:
            go(recipe_file, out, "stages.two.steps=5", **options)
        assert str(error.value).startswith(
            f"{out}: was made differently: stages.two.steps: 4 -> 5; choose another folder"
        )
        assert str(error.value).endswith(
            "choose another folder with --out, or make the changed stages anew with --rerun-changed"
        )
    assert (out / "stages/three/model/count.txt").read_text() == "3 4 3 "


def test_rerun_changed_repeats_only_what_depends_on_the_change(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    go(recipe_file, out)
    CountStage.ran.clear()
    go(recipe_file, out, "stages.two.steps=5", rerun_changed=True)
    assert CountStage.ran == ["two", "three"]
    assert (out / "stages/three/model/count.txt").read_text() == "3 5 3 "


def test_changed_code_is_a_change(recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go(recipe_file, tmp_path / "run")
    monkeypatch.setattr("r1kit.pipeline.plan.code_version", lambda parts: dict.fromkeys(parts, "other"))
    with pytest.raises(RunFolderError, match=r"one: code\.seeds\.py: the source changed; two: "):
        go(recipe_file, tmp_path / "run")


def test_description_is_no_change(recipe_file: Path, tmp_path: Path) -> None:
    go(recipe_file, tmp_path / "run")
    CountStage.ran.clear()
    go(recipe_file, tmp_path / "run", "description=other words", "threads=1")
    assert CountStage.ran == []


def test_removed_stage_is_a_change(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    go(recipe_file, out)
    recipe_file.write_text("name: chain\nseed: 1\nstages: {one: {kind: start}}\n")
    with pytest.raises(
        RunFolderError, match=r'was made differently: stages\.three\.from: "two" -> \(not there\)'
    ):
        go(recipe_file, out)


def test_folder_of_another_recipe_is_refused(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    go(recipe_file, out)
    with pytest.raises(RunFolderError) as error:
        go(recipe_file, out, "name=other")
    assert str(error.value) == (
        f"{out}: holds a run of recipe 'chain', not of 'other'; choose another folder with --out"
    )


def test_folder_that_is_no_run_is_refused_and_untouched(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "precious"
    out.mkdir()
    (out / "thesis.tex").write_text("x")
    with pytest.raises(RunFolderError, match=r"is not a run folder and not empty \(it holds thesis\.tex\)"):
        go(recipe_file, out)
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]


def test_folder_in_use_names_its_owner(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with lock(out), pytest.raises(RunFolderError, match=r"in use by process \d+ on host"):
        go(recipe_file, out)


def test_damaged_output_is_found_and_made_again(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    go(recipe_file, out)
    (out / "stages/two/model/count.txt").write_text("3 9 ")
    assert states(load_recipe(str(recipe_file)), out)["two"] == "damaged"
    CountStage.ran.clear()
    go(recipe_file, out, resume=True)
    assert CountStage.ran == ["two"]
    assert (out / "stages/two/model/count.txt").read_text() == "3 4 "


def test_leftovers_of_a_crash_are_cleared_away(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    go(recipe_file, out, only="one")
    leftovers = [out / "evaluations/.base.json.123-0.tmp", out / "stages/.two.123-0.tmp/model.safetensors"]
    leftovers.append(out / "stages/one/checkpoints/.step-000001.123-0.tmp/x")
    for path in leftovers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    go(recipe_file, out, resume=True)
    assert [path for path in leftovers if path.exists()] == []
    assert not list(out.rglob("*.tmp"))


def test_damaged_record_is_one_line(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    go(recipe_file, out)
    (out / "run.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"run\.json: damaged, it cannot be read"):
        go(recipe_file, out)


def test_only_runs_one_stage_and_wants_its_parent(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(RunFolderError) as error:
        go(recipe_file, out, only="two")
    assert str(error.value) == (
        "stage 'two' needs 'one', which is not finished; run it first, with --only one"
    )
    go(recipe_file, out, only="one")
    go(recipe_file, out, only="two")
    assert CountStage.ran == ["one", "two"]
    with pytest.raises(RecipeError, match=r"no stage 'tow'; did you mean 'two'\?"):
        go(recipe_file, out, only="tow")


def test_full_disk_is_told_before_anything_starts(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk.Disk, "free_bytes", lambda self, path: 1000)
    with pytest.raises(RunFolderError, match=r"run: disk full: \d{9} bytes needed, 1000 bytes free"):
        go(recipe_file, tmp_path / "run")
    assert CountStage.ran == []


def test_secrets_stay_out_of_every_manifest(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    go(recipe_file, out, "stages.one.api_key=sk-12345", "description=https://me:hunter2@host/x")
    for file in out.rglob("*.json"):
        assert "sk-12345" not in file.read_text()
        assert "hunter2" not in file.read_text()


def test_plan_gives_reasons(recipe_file: Path, tmp_path: Path) -> None:
    steps = plan_run(load_recipe(str(recipe_file)), tmp_path / "run")
    assert [(s.stage, s.work, s.state, s.reason) for s in steps] == [
        (name, "train", "new", "not started") for name in ("one", "two", "three")
    ]
    assert isinstance(steps[0], Step)
    assert not (tmp_path / "run").exists()


def test_model_fingerprint_follows_contents_not_the_card(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    first = fingerprints.model_fingerprint(str(tmp_path))
    (tmp_path / "README.md").write_text("card")
    assert fingerprints.model_fingerprint(str(tmp_path)) == first
    (tmp_path / "model.safetensors").write_bytes(b"abd")
    assert fingerprints.model_fingerprint(str(tmp_path)) != first
    assert fingerprints.model_fingerprint("org/name", "v1") == "hub:org/name@v1"


def test_large_files_are_hashed_in_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "_SAMPLED_ABOVE", 100)
    monkeypatch.setattr(fingerprints, "_SAMPLE_BYTES", 8)
    file = tmp_path / "model.safetensors"
    file.write_bytes(bytes(1000))
    first = fingerprints.model_fingerprint(str(tmp_path))
    file.write_bytes(bytes(999) + b"\x01")
    assert fingerprints.model_fingerprint(str(tmp_path)) != first


@pytest.mark.parametrize("name", ["run.json", "stages/one/stage.json"])
def test_record_without_its_fields_is_one_line(recipe_file: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    go(recipe_file, out)
    (out / name).write_text("{}")
    with pytest.raises(RunFolderError, match=rf"{name}: damaged, field '\w+' is missing or wrong"):
        go(recipe_file, out)

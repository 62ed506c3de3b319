import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_path_of_the_paper_map_exists():
    text = (ROOT / "docs" / "paper_map.md").read_text(encoding="utf-8")
    paths = re.findall(r"`(r1kit/[\w./-]+)`", text)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_function_that_the_paper_map_names_is_in_the_file_beside_it():
    text = (ROOT / "docs" / "paper_map.md").read_text(encoding="utf-8")
    named = re.findall(r"`(r1kit/[\w/]+\.py)` \(`(\w+)`", text)
    assert len(named) >= 6
    for path, name in named:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text(encoding="utf-8")), f"{path}: {name}"

"""Where the cache is, from the environment."""

import os
from pathlib import Path

import pytest

from commands.cache import cache_dir
from commands.errors import InputError


@pytest.mark.parametrize(
    ("own", "everyones", "wanted"),
    [
        ("", "", "/home/me/.cache/convbert-glue"),
        ("", "/fast", "/fast/convbert-glue"),
        ("/own", "/fast", "/own"),
        ("~/own", "", "/home/me/own"),
        ("", "~/fast", "/home/me/fast/convbert-glue"),
    ],
)
def test_the_nearest_wish_wins(
    own: str, everyones: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("CONVBERT_GLUE_CACHE", own)
    monkeypatch.setenv("XDG_CACHE_HOME", everyones)
    assert cache_dir() == Path(wanted)


@pytest.mark.skipif(os.name != "posix", reason="a home is found otherwise there")
def test_without_a_home_one_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    for name in ("HOME", "CONVBERT_GLUE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: (_ for _ in ()).throw(KeyError("no such user")))
    with pytest.raises(InputError, match="no home folder to cache in: name one with CONVBERT_GLUE_CACHE"):
        cache_dir()
    monkeypatch.setenv("CONVBERT_GLUE_CACHE", "/own")
    assert cache_dir() == Path("/own")

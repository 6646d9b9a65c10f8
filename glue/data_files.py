"""Where the official files lie, in folders as people name them: ``SST-2/``, ``sst2/`` … No Paddle."""

import shlex
from pathlib import Path

from common.errors import InputError
from glue.tasks import Split, find_task, folder_means, task_of

_LISTED = 5  # names in a message


def find_file(data_dir: str | Path, split: Split) -> Path:
    """Where a split's file lies below ``data_dir``; InputError if it is nowhere."""
    if split.path:
        if not Path(split.path).is_file():
            raise InputError("no such file; the task's own file names it", path=split.path, code="missing")
        return Path(split.path)
    root = Path(data_dir)
    if not root.is_dir():
        raise InputError("no such folder; --data_dir names the folder that holds CoLA/, SST-2/, …", path=root)
    path = locate(root, split)
    if path is None and (root / split.file).exists():
        raise InputError("expected a file, found a folder, a pipe or a device", path=root / split.file)
    if path is None:
        also = f" (nor {', '.join(split.other_files)})" if split.other_files else ""
        raise InputError(f"no such file{also}; {_remedy(root, split)}", path=root / split.file)
    return path


def locate(data_dir: str | Path, split: Split) -> Path | None:
    """The same, or None if it is nowhere.

    Looked at in turn: the official place, a folder with another spelling of its name, and where ``data_dir``
    is the task's own folder, that one and those beside it. InputError where two folders could be meant.
    """
    root = Path(data_dir)
    if split.path:
        return Path(split.path) if Path(split.path).is_file() else None
    if path := _below(root, split):
        return path
    here = root.resolve()
    if find_task(here.name) is not task_of(split):
        return None
    if folder_means(here.name, split) and (here / _name(split)).is_file():
        return root / _name(split)
    return None if folder_means(here.name, split) else _below(here.parent, split)  # MNLI/ and diagnostic/


def fetching(data_dir: str | Path, split: Split) -> str:
    """The command that fetches a split's file."""
    where = shlex.quote(str(data_dir))
    return f"python -m scripts.download_glue --data_dir {where} --task_name {task_of(split).name}"


def _below(root: Path, split: Split) -> Path | None:
    names = (split.file, *split.other_files)
    for name in names:
        if (root / name).is_file():
            return root / name
    files = list(dict.fromkeys(Path(name).name for name in names))
    paths = [folder / file for folder in _folders(root, split) for file in files]
    paths = [path for path in paths if path.is_file()]
    folders = list(dict.fromkeys(path.parent for path in paths))
    if len(folders) > 1:
        one, other = folders[:2]
        raise InputError(f"{one} and {other.name}/: which of them is meant? leave only one of them in {root}")
    return paths[0] if paths else None


def _folders(root: Path, split: Split) -> list[Path]:
    """The folders in one whose names mean the split's."""
    if not root.is_dir():
        return []
    return [path for path in sorted(root.iterdir()) if folder_means(path.name, split) and path.is_dir()]


def _name(split: Split) -> str:
    return Path(split.file).name


def _remedy(root: Path, split: Split) -> str:
    """The remedy for a missing file: what is there instead, and the command that fetches it."""
    below = [path for path in sorted(root.iterdir()) if path.is_dir() and not find_task(path.name)]
    deeper = [path for path in below if not path.name.startswith(".") and _below(path, split)]
    if deeper:
        return f"it lies in {deeper[0]}: name that as --data_dir"
    if (root / _name(split)).is_file():
        folder = Path(split.file).parent
        return (
            f"there is a {_name(split)} in {root} itself, but --data_dir names the folder of all tasks: if "
            f"it is {task_of(split).name}'s, put it into a folder {folder}"
        )
    others = [path.name for folder in _folders(root, split) for path in sorted(folder.iterdir())]
    listed = ", ".join(others[:_LISTED]) + (" …" if len(others) > _LISTED else "")
    instead = f" (the folder holds {listed}; only the official TSV files are read)" if others else ""
    return f"put the official GLUE files below {root}{instead}; `{fetching(root, split)}` fetches them"

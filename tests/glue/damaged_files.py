"""Changes of the sample's files."""

from glue.tasks import TASKS

SPLITS = {split.file: (task, split) for task in TASKS.values() for split in task.splits}


def line_changed(number, change):
    """A change of one line (numbered from 1)."""

    def changed(raw):
        lines = raw.split(b"\n")
        lines[number - 1] = change(lines[number - 1])
        return b"\n".join(lines)

    return changed


def cell_changed(number, column, value):
    def changed(line):
        cells = line.split(b"\t")
        cells[column] = value.encode()
        return b"\t".join(cells)

    return line_changed(number, changed)

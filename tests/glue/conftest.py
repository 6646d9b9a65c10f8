"""What the tests of data files share."""

import pytest

from common.errors import InputError
from glue.data import read_split
from tests.glue.damaged_files import SPLITS


@pytest.fixture
def damaged(tmp_path, sample_dir):
    """damaged(file, change) writes ``change(bytes of the sample's file)``; fault() reads it."""

    class Damaged:
        def write(self, file, change):
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_bytes(change((sample_dir / file).read_bytes()))

        def fault(self, file, change):
            """The message, without the folder; it must be one line."""
            self.write(file, change)
            task, split = SPLITS[file]
            with pytest.raises(InputError) as caught:
                read_split(task, split, tmp_path)
            message = str(caught.value)
            assert "\n" not in message
            assert message.startswith(f"{tmp_path}/")
            return message.removeprefix(f"{tmp_path}/")

    return Damaged()

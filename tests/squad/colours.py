"""A made-up language that a tiny model can learn: texts of words, and the colour among them is asked for."""

import random

from common.files import write_json

COLOURS = ["red", "green", "blue"]
WORDS = ["cat", "dog", "sun", "sea", "sand", "tree", "which", "colour", "animal"]
TINY = [
    "--batch_size", 16, "--learning_rate", "5e-3", "--max_seq_length", 24, "--max_query_length", 4,
    "--doc_stride", 6, "--layer_lr_decay", 1, "--logging_steps", 1, "--from_scratch",
]  # fmt: skip


def make_data(path, count, version_2, seed):
    """Texts of words, of which one is a colour; with a 2.0 file also texts without one."""
    draw = random.Random(seed)
    paragraphs = []
    for number in range(count):
        tokens = [draw.choice(WORDS[:6]) for _ in range(draw.randrange(4, 24))]
        answers = []
        if not version_2 or number % 3:
            position = draw.randrange(len(tokens))
            tokens[position] = draw.choice(COLOURS)
            start = len("".join(f"{token}  " for token in tokens[:position]))
            answers = [{"text": tokens[position], "answer_start": start}]
        entry = {"id": f"q{number}", "question": "which colour", "answers": answers}
        if version_2:
            entry["is_impossible"] = not answers
        paragraphs.append({"context": "  ".join(tokens), "qas": [entry]})
    write_json(path, {"version": "x", "data": [{"title": "t", "paragraphs": paragraphs}]})
    return path


def make_argv(files, version, *more):
    train, dev = files[version]
    argv = [
        "--model_name_or_path",
        files["model"],
        "--train_file",
        train,
        "--predict_file",
        dev,
        *TINY,
        *more,
    ]
    return [str(word) for word in argv]


def predict_argv(files, folder, version, output):
    return [
        "--do_predict", "--model_name_or_path", str(folder), "--predict_file", str(files[version][1]),
        "--output_dir", str(output),
    ]  # fmt: skip

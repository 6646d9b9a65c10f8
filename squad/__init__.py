"""SQuAD 1.1 and 2.0: questions whose answer is a piece of a text, or nothing."""

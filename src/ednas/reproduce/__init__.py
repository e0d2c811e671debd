"""The paper, re-enacted: its tables from trainings of our own beside the printed numbers, with verdicts on claims."""

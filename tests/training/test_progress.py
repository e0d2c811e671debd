import io

from rich.console import Console

from ednas.training import ProgressBar, StepReport


def report(step=3, **losses):
    return StepReport(step, 10, losses or {"depth": 0.25}, 0.25, 1e-3, 42.0, 75.0)


def test_the_bar_shows_steps_losses_speed_and_time_left():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=160)
    with ProgressBar("training", console) as bar:
        bar(report())
    for shown in ("training", "3/10", "depth 0.250", "42 images/s", "1 min 15 s left"):
        assert shown in text.getvalue()


def test_nothing_is_cut_in_a_terminal_of_80_characters():
    text = io.StringIO()
    with ProgressBar("training", Console(file=text, force_terminal=True, width=80)) as bar:
        bar(
            StepReport(12_345, 20_000, {"segmentation": 1.0, "depth": 1.0, "normals": 1.0}, 3.0, 1e-3, 1234.0, 37_250.0)
        )
    for shown in ("12345/20000", "loss 3.000", "1234 images/s", "10 h 20 min left"):
        assert shown in text.getvalue()


def test_off_a_terminal_it_is_a_line_now_and_then_the_first_and_the_last():
    text = io.StringIO()
    times = {1: 5.0, 2: 34.0, 3: 35.0, 4: 40.0, 10: 41.0}
    done: list[int] = []
    console = Console(file=text, force_terminal=False, width=20)
    with ProgressBar("seed 1", console, clock=lambda: times[done[-1]]) as bar:
        for step in times:
            done.append(step)
            bar(report(step, depth=0.25, normals=0.5))
    assert text.getvalue().splitlines() == [
        f"seed 1: step {step}/10, loss 0.250 (depth 0.250  normals 0.500), 42 images/s, 1 min 15 s left"
        for step in (1, 3, 10)
    ]


def test_a_bar_that_is_full_leaves_the_terminal_to_others():
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    with ProgressBar("training", console) as bar:
        bar(report(step=9))
        assert not bar._progress.finished
        assert bar._progress.live.is_started
        bar(report(step=10))
        assert not bar._progress.live.is_started

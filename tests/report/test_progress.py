from __future__ import annotations

import io
import re
import time

import numpy as np
import pytest

import backpass as bp


class Terminal(io.StringIO):
    def isatty(self):
        return True


def train(file, tmp_path=None, **more):
    data = bp.data.load("digits")
    model = bp.Model([bp.Affine(10)], input_shape=data.shape)
    return bp.Trainer(model, data, callbacks=[bp.Progress(file)], out=tmp_path, **more)


def test_plain_lines_say_how_it_goes_and_carry_no_colour():
    shown = io.StringIO()
    run = train(shown, epochs=3).fit()
    lines = shown.getvalue().splitlines()
    assert re.match(
        r"epoch 1/3 · loss \S+ · train [\d.]+ % · val [\d.]+ % · best [\d.]+ % in epoch 1 · [\d,]+ images/s", lines[0]
    )
    assert f"epoch 3/3 · loss {run.loss:.4g}" in lines[-2]
    assert lines[-1].startswith("finished: 3 epochs in ")
    assert "\x1b" not in shown.getvalue()


def test_the_live_display_draws_a_bar_and_ends_with_the_cursor_shown(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    shown = Terminal()
    train(shown, epochs=2).fit()
    text = shown.getvalue()
    assert "━━━" in text
    assert "100 %" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "finished: 2 epochs" in text


def test_the_live_display_is_closed_when_training_fails(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    shown = Terminal()

    def fail(run):
        raise KeyError("planted")

    trainer = train(shown, epochs=2)
    trainer.callbacks.append(bp.callbacks.AfterEpoch(fail))
    with pytest.raises(KeyError):
        trainer.fit()
    assert trainer.run.status == "failed"
    assert shown.getvalue().rindex("\x1b[?25h") > shown.getvalue().rindex("\x1b[?25l")


def test_a_resumed_run_goes_on_counting_epochs(tmp_path):
    train(io.StringIO(), tmp_path / "r", epochs=2).fit()
    shown = io.StringIO()
    bp.Trainer.resume(tmp_path / "r", epochs=4, callbacks=[bp.Progress(shown)]).fit()
    assert shown.getvalue().startswith("epoch 3/4")
    assert shown.getvalue().splitlines()[-1].startswith("finished: 4 epochs")


def test_time_left_counts_the_steps_of_this_session_only():
    shown = io.StringIO()
    trainer = train(shown, epochs=100)
    trainer.run.step = 1000
    made = bp.Progress(shown)
    made.start(trainer.run)
    made._started = made._shown = time.perf_counter() - 20
    trainer.run.step = 1100  # 100 steps in 20 s, and 1000 to go
    made.tick(trainer.run)
    assert shown.getvalue().rstrip().endswith("· 3 min 20 s left")


def test_watching_does_not_change_the_run():
    silent = train(io.StringIO(), epochs=2)
    silent.callbacks.clear()
    watched = train(io.StringIO(), epochs=2)
    assert silent.fit().digest() == watched.fit().digest()


def test_nothing_is_done_per_step():
    assert bp.Progress.step is bp.Callback.step


def test_a_long_epoch_has_lines_within(monkeypatch):
    from backpass import progress

    monkeypatch.setattr(progress, "STEP_LINE_S", 0.0)
    shown = io.StringIO()
    made = bp.Progress(shown)
    trainer = train(shown, epochs=1)
    made.start(trainer.run)
    trainer.run.step, trainer.run.loss = 5, 1.25
    made.tick(trainer.run)
    assert shown.getvalue().startswith(f"epoch 1/1, step 5/{trainer.run.total_steps} · loss 1.25")
    assert not np.isnan(trainer.run.loss)

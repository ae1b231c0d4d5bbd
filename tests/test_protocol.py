"""What differs from the paper."""

from __future__ import annotations

from pathlib import Path

import yaml

from urnn import published
from urnn.config import load
from urnn.report import protocol
from urnn.settings.training import Recipe
from urnn.tasks.synthetic.settings import System

CONFIG = Path(__file__).parents[1] / "config"


def differences(name: str) -> list[protocol.Difference]:
    return protocol.differences(load(yaml.safe_load((CONFIG / f"{name}.yaml").read_text())))


def test_the_protocol_has_keys_and_values_of_ours() -> None:
    known = protocol.protocol()
    assert set(known) == set(published.NAMES)
    for figure in ("figure2", "figure3"):
        recipe, system = Recipe(), System()
        # our defaults are the paper's
        assert known[figure]["recipe"].items() <= recipe.model_dump().items()
        assert known[figure]["system"].items() <= system.model_dump().items()


def test_only_what_differs_is_said() -> None:
    found = differences("paper")
    assert [entry for entry in found if entry.experiment == "poster-20dB"] == []
    published_20 = [entry[1:] for entry in found if entry.experiment == "published-20dB"]
    assert published_20 == [
        ("system.divide_by_norm", "false", "true"),
        ("system.output_bias", "true", "false"),
    ]
    tuned = {e.setting: e.here for e in found if e.experiment == "tuned-20dB"}
    assert tuned["epochs of lstm"] == "60" and "epochs of rnn" not in tuned
    assert tuned["restarts of rnn"] == "5" and tuned["restarts with 2 hidden units"] == "20"


def test_a_model_has_its_own_setting_in_the_paper() -> None:
    """The RNN of figure 4 has a learning rate of its own, and in config/mnist.yaml too."""
    assert differences("mnist") == []
    values = yaml.safe_load((CONFIG / "mnist.yaml").read_text())
    values["recipes"]["mnist"]["models"]["rnn"] = {}
    found = [entry[1:] for entry in protocol.differences(load(values))]
    assert found == [("learning_rate of rnn", "0.001", "0.0001")]


def test_other_data_are_told_and_measured_ones_compared_with_nothing() -> None:
    found = [entry[1:] for entry in differences("config") if entry.experiment == "digits"]
    assert found[0] == ("task", "permuted_digits", "permuted_mnist")
    assert differences("records") == []

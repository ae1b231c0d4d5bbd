"""Wrong values get the key's path, what is allowed and what was given; the schema is current."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import preloaded
from urnn.config import load, schema
from urnn.errors import ConfigError

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
BASE: dict[str, Any] = yaml.safe_load((ROOT / "config/config.yaml").read_text())
EXPERIMENT = "experiments.synthetic-20dB"
IMAGES = {"realizations": 1, "models": ["rnn"], "hidden_units": [16], "recipe": "images"}
MNIST = IMAGES | {"task": "permuted_mnist"}

#: key, wrong value, what the message must say besides the key
WRONG: list[tuple[str, Any, str]] = [
    ("sede", 3, "did you mean 'seed'"),
    ("seed", -1, "at least 0, but it is -1"),
    ("seed", "2019", "whole number, but it is the text '2019'"),
    ("seed", 20.5, "whole number, but it is 20.5"),
    ("seed", None, "whole number, but it is empty"),
    ("device", "gpu", "cuda"),
    ("experiments", {}, "must not be empty"),
    ("experiments", None, "mapping"),
    ("experiments", [1], "mapping"),
    ("experiments.two words", MNIST, "two words"),
    (f"{EXPERIMENT}.task", "mnist", "'recorded', but it is the text 'mnist'"),
    (
        f"{EXPERIMENT}.task",
        None,
        "'synthetic', 'permuted_mnist', 'permuted_digits', 'recorded', but it is",
    ),
    (f"{EXPERIMENT}.images", {}, "images is a key of permuted_digits, permuted_mnist"),
    (
        f"{EXPERIMENT}.folder",
        "mnist",
        "unknown key; known here: task, system, snr_db, label, realizations",
    ),
    (f"{EXPERIMENT}.snr_dB", 20, "did you mean 'snr_db'"),
    ("experiments.digits", MNIST | {"folder": ""}, "folder: must not be empty"),
    ("mnist_folder", "mnist", "unknown key; known here: seed, device"),
    (f"{EXPERIMENT}.snr_db", "twenty", "number, but it is the text 'twenty'"),
    (f"{EXPERIMENT}.snr_db", float("nan"), "number, but it is nan"),
    (f"{EXPERIMENT}.snr_db", [20], "number, but it is [20]"),
    (f"{EXPERIMENT}.realizations", 0, "at least 1, but it is 0"),
    (f"{EXPERIMENT}.realizations", True, "whole number, but it is True"),
    (f"{EXPERIMENT}.block_size", 0, "at least 1, but it is 0"),
    (f"{EXPERIMENT}.models", [], "must not be empty"),
    (f"{EXPERIMENT}.models", "rnn", "list, but it is the text 'rnn'"),
    (f"{EXPERIMENT}.models", ["esn"], "'esn' is not in models"),
    (f"{EXPERIMENT}.models", ["rnn", "rnn"], "'rnn' stands here twice"),
    (f"{EXPERIMENT}.hidden_units", [], "must not be empty"),
    (f"{EXPERIMENT}.hidden_units", [4, 4], "4 stands here twice"),
    (f"{EXPERIMENT}.hidden_units", [-2], "at least 1, but it is -2"),
    (f"{EXPERIMENT}.hidden_units", [2.5], "whole number, but it is 2.5"),
    (f"{EXPERIMENT}.hidden_units", [500], "at most 128, but it is 500"),
    (f"{EXPERIMENT}.recipe", "long", "'long' is not in recipes"),
    (f"{EXPERIMENT}.data_of", "synthetic-15db", "did you mean 'synthetic-15dB'"),
    (f"{EXPERIMENT}.data_of", "synthetic-20dB", "is not an experiment with data of its own"),
    (f"{EXPERIMENT}.data_of", "synthetic-15dB", "snr_db: 20.0 differs from synthetic-15dB"),
    (f"{EXPERIMENT}.system", {"test_ratio": 0}, "greater than 0"),
    (f"{EXPERIMENT}.system", {"test_ratio": 1}, "less than 1"),
    (f"{EXPERIMENT}.system", {"epsilon": -0.1}, "greater than 0"),
    (f"{EXPERIMENT}.system", {"trials": 1}, "at least 2, but it is 1"),
    (f"{EXPERIMENT}.system", {"hiden_units": 4}, "did you mean 'hidden_units'"),
    ("models.urnn.transition", "unitry", "'householder', but it is the text 'unitry'"),
    ("models.rnn.activation", "swish", "'relu'"),
    ("models.rnn.label", "", "must not be empty"),
    ("models.urnn.capacity", 2, "unknown key; known here: transition"),
    ("models.urnn.capacity", 2, "; capacity is a key of eunn\n"),
    ("models.urnn.field", "complex", "field is a key of cayley, eunn, full_capacity, matrix_exp"),
    ("models.urnn", {"label": "A", "transition": "arjovsky", "field": "real"}, "field is a key of"),
    ("models.urnn", {"label": "A", "transition": "eunn", "capacity": 2, "fft": True}, "not both"),
    (f"{EXPERIMENT}.hidden_units", [0], "at least 1, but it is 0"),
    (
        "models.lstm.transition",
        "unitary",
        "known here: cell, gate_activation, label; transition is a",
    ),
    (
        "models.lstm.activation",
        "tanh",
        "did you mean 'gate_activation'?; activation is a key of rnn",
    ),
    ("models.lstm.cell", "lstmm", "'rnn', 'lstm', 'gru', but it is the text 'lstmm'"),
    ("models.lstm.cell", ["lstm"], "'rnn', 'lstm', 'gru', but it is ['lstm']"),
    ("recipes.tuned.learning_rate", 0, "greater than 0"),
    ("recipes.tuned.learning_rate", "1e-2", "write 0.01"),
    ("recipes.tuned.optimizer", "adamw", "'adam' or 'rmsprop'"),
    ("recipes.tuned.epochs", 1.5, "whole number"),
    ("recipes.tuned.batch_size", 701, "leaves 630 training trials"),
    ("recipes.tuned.validation_ratio", 1, "less than 1"),
    ("recipes.tuned.clip_norm", -1, "greater than 0"),
    ("recipes.tuned.restarts", 0, "at least 1"),
    ("recipes.tuned.hidden_units", {"two": {"restarts": 3}}, "whole number"),
    ("recipes.tuned.hidden_units", {2: {"restart": 3}}, "did you mean 'restarts'"),
    ("recipes.tuned.hidden_units", {2: {"restarts": 0}}, "at least 1"),
    ("recipes.tuned.models", {"urn": {}}, "did you mean 'urnn'"),
    ("recipes.tuned.models", {"urnn": {"learning_rat": 1}}, "did you mean 'learning_rate'"),
    ("figures.figure2.experiment", "synthetic", "is not in experiments"),
    ("figures.figure2.published", "figure9", "'figure2' or 'figure3'"),
    ("figures.figure2.kind", "bars", "'r2', 'gap'"),
    (
        "figures.theorem1",
        {"kind": "r2", "experiment": "synthetic-20dB"},
        "figures.theorem1: a theorem's figure has this name",
    ),
    (
        "figures.figure4.experiment",
        "synthetic-20dB",
        "is scored by r2, but a figure of kind accuracy shows accuracy",
    ),
    (
        "figures.figure2.experiment",
        "digits",
        "is scored by accuracy, but a figure of kind r2 shows r2",
    ),
    (
        "figures.history.experiment",
        "synthetic-20dB",
        "is scored by r2, but a figure of kind history shows accuracy",
    ),
    ("figures.history.shows", "loss", "'validation_accuracy' or 'constraint_error'"),
    ("recipes.tuned.patience", 0, "at least 1"),
    ("recipes.published", {"patience": 3}, "has no validation trials; set validation_ratio"),
    ("recipes.published.validation_ratio", 0.1, "has the test trials for validation; leave it out"),
    ("figures.figure2.models", ["rnn", "gru"], "'gru' is not in synthetic-20dB, which has rnn"),
    (
        "recipes.images.validation_ratio",
        0.1,
        "has validation trials of its own for validation; leave it out",
    ),
    (
        "figures.figure2.margin",
        0.1,
        "unknown key; known here: statistic, kind, models, published",
    ),
    ("figures.statistics-20dB.reference", "gru", "'gru' is not a model of synthetic-20dB"),
    ("figures.statistics-20dB.margin", 0, "greater than 0"),
    ("figures.statistics-20dB.margins", [0.1, 0.2], "smaller than the one before"),
    ("figures.gap", {"kind": "gap", "experiments": ["synthetic"]}, "is not in experiments"),
    ("figures.gap", {"kind": "gap", "experiments": []}, "must not be empty"),
    (
        "figures.gap",
        {"kind": "gap", "experiments": ["digits"]},
        "is scored by accuracy, but a figure",
    ),
    ("style", {"width": 0}, "greater than 0"),
    ("theory", {"theorem4": {}}, "did you mean 'theorem"),
    ("theory", True, "mapping"),
    ("theory", {"theorem1": {"theorem": "theorem2"}}, "'theorem1', but it is the text 'theorem2'"),
    ("theory.theorem1", {"system": 3}, "did you mean 'systems'"),
    ("theory.theorem1", {"hidden_units": [4, 2]}, "larger than the one before"),
    ("theory.theorem2", {"rho": 1}, "less than 1"),
    ("theory.theorem3", {"largest_bias": 1000}, "at most 120"),
    ("style", {"colour": "red"}, "unknown key"),
]


def changed(key: str, value: Any) -> dict[str, Any]:
    values = copy.deepcopy(BASE)
    *path, last = key.split(".")
    table = values
    for part in path:
        table = table[part]
    table[last] = value
    return values


def test_the_distance_from_the_set_is_shown_for_every_task() -> None:
    wanted = {"kind": "history", "experiment": "synthetic-20dB", "shows": "constraint_error"}
    load(changed("figures.history", wanted))


@pytest.mark.parametrize(
    ("options", "size", "words"),
    [
        ({"transition": "eunn", "capacity": 9}, 4, "a capacity of 9 is more than the 2 complex"),
        ({"transition": "eunn", "fft": True}, 6, "a power of two of complex units, but it has 3"),
        ({"transition": "arjovsky"}, 5, "needs an even number, two for each complex unit"),
        ({"activation": "modrelu"}, 5, "modrelu acts on pairs of hidden units"),
    ],
)
def test_sizes_that_a_model_cannot_have(options: dict[str, Any], size: int, words: str) -> None:
    values = changed("models.urnn", {"label": "URNN", **options})
    values["experiments"]["synthetic-20dB"]["hidden_units"] = [size]
    with pytest.raises(ConfigError) as error:
        load(values)
    assert "experiments.synthetic-20dB.hidden_units: for urnn, " in str(error.value)
    assert words in str(error.value)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configurations_are_valid(path: Path) -> None:
    config = load(yaml.safe_load(path.read_text()))
    for name, experiment in config.experiments.items():
        for model in experiment.models:
            assert all(config.recipe(name, model, n).epochs > 0 for n in experiment.hidden_units)


def test_the_full_protocol_is_the_papers() -> None:
    config = load(yaml.safe_load((ROOT / "config/paper.yaml").read_text()))
    for name, experiment in config.experiments.items():
        data, _, noise = name.rpartition("-")
        assert experiment.snr_db == {"20dB": 20, "15dB": 15}[noise]
        released = data in ("published", "slow", "tuned")
        kind = {"divide_by_norm": not released, "output_bias": released or data == "bias"}
        assert {key: getattr(experiment.system, key) for key in kind} == kind
        assert experiment.realizations == (15 if name == "slow-20dB" else 30)
        assert experiment.hidden_units == [2, 4, 6, 8, 10, 12, 14]
        models = {"slow-20dB": ["lstm"], "slow-15dB": ["rnn", "urnn"], "bias-15dB": ["rnn", "urnn"]}
        assert experiment.models[:3] == models.get(name, ["rnn", "urnn", "lstm"])
        system = experiment.system
        assert (system.hidden_units, system.input_size, system.output_size) == (4, 2, 2)
        assert (system.epsilon, system.time_steps, system.on_fraction) == (0.01, 1000, 0.6)
        assert (system.trials, experiment.test_trials) == (1000, 300)
        if experiment.data_of:
            continue
        for model in experiment.models:
            recipe = config.recipe(name, model, 4)
            assert (recipe.optimizer, recipe.learning_rate) == ("adam", 0.01)
            assert (recipe.epochs, recipe.batch_size, recipe.schedule) == (100, 10, "constant")
            assert (recipe.restarts, recipe.clip_norm, recipe.patience) == (1, None, None)


@pytest.mark.parametrize(("key", "value", "words"), WRONG, ids=[f"{k}={v!r}" for k, v, _ in WRONG])
def test_wrong_values_are_explained(key: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(changed(key, value))
    message = str(caught.value)
    assert key.rpartition(".")[0] in message
    assert words in f"{message}\n"
    assert len(message.splitlines()) <= 6


@pytest.mark.parametrize("case", range(0, len(WRONG), 8))
def test_snakemake_stops_with_the_message_and_no_traceback(case: int, tmp_path: Path) -> None:
    key, value, words = WRONG[case]
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(changed(key, value)))
    status, output = preloaded.run(["-n", "--cores", "1", "--configfile", path], ROOT)
    assert status not in (None, 0)
    assert words in output
    assert "Traceback" not in output


def test_the_task_says_which_keys_an_experiment_has() -> None:
    values = changed("experiments.mnist", MNIST)
    values["experiments"]["digits"] |= IMAGES | {"task": "permuted_digits", "images": {}}
    del values["experiments"]["synthetic-15dB"]["task"]  # the first task is the default
    experiments = load(values).experiments
    tasks = {name: experiment.task for name, experiment in experiments.items()}
    assert tasks == {
        "synthetic-20dB": "synthetic",
        "synthetic-15dB": "synthetic",
        "tuned-20dB": "synthetic",
        "digits": "permuted_digits",
        "mnist": "permuted_mnist",
    }
    assert experiments["mnist"].source.training_trials == 50_000
    for wrong, words in [
        ({"images": {"validation_images": 60_000}}, "mnist.images.validation_images: must be less"),
        (
            {"snr_db": 20},
            "mnist.snr_db: unknown key; known here: task, images, folder, label, realizations",
        ),
        ({"task": "permuted_digits", "images": {"test_images": 1700}}, "mnist.images: test_images"),
        ({"task": ["permuted_mnist"]}, "mnist.task: must be one of 'synthetic', 'permuted_mnist'"),
        ({"task": "permuted_digits", "images": {"test_image": 1}}, "did you mean 'test_images'"),
    ]:
        values["experiments"]["mnist"] = MNIST | wrong
        with pytest.raises(
            ConfigError, match=r"^1 problem in [^\n]*\n  experiments\.mnist"
        ) as caught:
            load(values)
        assert words in str(caught.value)


def test_an_experiment_can_use_the_data_of_another() -> None:
    first = BASE["experiments"]["synthetic-20dB"]
    again = first | {"data_of": "synthetic-20dB", "recipe": "other", "realizations": 3}
    values = changed("experiments.again", again)
    values["recipes"]["other"] = {"epochs": 2}
    assert load(values).experiments["again"].data_of == "synthetic-20dB"
    again["realizations"] = 9
    with pytest.raises(ConfigError, match=r"1 problem(?s:.*)again\.realizations: 9.*at most that"):
        load(values)
    again |= {"realizations": 3, "system": {"trials": 100}, "data_of": "synthetic-15dB"}
    with pytest.raises(ConfigError, match="2 problems") as caught:
        load(values)
    assert "again.snr_db: 20.0" in str(caught.value) and "again.system: " in str(caught.value)
    values["experiments"]["third"] = first | {"data_of": "again"}
    with pytest.raises(ConfigError, match=r"third\.data_of: 'again' is not"):
        load(values)


def test_every_problem_is_said_at_once() -> None:
    values = changed("seed", -1)
    values["device"] = 3
    with pytest.raises(ConfigError, match=r"(?s)2 problems.*seed.*device"):
        load(values)


def test_the_exported_schema_is_current() -> None:
    stored = json.loads((ROOT / "config/schema.json").read_text())
    assert stored == schema(), "run: python -m urnn schema > config/schema.json"


def test_a_figure_calls_experiments_by_their_label_else_their_recipe_else_their_name() -> None:
    def called(**changes: Any) -> list[str]:
        values = changed("experiments.tuned-20dB.label", None)
        values["experiments"]["synthetic-20dB"] |= {"label": None, **changes}
        return list(load(values).labels("figure2-tuned")["experiments"])

    same = changed("experiments.tuned-20dB.label", "Recipe of the paper")
    with pytest.raises(
        ConfigError, match=r"figures\.figure2-tuned\.experiments: two have the label"
    ):
        load(same)
    assert called() == ["recipe published", "recipe tuned"]
    assert called(label="Plain") == ["Plain", "recipe tuned"]
    assert called(recipe="tuned") == ["synthetic-20dB", "tuned-20dB"]
    assert load(BASE).labels("figure2")["models"] == {"rnn": "RNN", "urnn": "URNN", "lstm": "LSTM"}


def test_what_differs_for_one_model_stands_under_it() -> None:
    values = changed("recipes.published.models", {"urnn": {"learning_rate": 0.02}})
    config = load(values)
    assert config.recipe("synthetic-20dB", "urnn", 4).learning_rate == 0.02
    assert config.recipe("synthetic-20dB", "rnn", 4).learning_rate == 0.01


def test_a_recipe_can_differ_by_model_and_by_size() -> None:
    recipe = {"epochs": 9, "models": {"urnn": {"epochs": 8}}, "hidden_units": {2: {"restarts": 7}}}
    original = changed("recipes.published", recipe)
    for values in (original, json.loads(json.dumps(original))):  # keys of JSON are texts
        config = load(values)
        found = {
            (model, size): config.recipe("synthetic-20dB", model, size)
            for model in ("rnn", "urnn")
            for size in (2, 4)
        }
        assert {key: (r.epochs, r.restarts) for key, r in found.items()} == {
            ("rnn", 2): (9, 7), ("rnn", 4): (9, 1), ("urnn", 2): (8, 7), ("urnn", 4): (8, 1),
        }  # fmt: skip

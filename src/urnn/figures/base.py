"""What a kind of figure is to the rest: its settings, what it reads, and the words around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from urnn.errors import DataError
from urnn.settings.base import Name, Settings, distinct

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from urnn.figures.findings import Findings
    from urnn.verdict import Claim


class FigureSettings(Settings):
    """What a figure shows.

    The module ``plot`` beside the settings has ``plot(scores, settings, published, style)``, which
    returns a matplotlib Figure. Its scores are datasets by label, one unless the kind shows
    several, each with the coordinate ``model_label`` (model).
    """

    #: the key that chooses a kind; a subclass narrows it to its own name
    kind: Any
    models: Annotated[list[Name], Field(min_length=1), AfterValidator(distinct)] | None = Field(
        None, description="the models that it shows, in this order; null: all of its experiments"
    )

    #: text below the figure in a report; plain text, a blank line starts a paragraph
    caption: ClassVar[str]
    #: whether it shows several experiments side by side
    several: ClassVar[bool] = False
    #: whether the experiments must know the score of a perfect model
    needs_optimum: ClassVar[bool] = False

    @property
    def metric(self) -> str | None:
        """The score that an experiment must have to be shown; None: any."""
        return None

    @property
    def curves(self) -> str | None:
        """The published figure whose curves are drawn beside ours, if any."""
        return getattr(self, "published", None)

    @property
    def sources(self) -> list[str]:
        """The experiments whose scores it shows."""
        return []

    @property
    def described(self) -> str:
        """The caption, as it is for these settings."""
        return self.caption

    @property
    def text(self) -> str:
        """What stands below it."""
        return self.described

    def chosen(self, scores: xr.Dataset) -> xr.Dataset:
        """Scores of the models that it shows.

        Raises:
            DataError: the dataset lacks one of them.
        """
        if self.models is None:
            return scores
        there = [str(name) for name in scores["model"].values]
        lacking = [name for name in self.models if name not in there]
        if lacking:
            raise DataError(
                f"the file of scores has no model {lacking[0]!r}; it has {', '.join(there)}"
            )
        return scores.sel(model=self.models)

    def needs(self) -> tuple[str, ...]:
        """The variables of a file of scores that it cannot do without."""
        raise NotImplementedError

    def problems(self, models: list[str]) -> list[tuple[str, str]]:
        """What is wrong with the settings for an experiment with these models: (key, sentence)."""
        return []

    def findings(
        self, scores: Mapping[str, xr.Dataset], published: pd.DataFrame | None
    ) -> Findings:
        """What the figure says in sentences and tables; the arguments are those of ``plot``."""
        return {"sentences": [], "tables": []}

    def claims(
        self, scores: Mapping[str, xr.Dataset], published: pd.DataFrame | None
    ) -> list[Claim]:
        """What the paper claims of this figure and what the scores say; those are by experiment."""
        return []


#: What captions say of few realizations.
FEW = (
    "With fewer than five realizations each of them is drawn as a small marker, and there are no "
    "bars."
)
#: What captions say of the marks around means.
MARKS = (
    f"{FEW} Where bars meet, they get narrower in the order of the legend. A triangle on the edge "
    "of a panel: a bar, or a realization, lies beyond it. ×2 beside a point: two trainings "
    "diverged and are left out. †2: two overflowed after the epoch that is kept."
)
#: What captions say of curves of the paper.
PUBLISHED = (
    "Dotted, with hollow markers, where shown: the published curves, read off the figure by pixel "
    "position."
)


#: What captions say of points and bars, by the statistic.
_POINTS = {
    "mean": "Markers are means over the realizations whose training did not diverge; bars are 95 % "
    "intervals of these means (Student's t below ten realizations, else bootstrap).",
    "median": "Markers are medians over the realizations whose training did not diverge; bars hold "
    "the middle half of them.",
}


class Averaged(Settings):
    """How a point is made from the realizations, of a kind of figure that averages over them."""

    statistic: Literal["mean", "median"] = Field(
        "mean",
        description="of the realizations: mean, with its 95 % interval, or median, with the middle "
        "half of them, which a few failed trainings among few do not move",
    )

    @property
    def points(self) -> str:
        """What markers and bars are, for the caption."""
        return _POINTS[self.statistic]


class _Entry(Settings):
    """What an entry of the table of figures has besides the settings of its kind."""

    note: str = Field(
        "", description="what a reader should know of this figure, put before the usual caption"
    )

    @property
    def text(self) -> str:
        """The note, and the caption of the kind; paragraphs are separated by a blank line."""
        return "\n\n".join(part for part in (self.note, getattr(self, "described", "")) if part)


class OneExperiment(_Entry):
    """The experiment of a figure that shows one."""

    experiment: Name = Field(description="whose scores it shows")

    @property
    def sources(self) -> list[str]:
        """The experiments whose scores it shows."""
        return [self.experiment]


class SeveralExperiments(_Entry):
    """The experiments of a figure that shows several."""

    experiments: Annotated[
        list[Name], Field(min_length=1, max_length=4), AfterValidator(distinct)
    ] = Field(description="whose scores it shows, by the names of their recipes, or by their own")

    @property
    def sources(self) -> list[str]:
        """The experiments whose scores it shows."""
        return self.experiments


def labelled(scores: xr.Dataset, labels: Mapping[str, str]) -> xr.Dataset:
    """Scores with the coordinate ``model_label`` (model): the labels, or else the models' names."""
    names = [str(name) for name in scores["model"].values]
    return scores.assign_coords(model_label=("model", [labels.get(name, name) for name in names]))

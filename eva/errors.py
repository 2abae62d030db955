"""Errors that say what was expected, what came, and what to try.

Every error that eva raises on purpose is an :class:`EvaError`, so ``except eva.EvaError``
catches exactly the mistakes that a user can mend.
"""


class EvaError(Exception):
    """Base of all errors of eva.

    Args:
        problem: What was expected and what came, naming the file, layer or key.
        hint: What to try next; printed on a line of its own.
    """

    def __init__(self, problem: str, hint: str | None = None) -> None:
        self.problem = problem
        self.hint = hint
        super().__init__(problem if hint is None else f"{problem}\n  {hint}")

    def __reduce__(self) -> tuple[type["EvaError"], tuple[str, str | None]]:
        return type(self), (self.problem, self.hint)


class DataError(EvaError):
    """A data set is missing, damaged or can't be fetched."""


class RecipeError(EvaError):
    """A recipe has an unknown key or a value outside its range."""


class RecordError(EvaError):
    """A run record or checkpoint is damaged, of a newer schema, or belongs to another run."""


class TrainingError(EvaError):
    """Training can't go on: the loss is not finite, or the device is out of memory."""


class DeviceError(EvaError):
    """A device was asked for that this machine, or PyTorch, does not have."""


class SubmissionError(EvaError):
    """A submission can't be found, imported or built."""


class InputSizeError(EvaError):
    """An input size is missing, malformed or does not fit the model."""


class ForwardError(EvaError):
    """The model's forward pass failed; the message names the layer and the shapes it met."""


class RuleError(EvaError):
    """A receptive-field rule is missing, ill-formed or registered twice."""


class JobError(EvaError):
    """Workers could not be started: no cluster, or no place for them."""


class GradingError(EvaError):
    """The grader itself can't work: no assignment, no sandbox, a damaged journal."""


def message_line(error: BaseException) -> str:
    """The first line of what an error says; empty where it says nothing."""
    return next(iter(str(error).strip().splitlines()), "")

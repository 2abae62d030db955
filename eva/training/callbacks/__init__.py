"""What may be done along the way of a training: your own code, a bar, an early stop, a log.

``Callback`` is the base of all, ``StopTraining`` is what any of them raises to end a run.
"""

from eva.training.callbacks.callback import Callback, StopTraining
from eva.training.callbacks.early_stopping import EarlyStopping
from eva.training.callbacks.loggers import MLflow, TensorBoard, WandB
from eva.training.callbacks.progress import ProgressBar

__all__ = [
    "Callback",
    "EarlyStopping",
    "MLflow",
    "ProgressBar",
    "StopTraining",
    "TensorBoard",
    "WandB",
]

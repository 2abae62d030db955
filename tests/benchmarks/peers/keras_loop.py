"""Keras 3 on its PyTorch backend, with layers of its own.

Its weight decay is decoupled, so that momentum does not enlarge it; it is divided by what momentum
would have made of it.
"""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
from keras import layers

from peers.common import DECAY, EVERY, GAMMA, LR, MOMENTUM, Report, loaders, network, options


def block(channels: int) -> list[layers.Layer]:
    """As :func:`eva.blocks.conv_block`; Keras counts momentum from the other end."""
    return [
        layers.Conv2D(channels, 3, use_bias=False),
        layers.ReLU(),
        layers.BatchNormalization(axis=1, momentum=0.9, epsilon=1e-5),
    ]


def model() -> keras.Model:
    """Experiment 5's network."""
    before = [layer for _ in range(3) for layer in block(9)]
    after = [layer for _ in range(3) for layer in block(16)]
    pool, last = layers.MaxPooling2D(2), layers.Conv2D(10, 1, use_bias=False)
    made = keras.Sequential(
        [keras.Input((1, 28, 28)), *before, pool, *after, last, layers.GlobalAveragePooling2D()]
    )
    ours = sum(weight.numel() for weight in network().parameters())
    theirs = sum(int(weight.value.numel()) for weight in made.trainable_weights)
    assert ours == theirs, f"{theirs} parameters are not {ours}"
    return made


class Reporter(keras.callbacks.Callback):
    """A report after each epoch."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report = report

    def on_epoch_end(self, epoch, logs=None) -> None:
        self._report.epoch(100 * logs["val_accuracy"])


def main() -> None:
    """Train and test."""
    chosen = options()
    keras.config.set_image_data_format("channels_first")
    keras.utils.set_random_seed(0)
    made = model()
    made.compile(
        optimizer=keras.optimizers.SGD(
            LR, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY / (1 - MOMENTUM)
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    train, test = loaders(chosen)
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: LR * GAMMA ** (epoch // EVERY))
    made.fit(
        train,
        epochs=chosen.epochs,
        validation_data=test,
        callbacks=[schedule, Reporter(Report("keras"))],
        verbose=0,
    )


if __name__ == "__main__":
    main()

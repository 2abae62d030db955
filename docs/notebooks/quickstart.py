# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Quick start
#
# Ten minutes with `eva`: look at a network, see what its layers see, train it, look at its mistakes, check it against an assignment. It runs on a laptop, and in Colab with or without a GPU.
#
# **Open in Colab:** go to [colab.research.google.com](https://colab.research.google.com), choose *Upload*, and take this file. The next cell installs `eva` where it is missing: from a wheel (`eva_course-*.whl`) or a `eva.zip` of your clone (`git archive -o eva.zip HEAD`) that you have uploaded in the folder on the left, or else from the package index.

# %%
import importlib.util
import subprocess
import sys
from pathlib import Path

if importlib.util.find_spec("eva") is None:
    uploaded = [*sorted(Path().glob("eva_course-*.whl")), *Path().glob("eva.zip")]
    source = str(uploaded[0].resolve()) if uploaded else "eva-course"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", source], check=True)
    importlib.invalidate_caches()

# %% [markdown]
# ## A network is a function that builds it
#
# Seven convolutions, one pool, one average. `eva.summary` prints a line a layer; in a notebook it is a table. The column RF says how much of the image *one unit* sees.

# %%
import eva
from eva.experiments.exp5 import build_model

model = build_model()
eva.summary(model, (1, 28, 28))

# %% [markdown]
# ## What does a unit see?
#
# One unit behind the pool sees 8x8 pixels, and `region` says which. Would you have said 7? So did the published tables of this course.

# %%
pool = eva.receptive_field(model, (1, 28, 28), layer="transition_1")
print(pool.size, pool.region((5, 5)))

# %% [markdown]
# ## Real digits
#
# `mnist-mini` is 5,000 digits of MNIST that come inside a Python package. For real results use `"mnist"`, which downloads 70,000 once.

# %%
data = eva.load_data("mnist-mini")
print(tuple(data.train_images.shape), data.train_images.dtype, len(data.test_labels))

# %% [markdown]
# ## Train
#
# A recipe says how a network is trained. A trainer trains it. A run is the record of the training. An epoch takes a few seconds at most.

# %%
from eva.recipe import SGD, Recipe, Rotation

EPOCHS = 3
recipe = Recipe(epochs=EPOCHS, optimizer=SGD(lr=0.1), augment=(Rotation(degrees=10),))
trainer = eva.Trainer(model, recipe, data)
run = trainer.fit()

# %% [markdown]
# A run shows itself: its verdict, its curves, its last epochs.

# %%
run

# %% [markdown]
# ## Look at the mistakes
#
# The most confident ones come first. How many would you have got right?

# %%
from eva import plots

mistakes = plots.misclassified(trainer.evaluated, data, limit=18)

# %% [markdown]
# ## What a unit can see, and what it does see
#
# The square is arithmetic. The colors are gradients of the trained network, averaged over a hundred digits.

# %%
seen = plots.receptive_field(trainer.evaluated, data.test_images[:100], layer="conv_block_3")

# %% [markdown]
# ## A notebook can be handed in
#
# A cell whose first line is `#| export` belongs to the submission. Everything else in the notebook is yours. Here is a whole one, too large for the assignment:

# %%
#| export
from torch import nn

from eva.blocks import conv_block, gap_head
from eva.recipe import SGD, Recipe


def build_wide():
    return nn.Sequential(conv_block(1, 32), nn.MaxPool2d(2), conv_block(32, 64), gap_head(64))


build_model = build_wide
RECIPE = Recipe(epochs=15, optimizer=SGD(lr=0.1))

# %% [markdown]
# `eva.check` takes the two objects, and answers in a second or two. `eva check quickstart.ipynb` in a terminal says the same of this file.

# %%
eva.check(build_model, RECIPE)

# %% [markdown]
# ## Now you
#
# - Change `EPOCHS` to 10. Does the test accuracy still rise at the end?
# - Take the pool away, or move it. What happens to the last line of the summary?
# - Read the lessons, then open `assignments/mnist_8k/submission.py`.

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
# Ten minutes with `eva`: look at a network, see what its layers see, train it, look at its mistakes. It runs on a laptop, and in Colab with or without a GPU.
#
# **At home**, `pip install -e ".[dev]"` in your clone has done everything. **In Colab**, make a zip file of your clone with `git archive -o eva.zip HEAD`, upload it (the folder on the left), and run the next cell.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("eva") is None:
    subprocess.run(["unzip", "-q", "-o", "eva.zip", "-d", "eva-course"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "./eva-course[mini]"], check=True)
    importlib.invalidate_caches()

# %% [markdown]
# ## A network is a function that builds it
#
# Seven convolutions, one pool, one average. `eva.summary` prints a line a layer; in a notebook it is a table. The last columns are what other summaries don't have: the size of what *one unit* sees.

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
# `mnist-mini` is 5,000 digits of MNIST that come inside a Python package. In earnest you would say `"mnist"`, which downloads 60,000 once.

# %%
data = eva.load_data("mnist-mini")
print(tuple(data.train_images.shape), data.train_images.dtype, len(data.test_labels))

# %% [markdown]
# ## Train
#
# A recipe says how, a trainer does it, and a run is the record of what happened. An epoch takes a few seconds at most.

# %%
from tqdm.auto import tqdm

from eva.recipe import SGD, Recipe, Rotation

EPOCHS = 3


class Progress(eva.Callback):
    """A bar that grows with every epoch and shows the latest accuracy."""

    def on_fit_start(self, trainer):
        self.bar = tqdm(total=trainer.recipe.epochs, unit="epoch")

    def on_epoch_end(self, trainer, row):
        self.bar.set_postfix_str(f"test {row.test_accuracy:.2f} %")
        self.bar.update()

    def on_fit_end(self, trainer, run):
        self.bar.close()


recipe = Recipe(epochs=EPOCHS, optimizer=SGD(lr=0.1), augment=(Rotation(degrees=10),))
trainer = eva.Trainer(model, recipe, data, callbacks=[Progress()])
run = trainer.fit()

# %%
for row in run.rows:
    print(f"epoch {row.epoch}  train {row.train_accuracy:.2f} %  test {row.test_accuracy:.2f} %")

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
# ## Now you
#
# - Change `EPOCHS` to 10. Does the test accuracy still rise at the end?
# - Take the pool away, or move it. What happens to the last line of the summary?
# - Read the lessons, then open `assignments/mnist_8k/submission.py`.

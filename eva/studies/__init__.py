"""Studies: many seeds of one submission, and what they say of its recipe.

:func:`run_study`, which is :func:`eva.study`, trains the seeds and goes on where it was killed;
:func:`summarize` draws a :class:`Study` from records that there are.
"""

from eva.studies.run import run_study as run_study
from eva.studies.summary import SeedRow as SeedRow
from eva.studies.summary import Spread as Spread
from eva.studies.summary import Study as Study
from eva.studies.summary import summarize as summarize
from eva.studies.summary import wilson as wilson

"""Jobs: tasks carried to workers, on this machine or a cluster; it knows nothing of grading.

A :class:`Plan` says how a worker gets its work, a task is a JSON object with a ``kind``, and an
:class:`Engine` carries tasks to workers and brings an :class:`Answer` back for each. A study and an
official grading both use it.
"""

from eva.jobs.engine import Answer as Answer
from eva.jobs.engine import Engine as Engine
from eva.jobs.plan import Kind as Kind
from eva.jobs.plan import Plan as Plan
from eva.jobs.plan import Task as Task
from eva.jobs.plan import TaskResult as TaskResult
from eva.jobs.plan import Work as Work
from eva.jobs.plan import perform as perform
from eva.jobs.selection import WORKER_MEMORY as WORKER_MEMORY
from eva.jobs.selection import EngineName as EngineName
from eva.jobs.selection import default_jobs as default_jobs
from eva.jobs.selection import select_engine as select_engine

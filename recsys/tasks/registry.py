"""Which task a run is for: named, or decided by the data."""

from typing import get_type_hints

from recsys.config.settings import Settings
from recsys.config.targets import Target
from recsys.errors import ConfigError, closest
from recsys.runs.folder import RunFolder
from recsys.tasks.forecasting import Forecasting
from recsys.tasks.recommendation import Recommendation
from recsys.tasks.task import Task

_TASKS: dict[str, Task] = {}
# what run.json of earlier versions says
_FORMER_NAMES = {"recommender": "recommendation", "forecaster": "forecasting"}


def register(task: Task) -> None:
    """Adds a task, or replaces the one of its name."""
    _TASKS[task.name] = task


register(Recommendation())
register(Forecasting())


def task_named(name: str) -> Task:
    """The task of a name; ConfigError where there is none."""
    name = _FORMER_NAMES.get(name, name)
    if name not in _TASKS:
        raise ConfigError(f"task {name!r} does not exist; {closest(name, _TASKS)}")
    return _TASKS[name]


def task_of(settings: Settings) -> Task:
    """The task that the settings name, else the one whose data the source gives.

    Raises:
        ConfigError: no task works with the data, or the named one does not.
    """
    source = settings.data.resolve()
    given = get_type_hints(source).get("return")
    if settings.task is not None:
        task = _named(settings.task)
        if isinstance(given, type) and not issubclass(given, task.data):
            raise ConfigError(
                f"task={task.name} works with {task.data.__name__}, and"
                f" data={settings.choices.data} gives {given.__name__}: choose other data"
            )
        return task
    for task in _TASKS.values():
        if given is task.data:
            return task
    raise ConfigError(
        f"data={settings.choices.data} gives {given}, which no task works with: name one with task="
    )


def task_of_run(run: RunFolder) -> Task:
    """The task of a run folder; ConfigError where this installation has none of its name."""
    stored = run.read_config().get("task")
    if stored:
        return _named(Target.from_plain("task", stored))
    return task_named((run.read_json("run.json") or {}).get("task") or "recommendation")


def _named(target: Target) -> Task:
    task: Task = target.build()
    if not isinstance(task, Task):
        raise ConfigError(f"task._target_={target.path} is no task: see recsys.tasks.task.Task")
    register(task)
    return task

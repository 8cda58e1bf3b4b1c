"""What one running app shares between all its readers: the database, the copies of it in memory, the runner."""

import atexit
import os
from dataclasses import dataclass

from sapphire.evaluating import Evaluation
from sapphire.hosting import Hosting
from sapphire.paths import database, runs_dir
from sapphire.reader_study import ReaderStudy
from sapphire.running import Runner
from sapphire.store import Store, open_store
from sapphire.store.comparisons import Comparisons
from sapphire.store.worklist import Worklist
from sapphire.training_runs import TrainingRuns


@dataclass(frozen=True)
class Workbench:
    store: Store
    worklist: Worklist
    comparisons: Comparisons
    evaluation: Evaluation
    study: ReaderStudy
    training: TrainingRuns
    runner: Runner
    hosting: Hosting

    def close(self) -> None:
        atexit.unregister(self.close)
        self.runner.close()
        self.hosting.close()
        self.store.close()


def open_workbench(serve: bool = True) -> Workbench:
    """Open the database that SAPPHIRE_DB or SAPPHIRE_HOME names, and let commands of this user share it.

    Raises:
        StoreError: one sentence with a remedy.
    """
    os.umask(0o077)  # the database, its log and the exports are for this user alone
    store = open_store(database(), os.environ.get("SAPPHIRE_DB_TOKEN"))
    if serve:
        store.serve()
    hosting = Hosting(store)
    runner = Runner(store, hosting.open)
    hosting.changed = runner.renew
    bench = Workbench(
        store,
        Worklist(store),
        Comparisons(store),
        Evaluation(store),
        ReaderStudy(store),
        TrainingRuns(store, runs_dir()),
        runner,
        hosting,
    )
    atexit.register(bench.close)
    return bench

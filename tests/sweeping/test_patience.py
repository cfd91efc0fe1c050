"""Which calls of Optuna's storage wait for a database: it is subclassed by names that are not all public."""

import inspect
import re

import optuna.storages._cached_storage as cached
from optuna.storages import BaseStorage, RDBStorage

from pppl.sweeping import storage

# Of heartbeats, which no study here has.
_HEARTBEATS = {
    *("record_heartbeat", "_get_stale_trial_ids", "get_heartbeat_interval", "get_heartbeat_stale_trial_callback"),
}


def test_every_call_that_optunas_cache_makes_of_a_database_waits_for_it():
    called = set(re.findall(r"_backend\.(\w+)", inspect.getsource(cached)))
    assert len(called) > 10
    assert called - _HEARTBEATS <= set(storage.CALLS)
    assert BaseStorage.__abstractmethods__ <= set(storage.CALLS)


def test_each_of_them_is_there_and_is_wrapped():
    for name in storage.CALLS:
        wrapped = getattr(storage._Patient, name)
        assert wrapped.__wrapped__ is getattr(RDBStorage, name)

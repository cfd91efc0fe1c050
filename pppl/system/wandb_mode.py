"""Whether runs of W&B go online: asked for by the settings, with a server that answers and somebody logged in."""

import os
import re
import threading
from contextlib import suppress
from functools import lru_cache
from typing import Any

from .progress import notice

_ANSWER = 4.0  # seconds that W&B has to answer at all
gone = threading.Event()  # set when W&B has failed to answer: later runs are offline


def mode_of(wandb: Any, wanted: str) -> str:
    """Return `WANDB_MODE`, or else the mode that is wanted; offline if W&B cannot be reached.

    Being logged in is no consent to an upload.
    """
    chosen = os.environ.get("WANDB_MODE") or wanted
    if chosen != "online" or gone.is_set():
        return "offline" if chosen == "online" else chosen
    url = wandb.setup().settings.base_url
    if not _answers(url):
        gone.set()
        notice(f"{without_secrets(url)} does not answer; W&B runs are kept offline")
        return "offline"
    if not _logged_in(wandb):
        gone.set()
        notice("nobody is logged in at W&B, so that runs are kept offline: `wandb login` asks for a key")
        return "offline"
    return chosen


def _logged_in(wandb: Any) -> bool:
    """Return whether there is a key. W&B must be silent about it, since its message shows passwords in URLs."""
    settings = wandb.setup().settings
    before, settings.silent = settings.silent, True
    wandb.termsetup(settings, None)
    try:
        return wandb.login(prompt=False, verify=False)
    finally:
        settings.silent = before
        wandb.termsetup(settings, None)


@lru_cache(maxsize=4)
def _answers(url: str) -> bool:
    """Return whether a server answers within `_ANSWER` seconds. A thread limits the wait for a name server, too."""
    answered = threading.Event()

    def ask() -> None:
        import requests

        with suppress(requests.RequestException):
            requests.head(url, timeout=_ANSWER)
            answered.set()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_ANSWER)
    return answered.is_set()


def without_secrets(text: str) -> str:
    """Return a text without the key of W&B and without passwords in URLs.

    >>> without_secrets("https://me:secret@wandb.test/")
    'https://wandb.test/'
    """
    key = os.environ.get("WANDB_API_KEY")
    return re.sub(r"://[^/@\s]+@", "://", text.replace(key, "...") if key else text)

"""Classifiers of `transformers` with random weights, by a type of model, or by a folder or the hub's `config.json`."""

import difflib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from ..system.errors import UserError
from ..system.files import expand
from .libraries import import_library

# The heads of `transformers`, and whether such a network reads samples as token ids, or without their one channel.
_HEADS = {"ImageClassification": "pixels", "AudioClassification": "sound", "SequenceClassification": "tokens"}
# What a configuration holds besides the structure of a classifier. The data tell `num_channels`; gates decide about
# each layer in each pass, so that layers are left out at random (`layerdrop`) only if the user says so.
_BESIDES = {"model_type", "num_channels", "id2label", "label2id", "architectures", "transformers_version", "auto_map"}
_BESIDES |= {"dtype", "stage_names", "out_features", "out_indices", "quantization_config"}
_BESIDES |= {"problem_type", "finetuning_task", "task_specific_params", "tokenizer_class", "layerdrop"}
# Arguments of the user that a configuration does not write down.
_UNWRITTEN = ("num_labels", "attn_implementation", "num_channels", "dtype", "layerdrop")
_REMEDY = "name a folder with config.json, a type of model such as resnet or vit, or ORGANIZATION/MODEL of the hub"


def find_model(name: str, arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of a model by its type, `hf/TYPE`, and all of its configuration if a folder or the hub has it.

    Raise `UserError` if there is no such model, or if its configuration cannot be read without running its code.
    """
    if "trust_remote_code" in arguments:
        raise UserError(f"backbone {name}: trust_remote_code would run code of the model's folder: leave it out")
    model = name.removeprefix("hf/")
    if not expand(model).is_dir() and model in import_library(name, "transformers").CONFIG_MAPPING:
        return name, dict(arguments)
    config = _read_configuration(name, model, arguments)
    try:
        tree = json.loads(json.dumps(config.to_diff_dict()))
    except (TypeError, ValueError) as error:
        raise UserError(f"backbone {name} has a configuration that is no JSON: {error}") from error
    tree = {key: value for key, value in tree.items() if key not in _BESIDES}
    return f"hf/{config.model_type}", tree | {key: arguments[key] for key in _UNWRITTEN if key in arguments}


def make_model(name: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], num_outputs: int) -> "Reader":
    """Return a classifier by `hf/TYPE` with random weights. Neither a folder nor the hub is asked.

    Raise `UserError` if there is no such type, if it is no classifier, or if it refuses an argument.
    """
    transformers = import_library(name, "transformers")
    model = name.removeprefix("hf/")
    if model not in transformers.CONFIG_MAPPING:
        raise _unknown_type(name, model, transformers)
    options = {"num_labels": num_outputs, **arguments}
    try:
        config = transformers.AutoConfig.for_model(model, **options)
        config.architectures = config.architectures or []  # some types lack them
        for head, reads in _HEADS.items():
            auto = getattr(transformers, f"AutoModelFor{head}")
            if type(config) in auto._model_mapping:
                if reads == "pixels" and hasattr(config, "num_channels") and "num_channels" not in arguments:
                    config.num_channels = input_shape[0]
                if hasattr(config, "layerdrop") and "layerdrop" not in arguments:
                    config.layerdrop = 0.0
                return Reader(auto.from_config(config, trust_remote_code=False), reads)
    except Exception as error:  # transformers raises a dozen types of its own
        raise UserError(f"backbone {name} refuses {options!s:.200}: {_line(error)}") from error
    raise UserError(f"backbone {name}: transformers has no classifier for {model}")


def _read_configuration(name: str, model: str, arguments: Mapping[str, Any]) -> Any:
    """Return the configuration of a folder, or else of the hub, without running the code that may come with it."""
    transformers = import_library(name, "transformers")
    local = expand(model).is_dir()
    if not local and (model.count("/") != 1 or model.startswith((".", "/", "~"))):
        raise _unknown_type(name, model, transformers)
    options = {"local_files_only": local, **arguments, "trust_remote_code": False}
    try:
        if not local:
            return _ask_hub(model, json.dumps(options, sort_keys=True))
        return transformers.AutoConfig.from_pretrained(str(expand(model)), **options)
    except Exception as error:  # transformers raises a dozen types of its own
        asked = "" if local else f" (no folder {model} is here, so that the Hugging Face hub was asked)"
        raise UserError(f"backbone {name} cannot be read{asked}: {_line(error)}: {_REMEDY}") from error


@lru_cache(maxsize=16)  # the hub is asked once: the stamp of every method needs the configuration
def _ask_hub(model: str, options: str) -> Any:
    import transformers

    return transformers.AutoConfig.from_pretrained(model, **json.loads(options))


def _unknown_type(name: str, model: str, transformers: Any) -> UserError:
    nearest = difflib.get_close_matches(model, transformers.CONFIG_MAPPING, n=1)
    hint = f"did you mean 'hf/{nearest[0]}'? Or " if nearest else ""
    return UserError(f"backbone {name} is neither a type of model of transformers nor a folder here: {hint}{_REMEDY}")


def _line(error: BaseException) -> str:
    """Return the first line of an error; of errors about one field, the second, which says what is wrong."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    return (" ".join(lines[:2]) if lines[0].endswith(":") else lines[0]).rstrip(".")


class Reader(nn.Module):
    """A network of `transformers` that reads samples as they are in a data set, `(B, C, ...)`."""

    def __init__(self, model: nn.Module, reads: str):
        super().__init__()
        self.model, self.reads = model, reads

    def example(self, values: Tensor) -> Tensor:
        """Return an example of the input from values in [0, 1): token ids if the network reads them."""
        if self.reads != "tokens":
            return values
        return (values * (self.model.config.vocab_size - 1)).floor() + 1  # type: ignore[union-attr,operator]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, `(B, num_outputs)`."""
        if self.reads == "tokens":  # (B, 1, T), padded with zeros
            ids = x[:, 0].long()
            return self.model(input_ids=ids, attention_mask=(ids > 0).long()).logits
        return self.model(x if self.reads == "pixels" else x[:, 0]).logits

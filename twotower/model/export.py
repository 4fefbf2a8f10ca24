"""A checkpoint as a folder that other libraries load.

    sentence-transformers   router_config.json modules.json query_*/ document_*/   SentenceTransformer(folder)
    safetensors             config.json model.safetensors vocab.json               load_safetensors(folder)

An MLP tower is `StaticEmbedding(vectors * weights) -> Normalize -> Dense ... -> Normalize` there; other
towers have no such form. Each folder holds a model card, and is loaded and compared before it gets its name.
"""

import json
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from twotower import config
from twotower.model import checkpoint, sidecar, wordlevel
from twotower.model.retriever import Retriever
from twotower.model.towers import MLPTower
from twotower.model.words import WordTable

WEIGHTS, CONFIG, VOCABULARY, HISTORY = (
    "model.safetensors",
    "config.json",
    "vocab.json",
    "training_history.json",
)
"""Files of a safetensors folder."""
TOLERANCE = 1e-6
"""How far a vector may be from ours, in any coordinate, where another library computes it."""


def check_new(out: Path) -> None:
    """Raises ValueError or NotADirectoryError unless `out` is absent or an empty folder."""
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"out: {out}: a file, want a new folder")
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(f"out: {out}: not empty, want a new folder; name another, or delete it first")


def write_aside(out: Path, fill: Callable[[Path], None]) -> None:
    """Make the folder `out` whole or not at all: `fill` gets one beside it, which is then renamed."""
    check_new(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".{secrets.token_hex(8)}{sidecar.PARTIAL}")
    try:
        aside.mkdir()
        fill(aside)
        if out.is_dir():
            out.rmdir()
        aside.rename(out)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def fill(folder: Path, path: Path, content: Mapping[str, Any], form: config.ExportFormat, card: str) -> None:
    """Put the model of the checkpoint at `path`, whose content is given, into `folder` with its card.

    Raises ValueError where the model has no such form.
    """
    retriever = checkpoint.restore(path, content)
    if form is config.SAFETENSORS:
        write_safetensors(folder, content)
        load_safetensors(folder)
    else:
        write_sentence_transformers(folder, retriever)
    (folder / "README.md").write_text(card, encoding="utf-8")


def write_sentence_transformers(folder: Path, retriever: Retriever) -> None:
    """Fill `folder` so that `SentenceTransformer(folder)` gives our vectors.

    Its `encode_query` and `encode_document` take the two sides; both put a prompt of one space before a text,
    without which an empty text would have no vector.

    Raises:
        ValueError: the library is not installed, a tower is no MLP, or the tokenizer cannot be carried over.
    """
    check_towers(retriever)
    library, modules = _sentence_transformers()
    model = retriever.two_tower
    doc_words = model.words if model.doc_words is None else model.doc_words
    limits = (retriever.max_query_words, retriever.max_doc_words)
    for_queries, for_docs = wordlevel.build(retriever.tokenizer, retriever.vocab, limits)
    query = _side(modules, for_queries, model.words, model.query_tower)
    doc = _side(modules, for_docs, doc_words, model.doc_tower)
    made = library.SentenceTransformer(
        modules=[modules.Router.for_query_document(query, doc)],
        prompts={"query": wordlevel.LEAD, "document": wordlevel.LEAD},
        similarity_fn_name="cosine",
        device="cpu",
    )
    made.save_pretrained(str(folder), create_model_card=False)
    _prove(retriever, library.SentenceTransformer(str(folder), device="cpu", local_files_only=True))


def check_towers(retriever: Retriever) -> None:
    """Raises ValueError unless both towers have a form in sentence-transformers."""
    for side, tower in (
        ("query", retriever.two_tower.query_tower),
        ("document", retriever.two_tower.doc_tower),
    ):
        if not isinstance(tower, MLPTower):
            raise ValueError(
                f"sentence-transformers: the {side} tower is a {type(tower).__name__}, which has no form "
                "there, want an MLPTower; an export as safetensors takes every tower"
            )


def _sentence_transformers() -> tuple[Any, Any]:
    """The library and its modules."""
    try:
        # optional, and slow: 6 s
        import sentence_transformers
        from sentence_transformers.sentence_transformer import modules
    except ImportError as error:
        raise _lacking("sentence-transformers", error) from None
    return sentence_transformers, modules


def _lacking(library: str, error: ImportError) -> ValueError:
    return ValueError(
        f"{library}: the library is not installed or too old ({error}); "
        "pip install 'twotower[export]' brings it"
    )


def _side(modules: Any, tokenizer: Any, words: WordTable, tower: Any) -> list[Any]:
    """One tower as a list of the library's modules."""
    table = (words.vectors * tower.word_weights[:, None]).detach().cpu()
    made = [modules.StaticEmbedding(tokenizer, embedding_weights=table), modules.Normalize()]
    last = len(tower.dense) - 1
    for number, layer in enumerate(tower.dense):
        linear = number == last or (tower.residual and number == 0)
        scale = tower.scale if number == 0 else 1.0  # of the normalised bag, which the weight can carry
        made.append(
            modules.Dense(
                layer.in_features,
                layer.out_features,
                activation_function=None if linear else tower.activation,
                init_weight=(layer.weight * scale).detach().cpu(),
                init_bias=layer.bias.detach().cpu(),
                use_residual=tower.residual and not linear,
            )
        )
    return [*made, modules.Normalize()]


def _prove(retriever: Retriever, made: Any) -> None:
    """Raises ValueError where the folder's model gives other vectors than ours."""
    texts = [*checkpoint.PROBE, " ".join(retriever.vocab.words[-2 * retriever.max_doc_words :])]
    for side, ours, theirs in (
        ("query", retriever.encode_queries(texts), made.encode_query(texts)),
        ("document", retriever.encode_docs(texts), made.encode_document(texts)),
    ):
        off = float(np.abs(ours - theirs).max())
        if not off <= TOLERANCE:
            raise ValueError(
                f"sentence-transformers: {side} vectors come out {off:.2g} from ours, want {TOLERANCE:g}; "
                "an export as safetensors keeps the model as it is"
            )


def write_safetensors(folder: Path, content: Mapping[str, Any]) -> None:
    """Fill `folder` from a checkpoint's content: tensors once each, form, vocabulary, and what else it says.

    `config.json` holds the SHA-256 of the other files that make the model, for safetensors has no checksum.
    """
    try:
        from safetensors.torch import save_file  # optional, of the extra `export`
    except ImportError as error:
        raise _lacking("safetensors", error) from None
    kept: dict[str, torch.Tensor] = {}
    same: dict[str, str] = {}
    first: dict[tuple[int, int, torch.Size], str] = {}
    for name, tensor in content["model_state_dict"].items():
        place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape)
        if (twin := first.setdefault(place, name)) == name:
            kept[name] = tensor.contiguous()
        else:
            same[name] = twin
    probe = content["probe"]
    save_file(kept | {f"probe.{side}": probe[side] for side in ("queries", "docs")}, folder / WEIGHTS)
    _write_json(folder / VOCABULARY, content["index_to_word"])
    _write_json(folder / HISTORY, {key: content[key] for key in content if key not in checkpoint.TENSORS})
    form = {
        "format": content["format"],
        "model_config": content["model_config"],
        "same_tensors": same,
        "probe_texts": probe["texts"],
        "sha256": {name: sidecar.sha256(folder / name) for name in (WEIGHTS, VOCABULARY)},
    }
    _write_json(folder / CONFIG, form)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def load_safetensors(folder: Path) -> Retriever:
    """The model of a folder that `write_safetensors` filled, verified and its probe encoded again.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged or foreign, or the model gives other vectors than it should.
    """
    try:
        # see write_safetensors
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise _lacking("safetensors", error) from None
    form = _form(folder)
    try:
        tensors = load_file(folder / WEIGHTS)
        return checkpoint.restore(folder, _content(form, tensors, _read_json(folder / VOCABULARY)))
    except (KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{folder}: not an export of twotower ({type(error).__name__}: {error})") from None


def _form(folder: Path) -> dict[str, Any]:
    """`config.json`, after the files whose sums it holds."""
    form = _read_json(folder / CONFIG)
    if not isinstance(form, dict) or not isinstance(form.get("sha256"), dict):
        raise ValueError(f"{folder / CONFIG}: not an export of twotower, it has no sha256")
    if form.get("format") != checkpoint.FORMAT:
        raise ValueError(f"{folder / CONFIG}: format {form.get('format')}, want {checkpoint.FORMAT}")
    for name in (WEIGHTS, VOCABULARY):
        if sidecar.sha256(folder / name) != form["sha256"].get(name):
            raise ValueError(f"{folder / name}: damaged or replaced, its SHA-256 is not that of {CONFIG}")
    return form


def _content(form: Mapping[str, Any], tensors: dict[str, torch.Tensor], words: list[str]) -> dict[str, Any]:
    """What a checkpoint file would hold."""
    probe = {side: tensors.pop(f"probe.{side}") for side in ("queries", "docs")}
    state = tensors | {name: tensors[twin] for name, twin in form["same_tensors"].items()}
    return {
        "model_config": form["model_config"],
        "index_to_word": words,
        "embedding_matrix": state["words.vectors"],
        "model_state_dict": state,
        "probe": {"texts": form["probe_texts"], **probe},
    }


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None

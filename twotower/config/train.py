"""Knobs of `twotower train`."""

from dataclasses import dataclass
from enum import StrEnum

from omegaconf import MISSING

from twotower.config.knobs import CUT_OFFS, knob
from twotower.config.loss import Loss
from twotower.config.source import Source
from twotower.config.tower import FrozenTower, Tower


class WordAlgorithm(StrEnum):
    """How word vectors are trained: skip-gram predicts the context from the word, CBOW the word from it."""

    skipgram = "skipgram"
    cbow = "cbow"


class Optimizer(StrEnum):
    """Optimizers of torch.optim."""

    adamw = "adamw"
    adam = "adam"
    sgd = "sgd"


class Scheduler(StrEnum):
    """Learning rate over the run, after warm-up."""

    cosine = "cosine"
    linear = "linear"
    constant = "constant"
    step = "step"
    plateau = "plateau"


class Precision(StrEnum):
    """Numbers in which the towers compute; embeddings, scores, loss and weights are always fp32."""

    fp32 = "fp32"
    tf32 = "tf32"
    bf16 = "bf16"
    fp16 = "fp16"


class Device(StrEnum):
    """Where tensors live; auto takes cuda, then mps, then cpu."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Candidates(StrEnum):
    """What each query's ranking is made of."""

    full = "full"
    own = "own"


class Tracking(StrEnum):
    """Where a run is logged; auto is wandb, online when logged in, else offline, never asking."""

    auto = "auto"
    wandb = "wandb"
    none = "none"


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train one two-tower model and keep its best checkpoint."""

    # collection and text
    data: Source = MISSING
    """Collection: docstrings, beir, msmarco, triplets, pairs."""
    pattern: str = r"[\p{L}\p{M}\p{N}]+"
    """What a word is: a regular expression in Rust's syntax, applied to NFKC lower-cased text."""
    min_count: int = knob(1, at_least=1)
    """Occurrences in corpus and training queries from which a word is in the vocabulary."""
    max_size: int = knob(60_000, at_least=2)
    """Words in the vocabulary at most; the vectors' most frequent words fill what the collection leaves."""
    max_query_words: int = knob(64, at_least=1)
    """A query is cut after so many words."""
    max_doc_words: int = knob(256, at_least=1)
    """A document is cut after so many words."""
    min_grade: int = knob(1, at_least=1)
    """Grade from which a judged document is relevant."""
    judgements: str = ""
    """File of what was judged at the prompt of search (`:judge`), which joins train; empty: none."""

    # word vectors
    vectors: str = "glove-50d"
    """Word vectors: glove-50d (the wheel), random, train (on the collection), a file; a+b: side by side."""
    vectors_dim: int = knob(50, at_least=1)
    """Width of `vectors=random` and `vectors=train`."""
    vectors_algorithm: WordAlgorithm = WordAlgorithm.skipgram
    """How `vectors=train` learns: skipgram, cbow."""
    vectors_epochs: int = knob(5, at_least=1)
    """Passes of `vectors=train` over the collection."""
    vectors_window: int = knob(5, at_least=1)
    """Words on either side that are a word's context in `vectors=train`."""
    share_words: bool = True
    """One word table for both towers."""
    freeze_epochs: int = knob(0, at_least=-1)
    """Epochs during which the word vectors stay as they are; -1 is all of them."""

    # towers
    query_tower: Tower = MISSING
    """Query tower: mlp, gru."""
    doc_tower: Tower | FrozenTower = MISSING
    """Document tower: mlp, gru, frozen (another checkpoint's, as it is)."""
    tied: bool = False
    """One tower for queries and documents; doc_tower must then equal query_tower."""
    dim: int = knob(256, at_least=1)
    """Width of the embeddings of both towers."""

    # loss and negatives
    loss: Loss = MISSING
    """Loss: contrastive, triplet, margin."""
    random_negatives: int = knob(256, at_least=0)
    """Documents drawn from the corpus for each batch, as further negatives."""
    given_negatives: int = knob(1, at_least=0)
    """Documents judged not relevant to a pair's query, drawn for each pair as further negatives; 0: none."""

    # optimisation
    epochs: int = knob(10, at_least=0)
    """Passes over the training pairs; 0 keeps the untrained towers."""
    batch_size: int = knob(128, at_least=1)
    """Pairs a batch, in each process."""
    accumulate: int = knob(1, at_least=1)
    """Batches a step, their losses averaged; a pair's negatives are still those of its own batch."""
    cache_chunk: int = knob(0, at_least=0)
    """Texts embedded at a time, by GradCache, so that memory bounds no batch_size; 0 embeds all at once."""
    precision: Precision = Precision.fp32
    """Numbers in which the towers compute while training: fp32, tf32 and fp16 (cuda), bf16 (cuda, cpu)."""
    compile: bool = False
    """Compile the towers with torch.compile; for CUDA, as on the CPU it brings nothing."""
    sparse_words: bool = False
    """Update only the words of each batch: for large vocabularies; a word's moments wait for it."""
    learning_rate: float = knob(1e-3, above=0, at_most=1e3)
    """Peak step size of the optimizer."""
    word_rate: float = knob(10.0, above=0)
    """Learning rate of word vectors and word weights, as a multiple of `learning_rate`."""
    optimizer: Optimizer = Optimizer.adamw
    """Optimizer: adamw, adam, sgd."""
    weight_decay: float = knob(0.0, at_least=0)
    """Decay of the towers' matrices (decoupled in adamw)."""
    beta1: float = knob(0.9, at_least=0, below=1)
    """Decay of Adam's first moment; momentum of sgd."""
    beta2: float = knob(0.999, at_least=0, below=1)
    """Decay of Adam's second moment."""
    scheduler: Scheduler = Scheduler.cosine
    """Learning rate over the run: cosine, linear, constant, step, plateau."""
    step_size: int = knob(3, at_least=1)
    """Epochs after which `scheduler=step` lowers the learning rate, again and again."""
    plateau_patience: int = knob(1, at_least=1)
    """Evaluations without a better `select` after which `scheduler=plateau` lowers the learning rate."""
    gamma: float = knob(0.5, above=0, at_most=1)
    """Factor by which step and plateau lower the learning rate."""
    warmup: float = knob(0.1, at_least=0, below=1)
    """Share of the steps in which the learning rate rises from 0."""
    grad_clip: float = knob(1.0, at_least=0)
    """Largest norm of a step's gradient; 0 does not clip."""
    patience: int = knob(3, at_least=0)
    """Evaluations without a better `select` before the run stops; 0 never stops early."""
    seed: int = knob(0, at_least=0)
    """Decides everything random in the run."""

    # evaluation
    select: str = "mrr_10"
    """Metric on dev by which the best epoch is kept."""
    k: list[int] = knob(list(CUT_OFFS), at_least=1)
    """Cut-offs of the metrics, in ranks."""
    candidates: Candidates = Candidates.full
    """What a dev query ranks: full (the whole corpus), or own (the documents judged for it)."""
    eval_every_epoch: bool = True
    """Evaluate after every epoch; otherwise only after the last."""
    eval_max_queries: int = knob(0, at_least=0)
    """Dev queries used after each epoch, 0 for all; the kept checkpoint is evaluated on all."""
    floors: bool = True
    """Score chance, the mean of the word vectors and BM25 under the same protocol (cached by protocol)."""

    # run
    name: str = "run"
    """Name of the run; six random characters are added."""
    sweep: str = ""
    """Sweep that the run belongs to; `twotower sweep` sets it."""
    checkpoint_dir: str = "checkpoints"
    """Folder of checkpoints."""
    keep: str = "best"
    """Weights kept beside the best: best (no others), last, all (each evaluated epoch), or the latest n."""
    resume: str = ""
    """Run to continue, by name or @latest; it keeps its own knobs, and those typed beside this must agree."""
    resume_minutes: float = knob(2.0, at_least=0)
    """Minutes between states to resume from, besides after epochs; they cost 2 % of the time at most."""
    resume_steps: int = knob(0, at_least=0)
    """Steps between states to resume from, whatever they cost; 0 goes by `resume_minutes` alone."""
    cache_dir: str = "data/cache"
    """Folder of tokenised collections, floors and document vectors; safe to delete."""
    tracking: Tracking = Tracking.auto
    """Weights & Biases: auto, wandb, none; WANDB_MODE is respected."""
    project: str = "twotower"
    """Project on Weights & Biases."""
    artifact: bool = False
    """Give the finished run's checkpoint to Weights & Biases as an artifact."""
    device: Device = Device.auto
    """Where to compute: auto, cpu, cuda, mps."""
    threads: int = knob(0, at_least=0)
    """CPU threads; 0 is one for recurrent towers (more gain nothing), else the libraries' own."""
    num_workers: int = knob(0, at_least=0)
    """Accepted from older sweeps and without effect: batches are array slices, no process is needed."""

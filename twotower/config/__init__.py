"""Every knob: its type, default, bounds and unit. No logic lives here.

`Train` is `twotower train`, and so on: one dataclass a command, one module a dataclass. A choice is a type:
`query_tower=gru` selects `GRUTower`. Values are frozen; YAML under `conf/` only selects and overrides.
"""

from twotower.config.compare import Compare
from twotower.config.convert import Convert, OlderActivation, OlderPooling
from twotower.config.data import Data
from twotower.config.diagnose import Diagnose
from twotower.config.doctor import Doctor
from twotower.config.evaluate import Evaluate
from twotower.config.export import SAFETENSORS, SENTENCE_TRANSFORMERS, Export, ExportFormat
from twotower.config.groups import GROUPS, SHORT
from twotower.config.index import Index, IndexKind, Storage
from twotower.config.knobs import CUT_OFFS, Bounds, knob
from twotower.config.leaderboard import BoardFormat, Leaderboard, TableFormat
from twotower.config.loss import Contrastive, Distance, Loss, Margin, Negatives, Triplet
from twotower.config.push import Push
from twotower.config.search import AnswerFormat, HitFormat, Hybrid, Search
from twotower.config.source import (
    Beir,
    Docstrings,
    Files,
    MsMarco,
    OnBad,
    Pairs,
    Source,
    Splittable,
    Stored,
    Triplets,
)
from twotower.config.store import Algorithm, FileStore, QdrantStore, RedisStore, Store
from twotower.config.sweep import Engine, Sweep
from twotower.config.tower import Activation, Bag, Cell, FrozenTower, GRUTower, MLPTower, Pooling, Tower
from twotower.config.train import (
    Candidates,
    Device,
    Optimizer,
    Precision,
    Scheduler,
    Tracking,
    Train,
    WordAlgorithm,
)

__all__ = [
    "CUT_OFFS",
    "GROUPS",
    "SAFETENSORS",
    "SENTENCE_TRANSFORMERS",
    "SHORT",
    "Activation",
    "Algorithm",
    "AnswerFormat",
    "Bag",
    "Beir",
    "BoardFormat",
    "Bounds",
    "Candidates",
    "Cell",
    "Compare",
    "Contrastive",
    "Convert",
    "Data",
    "Device",
    "Diagnose",
    "Distance",
    "Docstrings",
    "Doctor",
    "Engine",
    "Evaluate",
    "Export",
    "ExportFormat",
    "FileStore",
    "Files",
    "FrozenTower",
    "GRUTower",
    "HitFormat",
    "Hybrid",
    "Index",
    "IndexKind",
    "Leaderboard",
    "Loss",
    "MLPTower",
    "Margin",
    "MsMarco",
    "Negatives",
    "OlderActivation",
    "OlderPooling",
    "OnBad",
    "Optimizer",
    "Pairs",
    "Pooling",
    "Precision",
    "Push",
    "QdrantStore",
    "RedisStore",
    "Scheduler",
    "Search",
    "Source",
    "Splittable",
    "Storage",
    "Store",
    "Stored",
    "Sweep",
    "TableFormat",
    "Tower",
    "Tracking",
    "Train",
    "Triplet",
    "Triplets",
    "WordAlgorithm",
    "knob",
]

"""gpuinit in PyTorch: tensors, parameters and modules filled in place, with the same bits on every device, shard and rank.

docs/torch.md shows how.
"""

from gpuinit.torch.accelerate import accelerate
from gpuinit.torch.embedding import InitFn, init_fn
from gpuinit.torch.initialize import init_
from gpuinit.torch.module import init_module
from gpuinit.torch.names import qualified_names
from gpuinit.torch.rules import InitReport
from gpuinit.torch.tensors import as_tensor
from gpuinit.torch.twins import (
    calculate_gain,
    constant_,
    dirac_,
    eye_,
    kaiming_normal_,
    kaiming_uniform_,
    normal_,
    ones_,
    orthogonal_,
    sparse_,
    trunc_normal_,
    uniform_,
    xavier_normal_,
    xavier_uniform_,
    zeros_,
)

__all__ = [
    "InitFn",
    "InitReport",
    "accelerate",
    "as_tensor",
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "init_",
    "init_fn",
    "init_module",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "qualified_names",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

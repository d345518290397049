"""`init_` and the twins of torch.nn.init: the core's bits under PyTorch's arguments, formulas, seeds and autograd."""

from __future__ import annotations

import inspect
import math
import threading
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch_memory import INTEGERS, RANDOM, bits, poison, poisoned, untouched  # noqa: E402

import gpuinit  # noqa: E402
import gpuinit.torch as ours  # noqa: E402
from gpuinit import dtypes  # noqa: E402
from gpuinit.torch.seeds import TorchSeeds  # noqa: E402

pytestmark = pytest.mark.frameworks

theirs = torch.nn.init
KEY = gpuinit.Key(20261125).fold_in("twins")
DRAWING = [
    "uniform_",
    "normal_",
    "trunc_normal_",
    "xavier_uniform_",
    "xavier_normal_",
    "kaiming_uniform_",
    "kaiming_normal_",
    "orthogonal_",
    "sparse_",
]
FIXED = ["zeros_", "ones_", "constant_", "eye_", "dirac_"]
NEEDED = {"sparse_": {"sparsity": 0.25}, "constant_": {"val": 0.3}}
SHAPES = st.lists(st.integers(1, 9), min_size=2, max_size=5).map(tuple)
ANY_SHAPE = st.lists(st.integers(0, 7), max_size=4).map(tuple)


def empty(name: str = "normal_", dtype: Any = torch.float32) -> Any:
    """A tensor of ones that the function takes."""
    return torch.ones((4, 6, 3) if name == "dirac_" else (12, 5), dtype=dtype)


class Asked(torch.Tensor):
    """Tells what a function of torch.nn.init draws, rather than drawing."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    def uniform_(self, low: float, high: float, generator: Any = None) -> Any:
        self.law = ("uniform", low, high)
        return self

    def normal_(self, mean: float, std: float, generator: Any = None) -> Any:
        self.law = ("normal", mean, std)
        return self


def law(name: str, shape: tuple[int, ...], **arguments: Any) -> tuple[str, float, float]:
    """What PyTorch's function draws for a tensor of the shape."""
    tensor = torch.empty(shape).as_subclass(Asked)
    getattr(theirs, name)(tensor, **arguments)
    found: tuple[str, float, float] = tensor.law
    return found


def of_law(kind: str, a: float, b: float, shape: tuple[int, ...], dtype: str = "float32") -> bytes:
    """The core's bits of such a law."""
    init = gpuinit.RandomUniform(a, b, seed=KEY) if kind == "uniform" else gpuinit.RandomNormal(a, b, seed=KEY)
    made: bytes = init(shape, dtype).tobytes()
    return made


# Arguments.


@pytest.mark.parametrize("name", [*DRAWING, *FIXED])
def test_signatures(name: str) -> None:
    """PyTorch's parameters, in order, with its kinds and defaults; `seed=` behind them where values are drawn."""
    wanted = list(inspect.signature(getattr(theirs, name)).parameters.values())
    found = list(inspect.signature(getattr(ours, name)).parameters.values())
    assert [(p.name, p.kind, p.default) for p in found[: len(wanted)]] == [(p.name, p.kind, p.default) for p in wanted]
    assert [(p.name, p.kind, p.default) for p in found[len(wanted) :]] == (
        [("seed", inspect.Parameter.KEYWORD_ONLY, None)] if name in DRAWING else []
    )


def test_every_function_has_a_twin() -> None:
    """But for the deprecated names without an underscore."""
    names = {name for name in theirs.__all__ if name.endswith("_")} | {"calculate_gain"}
    assert names == {*DRAWING, *FIXED, "calculate_gain"}
    assert names <= set(ours.__all__)
    assert ours.calculate_gain is theirs.calculate_gain


# Laws.


@settings(max_examples=150, deadline=None)
@given(
    SHAPES, st.sampled_from(["xavier_uniform_", "xavier_normal_"]), st.floats(0.01, 10), st.sampled_from(["float32", "bfloat16"])
)
def test_xavier(shape: tuple[int, ...], name: str, gain: float, dtype: str) -> None:
    """To the bit what the core makes of the very law that PyTorch draws. Rejects fans of Keras' layout, (*kernel, in, out)."""
    tensor, _ = poisoned(shape, dtype)
    assert getattr(ours, name)(tensor, gain, seed=KEY) is tensor
    assert bits(tensor) == of_law(*law(name, shape, gain=gain), shape, dtype)


@settings(max_examples=200, deadline=None)
@given(
    SHAPES,
    st.sampled_from(["kaiming_uniform_", "kaiming_normal_"]),
    st.sampled_from([0, 0.2, math.sqrt(5), 3]),
    st.sampled_from(["fan_in", "fan_out", "FAN_OUT"]),
    st.sampled_from(["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]),
)
def test_kaiming(shape: tuple[int, ...], name: str, a: float, mode: str, nonlinearity: str) -> None:
    """As for Xavier's. Rejects fan_in for fan_out, a gain of another nonlinearity, a slope that is not used."""
    tensor, _ = poisoned(shape)
    getattr(ours, name)(tensor, a, mode, nonlinearity, seed=KEY)
    assert bits(tensor) == of_law(*law(name, shape, a=a, mode=mode, nonlinearity=nonlinearity), shape)


@settings(max_examples=100, deadline=None)
@given(ANY_SHAPE, st.floats(-3, 3), st.floats(0, 4), st.sampled_from(RANDOM))
def test_uniform_and_normal(shape: tuple[int, ...], a: float, width: float, dtype: str) -> None:
    assume(width == 0 or width > 1e-3)
    for name, second in (("uniform_", a + width), ("normal_", width)):
        init = gpuinit.RandomUniform(a, second, seed=KEY) if name == "uniform_" else gpuinit.RandomNormal(a, second, seed=KEY)
        tensor, _ = poisoned(shape, dtype)
        try:
            made = init(shape, dtype)
        except ValueError:  # fp8 has no value in the interval
            continue
        assert bits(getattr(ours, name)(tensor, a, second, seed=KEY)) == made.tobytes()


@pytest.mark.parametrize("name", ["xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_variance(name: str, dtype: Any) -> None:
    """E|x|^2 is 2 / (fan_in + fan_out), or 2 / fan_in for a = 0, in complex dtypes too.

    300,000 values, limit 5 sigma, false positives below 1e-5 in all (no 4th moment here is over 3 E|x|^2^2). Rejects, by 30 sigma
    and more: the other fan, the fans of Keras' layout, a law cut at 2 sigma and not widened (variance x .774), parts of full
    variance.
    """
    shape = (500, 20, 30)
    fan_in, fan_out = 20 * 30, 500 * 30
    keras_fan_in, keras_fan_out = 500 * 20, 500 * 30
    tensor = getattr(ours, name)(torch.empty(shape, dtype=dtype), seed=KEY)
    mean_square = float(tensor.abs().double().square().mean())

    def score(variance: float) -> float:
        return (mean_square / variance - 1) / math.sqrt(2 / tensor.numel())

    xavier = "xavier" in name
    right = 2 / (fan_in + fan_out) if xavier else 2 / fan_in
    other = [2 / (keras_fan_in + keras_fan_out), 1 / fan_in, 1 / fan_out] if xavier else [2 / keras_fan_in, 2 / fan_out]
    assert abs(score(right)) < 5
    for wrong in (*other, 0.774 * right, 2 * right):
        assert abs(score(wrong)) > 30


@settings(max_examples=60, deadline=None)
@given(
    SHAPES.filter(lambda shape: len(shape) < 5),
    st.sampled_from([1, 0.5, 2**0.5]),
    st.sampled_from(["float32", "float64", "bfloat16"]),
)
def test_orthogonal(shape: tuple[int, ...], gain: float, dtype: str) -> None:
    """A matrix of shape[0] rows, the rest flattened, as in PyTorch. Rejects Keras' matrix of prod(shape[:-1]) rows."""
    rows, columns = shape[0], math.prod(shape[1:])
    tensor, _ = poisoned(shape, dtype)
    ours.orthogonal_(tensor, gain, seed=KEY)
    assert bits(tensor) == gpuinit.Orthogonal(gain, seed=KEY)((rows, columns), dtype).tobytes()
    matrix = tensor.view(rows, columns).double() / gain
    gram = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    assert torch.allclose(gram, torch.eye(min(rows, columns), dtype=torch.float64), atol=0.05 if dtype == "bfloat16" else 2e-6)


def test_sparse() -> None:
    """The places of the zeros come from the seed; PyTorch's do not come from its `generator`."""
    tensor = ours.sparse_(torch.empty(50, 20), 0.33, 2.0, seed=KEY)
    assert bits(tensor) == gpuinit.Sparse(0.33, 2.0, seed=KEY)((50, 20)).tobytes()
    assert ((tensor == 0).sum(0) == math.ceil(0.33 * 50)).all()

    def twice(sparse: Any) -> list[bytes]:
        return [bits(sparse(torch.empty(50, 20), 0.33, generator=torch.Generator().manual_seed(1)) == 0) for _ in range(2)]

    assert len(set(twice(ours.sparse_))) == 1
    assert len(set(twice(theirs.sparse_))) == 2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "complex64", "int64", "uint8", "bool"])
def test_what_is_not_drawn_is_pytorchs(dtype: str) -> None:
    for shape in ((5, 3), (3, 5), (4, 4), (6, 2, 3), (6, 4, 4, 2), (6, 2, 1, 2, 3), (7,), ()):
        calls: list[tuple[str, tuple[Any, ...]]] = [("zeros_", ()), ("ones_", ()), ("constant_", (2.75,))]
        calls += [("eye_", ())] if len(shape) == 2 else []
        calls += [("dirac_", ()), ("dirac_", (3 if shape[0] == 6 else 2,))] if len(shape) > 2 else []
        for name, arguments in calls:
            ones, (tensor, _) = torch.ones(shape, dtype=getattr(torch, dtype)), poisoned(shape, dtype)
            assert getattr(ours, name)(tensor, *arguments) is tensor
            assert bits(tensor) == bits(getattr(theirs, name)(ones, *arguments)), (name, shape, arguments)


# Types, memory.


@pytest.mark.parametrize("dtype", RANDOM)
@pytest.mark.parametrize("identifier", ["he_normal", gpuinit.TruncatedNormal, {"class_name": "GlorotUniform"}, gpuinit.Zeros()])
def test_init_in_every_dtype(dtype: str, identifier: Any) -> None:
    tensor, _ = poisoned((8, 6), dtype)
    assert ours.init_(tensor, identifier, seed=KEY) is tensor
    array = gpuinit.Table((8, 6), identifier, dtype, seed=KEY).make()
    if identifier == "he_normal":  # fan_in is 6 here
        array = gpuinit.HeNormal(KEY, input_axes=[1], output_axes=[0])((8, 6), dtype)
    assert bits(tensor) == array.tobytes()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_hold_what_is_not_drawn(dtype: str) -> None:
    tensor, _ = poisoned((3, 3), dtype)
    assert bits(ours.init_(tensor, gpuinit.Identity())) == gpuinit.Identity()((3, 3), dtype).tobytes()
    poison(tensor)
    for name in DRAWING:
        with pytest.raises(ValueError, match=f"dtype={dtype}: .* draws random numbers and makes float16, float32"):
            getattr(ours, name)(tensor, **NEEDED.get(name, {}), seed=1)
    assert untouched(tensor.view(torch.uint8))


@settings(max_examples=150, deadline=None)
@given(
    st.data(),
    st.sampled_from(["normal", "orthogonal", "he_uniform", "sparse", "delta_orthogonal"]),
    st.sampled_from(["float32", "float16"]),
)
def test_strides(data: st.DataObject, name: str, dtype: str) -> None:
    """Axes in any order, elements apart, the first anywhere: each element by its logical index, and nothing else is written."""
    axes = data.draw(st.integers({"normal": 1, "delta_orthogonal": 3}.get(name, 2), 2 if name == "sparse" else 4))
    shape = tuple(data.draw(st.lists(st.integers(1, 6), min_size=axes, max_size=axes)))
    assume(name != "delta_orthogonal" or shape[1] <= shape[0])
    order = data.draw(st.permutations(range(axes)))
    steps = data.draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))
    init = gpuinit.Sparse(0.4) if name == "sparse" else name
    tensor, memory = poisoned(shape, dtype, order=order, steps=steps, offset=data.draw(st.integers(0, 5)))
    ours.init_(tensor, init, seed=KEY)
    assert bits(tensor) == bits(ours.init_(torch.empty(shape, dtype=tensor.dtype), init, seed=KEY))
    poison(tensor)
    assert untouched(memory)


def test_the_layout_of_a_convolution() -> None:
    """(out, in, *kernel): what Keras' layout makes of the same fans has another scale. Given axes are kept."""
    shape = (32, 8, 3, 5)
    found = ours.init_(torch.empty(shape), gpuinit.VarianceScaling(2.0, "fan_out", "untruncated_normal"), seed=KEY)
    assert bits(found) == gpuinit.RandomNormal(0.0, math.sqrt(2 / (32 * 15)), seed=KEY)(shape).tobytes()
    axes = gpuinit.VarianceScaling(2.0, "fan_out", "untruncated_normal", input_axes=[0], output_axes=[1, 3])
    assert bits(ours.init_(torch.empty(shape), axes, seed=KEY)) == bits(
        ours.normal_(torch.empty(shape), 0.0, math.sqrt(2 / 40), seed=KEY)
    )


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)])
def test_without_elements(shape: tuple[int, ...]) -> None:
    """Nothing to do and no seed drawn; a warning where PyTorch warns."""
    torch.manual_seed(3)
    state = torch.get_rng_state()
    for name in ("uniform_", "normal_", "trunc_normal_", "zeros_"):
        assert getattr(ours, name)(torch.empty(shape)).shape == shape
    if len(shape) > 1:
        for name in ("xavier_uniform_", "xavier_normal_", "orthogonal_"):
            getattr(ours, name)(torch.empty(shape))
    for name in ("kaiming_uniform_", "kaiming_normal_"):
        with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op") as ours_warned:
            getattr(ours, name)(torch.empty(shape))
        assert ours_warned[0].filename == __file__
    assert torch.equal(torch.get_rng_state(), state)


def test_a_scalar() -> None:
    assert bits(ours.normal_(torch.empty(()), seed=KEY)) == gpuinit.RandomNormal(0.0, 1.0, seed=KEY)(()).tobytes()


# Seeds.


def word(generator: Any = None) -> int:
    """The seed that a call draws, as docs/torch.md states it."""
    return int(torch.empty((), dtype=torch.int64).random_(-(2**63), None, generator=generator)) % 2**64


@pytest.mark.parametrize("name", DRAWING)
def test_one_seed_of_64_bits(name: str) -> None:
    """`torch.manual_seed` governs, `generator=` does, and both go on by exactly one word of 64 bits."""
    call = getattr(ours, name)
    torch.manual_seed(11)
    first, second = (bits(call(empty(), **NEEDED.get(name, {}))) for _ in range(2))
    state = torch.get_rng_state()
    torch.manual_seed(11)
    seeds = word(), word()
    assert torch.equal(torch.get_rng_state(), state)
    assert (first, second) == tuple(bits(call(empty(), **NEEDED.get(name, {}), seed=seed)) for seed in seeds)
    assert first != second
    generator = torch.Generator().manual_seed(11)
    assert bits(call(empty(), **NEEDED.get(name, {}), generator=generator)) == first
    assert torch.equal(torch.get_rng_state(), state)


def test_all_64_bits_are_drawn() -> None:
    """Of 200 seeds every bit is 0 and 1 somewhere (chance of failure 1e-58). Rejects 32, 53 or 63 bits, and a sign lost."""
    keys = [TorchSeeds(torch.Generator().manual_seed(seed)).next_key() for seed in range(200)]
    seeds = np.array([key.seed for key in keys], np.uint64)
    assert int(np.bitwise_or.reduce(seeds)) == 2**64 - 1 and int(np.bitwise_and.reduce(seeds)) == 0
    assert {key.stream for key in keys} == {0}


def test_what_seed_may_be() -> None:
    made = bits(ours.normal_(empty(), seed=5))
    generator = gpuinit.SeedGenerator(5)
    assert bits(ours.normal_(empty(), seed=gpuinit.Key(5))) == made
    assert bits(ours.normal_(empty(), seed=generator)) == made
    assert bits(ours.normal_(empty(), seed=generator)) == bits(ours.normal_(empty(), seed=gpuinit.Key(5).draw(1)))


def test_whose_seed_init_draws_from() -> None:
    """The argument's, else the instance's own, else PyTorch's, though an instance always has a seed that it drew for itself."""
    own, none = gpuinit.RandomNormal(seed=5), gpuinit.RandomNormal()
    assert bits(ours.init_(empty(), own, seed=9)) == bits(ours.init_(empty(), none, seed=9)) != bits(ours.init_(empty(), own))
    assert bits(ours.init_(empty(), own)) == gpuinit.RandomNormal(seed=5)((12, 5)).tobytes()
    torch.manual_seed(1)
    for seed in (word(torch.Generator().manual_seed(1)),):
        assert bits(ours.init_(empty(), none)) == bits(ours.init_(empty(), "random_normal", seed=seed))
    draws = gpuinit.RandomNormal(seed=gpuinit.SeedGenerator(5))
    assert bits(ours.init_(empty(), draws)) == bits(ours.init_(empty(), own)) != bits(ours.init_(empty(), draws))

    class Users(gpuinit.Initializer):
        def __init__(self, seed: Any = None) -> None:
            self.seed = seed

        def distribution(self, shape: tuple[int, ...]) -> Any:
            return gpuinit.distributions.Normal(0.0, 0.05)

    assert bits(ours.init_(empty(), Users(5))) == bits(ours.init_(empty(), own))
    torch.manual_seed(1)
    assert bits(ours.init_(empty(), Users())) == bits(ours.init_(empty(), own, seed=word(torch.Generator().manual_seed(1))))


WRONG: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    (
        "normal_",
        {"seed": 1, "generator": torch.Generator()},
        ValueError,
        r"seed=1 and generator=.*: values can be drawn from one",
    ),
    ("normal_", {"generator": 3}, TypeError, r"generator=3 is a int: it must be a torch\.Generator or None"),
    ("normal_", {"seed": -1}, ValueError, r"seed=-1 is out of range"),
    ("normal_", {"seed": 1.5}, ValueError, r"seed=1\.5 is not an integer, or None, a Key or a SeedGenerator"),
    ("normal_", {"std": -1.0}, ValueError, r"std=-1\.0: it must be >= 0"),
    ("normal_", {"mean": math.nan}, ValueError, "mean=nan"),
    ("uniform_", {"a": 2.0, "b": 1.0}, ValueError, r"a=2\.0 is greater than b=1\.0"),
    ("uniform_", {"b": math.inf}, ValueError, "b=inf: it must be finite"),
    ("trunc_normal_", {"std": 0.0}, ValueError, r"std=0\.0: it must be > 0"),
    ("trunc_normal_", {"a": 1.0, "b": -1.0}, ValueError, r"a=1\.0, b=-1\.0: a must be at most b"),
    ("trunc_normal_", {"a": "low"}, TypeError, "a='low' is a str: it must be a real number"),
    ("xavier_normal_", {"gain": -1.0}, ValueError, r"gain=-1\.0: it must be >= 0"),
    ("kaiming_normal_", {"mode": "fan_avg"}, ValueError, "mode='fan_avg': it must be 'fan_in' or 'fan_out'"),
    ("kaiming_normal_", {"nonlinearity": "gelu"}, ValueError, "Unsupported nonlinearity gelu"),
    ("orthogonal_", {"gain": math.inf}, ValueError, "gain=inf: it must be finite"),
    ("sparse_", {"sparsity": 1.5}, ValueError, r"sparsity=1\.5: it must be a fraction of zeros"),
    ("dirac_", {"groups": 3}, ValueError, "groups=3 does not divide the 4 output channels"),
    ("constant_", {"val": "one"}, TypeError, "value"),
]


@pytest.mark.parametrize(("name", "arguments", "error", "message"), WRONG)
def test_a_refused_call_draws_and_writes_nothing(name: str, arguments: dict[str, Any], error: Any, message: str) -> None:
    tensor, state = empty(name), torch.get_rng_state()
    with pytest.raises(error, match=message):
        getattr(ours, name)(tensor, **{**NEEDED.get(name, {}), **arguments})
    assert (tensor == 1).all() and tensor._version == 0 and torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", DRAWING)
def test_a_tensor_that_is_refused_costs_no_seed(name: str) -> None:
    generator = torch.Generator()
    state = generator.get_state()
    for tensor in (torch.ones(12, 5, device="meta"), torch.ones(1, 5).expand(12, 5), torch.ones(12, 5, dtype=torch.int8)):
        with pytest.raises(ValueError, match="materialize it first|overlaps itself|draws random numbers"):
            getattr(ours, name)(tensor, **NEEDED.get(name, {}), generator=generator)
    with pytest.raises(TypeError, match="tensor is a list"):
        getattr(ours, name)([1.0], **NEEDED.get(name, {}), generator=generator)
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize(
    "name", ["xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "orthogonal_", "sparse_", "eye_"]
)
def test_axes_are_missing_where_pytorch_says_so(name: str) -> None:
    for module in (theirs, ours):
        with pytest.raises(ValueError, match="dimensions|axes"):
            getattr(module, name)(torch.ones(3), **NEEDED.get(name, {}))
    for module in (theirs, ours) if name in ("sparse_", "eye_") else ():
        with pytest.raises(ValueError, match="dimensions|axes"):
            getattr(module, name)(torch.ones(3, 3, 3), **NEEDED.get(name, {}))


# Autograd.


def test_a_leaf_needs_no_outer_no_grad() -> None:
    """Changed once, still a leaf, and its gradient flows; as torch.nn.init does it."""
    for module in (theirs, ours):
        leaf = torch.nn.Parameter(torch.ones(4, 6))
        assert module.normal_(leaf) is leaf
        assert leaf._version == 1 and leaf.is_leaf and leaf.requires_grad and leaf.grad_fn is None
        (leaf * 3).sum().backward()
        assert (leaf.grad == 3).all()


@pytest.mark.parametrize("name", [*DRAWING, *FIXED])
def test_the_version_counts_one_change(name: str) -> None:
    """Of views and of what is written by a copy, too."""
    for tensor in (empty(name), empty(name).transpose(0, 1), empty(name)[:, ::2]):
        if name == "dirac_" and tensor.shape[0] % 2:
            continue
        getattr(ours, name)(tensor, **NEEDED.get(name, {}))
        assert tensor._version == 1
    kernel = torch.empty(3, 2, 2, 4).transpose(2, 3)
    assert ours.orthogonal_(kernel)._version == 1


@pytest.mark.parametrize("module", [theirs, ours])
def test_backward_sees_the_change(module: Any) -> None:
    leaf = torch.nn.Parameter(torch.ones(4, 6))
    view = leaf[1:]
    loss = (leaf**2).sum()
    module.normal_(view)
    assert leaf._version == 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_threads() -> None:
    """Eight threads at once, each with seeds of its own: the bits of one after the other."""

    def work(number: int) -> list[bytes]:
        return [bits(ours.init_(torch.empty(400, 300), "he_normal", seed=gpuinit.Key(number).fold_in(i))) for i in range(6)]

    found: dict[int, list[bytes]] = {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: work(n)})) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: work(number) for number in range(8)}


def test_of_a_dtype_chosen_by_torch() -> None:
    """No function warns or looks at defaults: a default device of meta draws its seed on the CPU."""
    tensor = empty()
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("error")
        ours.normal_(tensor)
        ours.init_(tensor, "orthogonal")
    assert dtypes.canonical(tensor.dtype) == np.float32

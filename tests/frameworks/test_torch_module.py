"""`init_module`: rules on names, a stream for each name, ties, padding, meta; and the names, whatever wraps a module."""

from __future__ import annotations

import re
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper  # noqa: E402
from torch_memory import bits  # noqa: E402

import gpuinit  # noqa: E402
from gpuinit.torch import InitReport, init_, init_module, qualified_names  # noqa: E402

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"),  # torch.compile loads it
]

RULES = {
    "*norm*": None,
    "embed.weight": "random_normal",
    "*.bias": "zeros",
    "*": gpuinit.VarianceScaling(1.0, "fan_in", "uniform"),
}


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)


class Model(nn.Module):
    """With a tied head, a padding row, and buffers (of batch norms)."""

    def __init__(self, blocks: int = 2, width: int = 6) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, width, padding_idx=4)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.head = nn.Linear(width, 11, bias=False)
        self.head.weight = self.embed.weight


def state(module: Any) -> dict[str, bytes]:
    return {name: bits(parameter) for name, parameter in qualified_names(module).items()}


def marked(module: Any) -> Any:
    """The module with ones everywhere."""
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.fill_(1)
    return module


def test_each_parameter_by_its_first_rule_and_its_name() -> None:
    """The stream is Key(seed).fold_in(name). Rejects one stream for all, and streams by number or by the rule."""
    model = marked(Model())
    report = init_module(model, RULES, 7)
    for name, parameter in model.named_parameters():
        key = gpuinit.Key(7).fold_in(name)
        expected = torch.ones_like(parameter)
        if name == "embed.weight":
            init_(expected, gpuinit.RandomNormal(), seed=key)[4] = 0
        elif name.endswith("bias") and "norm" not in name:
            expected.zero_()
        elif "norm" not in name:
            init_(expected, RULES["*"], seed=key)
        assert bits(parameter) == bits(expected), name
    assert all((buffer == 1).all() for buffer in model.buffers())
    assert report == InitReport(
        initialized={
            "embed.weight": "embed.weight",
            **{
                f"blocks.{i}.{of}.{what}": "*.bias" if what == "bias" else "*"
                for i in (0, 1)
                for of in ("up", "down")
                for what in ("weight", "bias")
            },
        },
        left={f"blocks.{i}.norm.{what}": "*norm*" for i in (0, 1) for what in ("weight", "bias")},
        tied={"embed.weight": ("head.weight",)},
    )
    assert list(report.initialized) == [name for name, _ in model.named_parameters() if "norm" not in name]


def test_weights_depend_on_nothing_else() -> None:
    """More blocks, another order of registration, other rules for others, a part of the module initialized by itself."""
    small, large = marked(Model()), marked(Model(blocks=5))
    init_module(small, RULES, 7)
    init_module(large, {**RULES, "*.bias": "ones"}, gpuinit.Key(7))
    found, other = state(small), state(large)
    assert all(found[name] == other[name] for name in found if not name.endswith("bias"))
    shuffled = nn.Module()
    for name in ("head", "blocks", "embed"):
        shuffled.add_module(name, getattr(marked(Model()), name))
    init_module(shuffled, {"embed.weight": "random_normal", "blocks.*": RULES["*"]}, 7)
    assert state(shuffled)["blocks.1.up.weight"] == found["blocks.1.up.weight"]
    assert state(shuffled)["embed.weight"] == found["embed.weight"]
    init_module(small, RULES, 8)
    assert state(small)["blocks.1.up.weight"] != found["blocks.1.up.weight"]


def test_wrappers_change_no_name() -> None:
    """Compiled, in checkpoints, both and in one another: the plain model's names and weights. Rejects names as they are."""
    plain = marked(Model())
    init_module(plain, RULES, 7)
    wrapped = marked(Model())
    wrapped.blocks[0] = torch.compile(checkpoint_wrapper(wrapped.blocks[0]))
    wrapped.blocks[1].up = checkpoint_wrapper(torch.compile(wrapped.blocks[1].up))
    assert any("_orig_mod" in name for name, _ in wrapped.named_parameters())
    for module in (wrapped, torch.compile(wrapped), checkpoint_wrapper(wrapped)):
        marked(module)
        assert list(qualified_names(module)) == list(qualified_names(plain))
        init_module(module, RULES, 7)
        assert state(module) == state(plain)


def test_names_of_wrappers_that_hide_a_name() -> None:
    module = nn.Module()
    module.weight, module._orig_mod = nn.Parameter(torch.ones(2)), nn.Module()
    module._orig_mod.weight = nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match=r"two parameters of the name 'weight' .* one is '_orig_mod\.weight': rename it"):
        qualified_names(module)
    with pytest.raises(TypeError, match=r"module is a list: it must be a torch\.nn\.Module"):
        qualified_names([module])
    data_parallel = nn.Module()
    data_parallel.module = nn.Linear(2, 2)  # DistributedDataParallel's attribute, which models use too
    assert list(qualified_names(data_parallel)) == ["module.weight", "module.bias"]


def test_patterns() -> None:
    """Globs match whole names, dots too, and mind case; compiled expressions match whole names; pairs serve as well as a dict."""
    layers = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    report = init_module(layers, [(re.compile(r"0\.\w+"), "zeros"), ("1.[bB]ias", "ones")], 0)
    assert report.initialized == {"0.weight": r"0\.\w+", "0.bias": r"0\.\w+", "1.bias": "1.[bB]ias"}
    assert report.unmatched == ("1.weight",)
    for pattern in (re.compile("weight"), "Weight", "weight", "*WEIGHT"):
        with pytest.raises(
            ValueError, match="matches no parameter that is left to it: the names are 0.weight, 0.bias, 1.weight, 1.bias"
        ):
            init_module(layers, [(pattern, "zeros")], 0)


def test_rules_that_give_nothing_are_errors() -> None:
    """A typing error, a rule behind one that takes all, the second name of a tied weight: each with its reason, all at once."""
    model = marked(Model())
    rules = [
        ("embed.*", "normal"),
        ("head.weight", "zeros"),
        ("blocks.*", None),
        ("blocks.0.up.weight", "ones"),
        ("layer.*", "ones"),
    ]
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        init_module(model, rules, 0)
    message = str(caught.value)
    assert "'head.weight' matches no parameter that is left to it: head.weight is tied to embed.weight" in message
    assert "'blocks.0.up.weight' matches no parameter that is left to it: blocks.0.up.weight is taken by 'blocks.*'" in message
    assert (
        "'layer.*' matches no parameter that is left to it: the names are embed.weight" in message and "strict=False" in message
    )
    assert all((parameter == 1).all() for parameter in model.parameters())
    report = init_module(model, rules, 0, strict=False)
    assert report.unused == ("head.weight", "blocks.0.up.weight", "layer.*")
    assert list(report.initialized) == ["embed.weight"]


def test_the_report_reads_well() -> None:
    text = repr(init_module(Model(5), [*[*RULES.items()][:3], ("nothing", "ones")], 7, strict=False))
    assert text.splitlines() == [
        "InitReport: 11 initialized, 10 left, 10 unmatched",
        "  'embed.weight': embed.weight",
        "  '*.bias': blocks.0.up.bias, blocks.0.down.bias, blocks.1.up.bias, blocks.1.down.bias, .. (10 in all)",
        "  left by '*norm*': blocks.0.norm.weight, blocks.0.norm.bias, blocks.1.norm.weight, blocks.1.norm.bias, .. (10 in all)",
        "  unmatched: blocks.0.up.weight, blocks.0.down.weight, blocks.1.up.weight, blocks.1.down.weight, .. (10 in all)",
        "  tied: embed.weight = head.weight",
        "  unused: 'nothing'",
    ]


def test_an_initializer_of_its_own_seed_keeps_it() -> None:
    """With the name folded in, so that the parameters of its rule differ; and `seed` does not matter then."""
    layers = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    for seed in (0, 1):
        init_module(layers, {"*": gpuinit.RandomNormal(seed=gpuinit.Key(5).fold_in("own"))}, seed)
        for name, parameter in layers.named_parameters():
            key = gpuinit.Key(5).fold_in("own").fold_in(name)
            assert bits(parameter) == gpuinit.RandomNormal(seed=key)(tuple(parameter.shape)).tobytes()


def test_padding_rows_are_zero() -> None:
    """Of bags, of a weight that two embeddings pad in different rows, of a constant; and where no rule speaks they stay."""
    model = nn.ModuleDict(
        {"bag": nn.EmbeddingBag(7, 3, padding_idx=6), "a": nn.Embedding(7, 3, padding_idx=0), "none": nn.Embedding(7, 3)}
    )
    model["b"] = nn.Embedding(7, 3, padding_idx=2)
    model["b"].weight = model["a"].weight
    marked(model)
    init_module(model, {"bag.*": None, "*": gpuinit.Constant(3.0)}, 0)
    assert (model["bag"].weight == 1).all() and (model["none"].weight == 3).all()
    assert [bool((row == 0).all()) for row in model["a"].weight] == [True, False, True, False, False, False, False]
    assert (model["a"].weight[[1, 3, 4, 5, 6]] == 3).all()
    init_module(model, {"bag.*": "ones"}, 0)
    assert (model["bag"].weight[:6] == 1).all() and (model["bag"].weight[6] == 0).all()


def test_from_meta_to_weights() -> None:
    """Built without memory, materialized, initialized: the weights of the model that was built with memory."""
    with torch.device("meta"):
        model = Model()
    with pytest.raises(
        ValueError, match=r"parameters on the meta device: embed\.weight, blocks.* \(9 in all\); materialize the module first"
    ):
        init_module(model, {**RULES, "*norm*": None}, 7)
    model.to_empty(device="cpu")
    model.head.weight = model.embed.weight  # to_empty unties, as all moves from meta do
    plain = Model()
    init_module(model, {**RULES, "*norm*": "ones"}, 7)
    init_module(plain, {**RULES, "*norm*": "ones"}, 7)
    assert state(model) == state(plain)


def test_meta_parameters_that_no_rule_fills_are_left_there() -> None:
    layers = nn.ModuleDict({"here": nn.Linear(2, 2), "there": nn.Linear(2, 2, device="meta")})
    report = init_module(layers, {"here.*": "ones", "there.bias": None}, 0)
    assert report.unmatched == ("there.weight",) and layers["there"].weight.is_meta


class CallAlone(gpuinit.RandomNormal):
    """Nobody knows what parts of it are, or what it makes in place."""

    def __call__(self, shape: Any, dtype: Any = None, **options: Any) -> Any:
        return super().__call__(shape, dtype)


WRONG: list[tuple[Any, Any, type[Exception], str]] = [
    ("he_normal", 0, TypeError, "rules is a str: it must be a mapping, or a sequence of"),
    (3, 0, TypeError, "rules is a int"),
    ([("*",)], 0, TypeError, r"rules\[0\]=\('\*',\): it must be a pair"),
    ([(3, "zeros")], 0, TypeError, r"rules\[0\]: pattern 3 must be a string"),
    ([(re.compile(b"x"), "zeros")], 0, TypeError, r"rules\[0\]: pattern .* must be a string"),
    ({"*": "he_norm"}, 0, ValueError, r"rules\[0\], '\*': initializer='he_norm'"),
    ({"*": nn.init.zeros_}, 0, TypeError, r"rules\[0\], '\*': initializer=<function zeros_ .* must be an initializer's name"),
    ({"*": gpuinit.RandomNormal(seed=gpuinit.SeedGenerator(1))}, 0, ValueError, r"rules\[0\], '\*': .* has a SeedGenerator"),
    ({"*": "normal"}, None, ValueError, "seed=None is not an integer"),
    ({"*": "normal"}, gpuinit.SeedGenerator(1), ValueError, r"seed=SeedGenerator\(.* draws a new key at every use"),
    ({"*": "normal"}, -3, ValueError, "seed=-3 is out of range"),
    ({"embed.weight": "normal", "*": CallAlone()}, 0, TypeError, r"parameter 'blocks\.0.*: CallAlone overrides __call__ alone"),
    (
        {"embed.weight": "normal", "*.up.bias": "orthogonal"},
        0,
        ValueError,
        r"parameter 'blocks\.0\.up\.bias': shape=\(12,\) has 1 axes",
    ),
    ({"*": gpuinit.Constant(1e300)}, 0, ValueError, r"parameter 'embed\.weight': .*float32 cannot hold"),
    ({"embed.weight": "normal", "blocks.*": gpuinit.STFT()}, 0, ValueError, r"parameter 'blocks\.0\.norm\.weight': shape"),
]


@pytest.mark.parametrize(("rules", "seed", "error", "message"), WRONG)
def test_nothing_is_written_before_everything_is_checked(rules: Any, seed: Any, error: type[Exception], message: str) -> None:
    model = marked(Model())
    versions = [parameter._version for parameter in model.parameters()]
    with pytest.raises(error, match=message):
        init_module(model, rules, seed)
    assert all((parameter == 1).all() for parameter in model.parameters())
    assert versions == [parameter._version for parameter in model.parameters()]


def test_what_cannot_be_filled_is_named() -> None:
    layers = marked(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)))
    layers[1].bias = nn.Parameter(torch.ones(1).expand(3))
    with pytest.raises(ValueError, match=r"parameter '1\.bias' overlaps itself"):
        init_module(layers, {"*": "normal"}, 0)
    layers[1].bias = nn.Parameter(torch.ones(3, dtype=torch.int32), requires_grad=False)
    with pytest.raises(ValueError, match=r"parameter '1\.bias': dtype=int32: RandomNormal draws random numbers"):
        init_module(layers, {"*": "normal"}, 0)
    assert (layers[0].weight == 1).all()
    layers[1].bias = nn.LazyLinear(3).bias
    with pytest.raises(ValueError, match=r"parameter '1\.bias' is a lazy parameter"):
        init_module(layers, {"*": "normal"}, 0)


def test_frozen_and_half_precision_parameters() -> None:
    model = Model().to(torch.bfloat16).requires_grad_(False)
    init_module(model, RULES, 7)
    weight = model.blocks[0].up.weight
    key = gpuinit.Key(7).fold_in("blocks.0.up.weight")
    assert bits(weight) == gpuinit.VarianceScaling(1.0, "fan_in", "uniform", key, [1], [0])((12, 6), "bfloat16").tobytes()
    assert not weight.requires_grad and not hasattr(weight, "_is_hf_initialized")
    assert not vars(weight)

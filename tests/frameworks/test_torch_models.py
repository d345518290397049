"""Real models inside accelerate: every parameter has the law that plain PyTorch gives it, and the same bits at every run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from gpuinit.torch import accelerate  # noqa: E402

pytestmark = pytest.mark.frameworks


def gpt2() -> Any:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=499, n_positions=130, n_embd=64, n_layer=2, n_head=4, bos_token_id=None, eos_token_id=None
    )
    return transformers.GPT2LMHeadModel(config)


def vit() -> Any:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=150, image_size=64
    )
    return transformers.ViTForImageClassification(config)


def llama() -> Any:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=499, hidden_size=64, intermediate_size=150, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
    )
    return transformers.LlamaForCausalLM(config)


def bert() -> Any:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=499, hidden_size=64, intermediate_size=150, num_hidden_layers=2, num_attention_heads=4
    )
    return transformers.BertForMaskedLM(config)


BUILDS: dict[str, Callable[[], Any]] = {
    "GPT-2": gpt2,
    "ViT": vit,
    "Llama": llama,
    "BERT": bert,
    "Linear": lambda: nn.Linear(120, 90),
    "LazyLinear": lambda: nn.Sequential(nn.LazyLinear(90), nn.Flatten()),
    "Bilinear": lambda: nn.Bilinear(30, 20, 25),
    "Embedding": lambda: nn.Embedding(150, 60, padding_idx=3),
    "EmbeddingBag": lambda: nn.EmbeddingBag(150, 60),
    "LSTM": lambda: nn.LSTM(40, 50, num_layers=2, bidirectional=True, proj_size=20),
    "GRU": lambda: nn.GRU(40, 50, num_layers=2),
    "RNN": lambda: nn.RNN(40, 50),
    "LSTMCell": lambda: nn.LSTMCell(40, 50),
    "MultiheadAttention": lambda: nn.MultiheadAttention(80, 4, kdim=40, vdim=60, add_bias_kv=True),
    "MultiheadAttention of one": lambda: nn.MultiheadAttention(80, 4),
    "TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(80, 4, 200, batch_first=True),
    "Transformer": lambda: nn.Transformer(48, 4, 2, 2, 96, batch_first=True),
    "BatchNorm": lambda: nn.BatchNorm2d(30),
    "LayerNorm": lambda: nn.LayerNorm(30),
    "PReLU": lambda: nn.PReLU(30),
    "AdaptiveLogSoftmax": lambda: nn.AdaptiveLogSoftmaxWithLoss(40, 200, [50, 120]),
    **{f"Conv{n}d": lambda n=n: getattr(nn, f"Conv{n}d")(24, 30, 3) for n in (1, 2, 3)},
    **{f"ConvTranspose{n}d": lambda n=n: getattr(nn, f"ConvTranspose{n}d")(24, 30, 3) for n in (1, 2, 3)},
}


def build(name: str) -> Any:
    model = BUILDS[name]()
    if name == "LazyLinear":
        model(torch.zeros(2, 120))
    return model


def ours(name: str, seed: int) -> dict[str, Any]:
    with accelerate(seed):
        model = build(name)
    return {key: value.detach().double() for key, value in model.state_dict().items() if value.is_floating_point()}


def theirs(name: str, seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    return {key: value.detach().double() for key, value in build(name).state_dict().items() if value.is_floating_point()}


def kolmogorov(a: Any, b: Any) -> float:
    """The two-sample Kolmogorov-Smirnov distance times sqrt(n m / (n + m)): above 2.9 with probability 1e-7 if the laws agree."""
    values = torch.cat([a, b])
    order = values.argsort()
    steps = torch.cat([torch.full_like(a, 1 / len(a)), torch.full_like(b, -1 / len(b))])[order]
    ends = torch.cat([values[order][1:] != values[order][:-1], torch.tensor([True])])
    return float(steps.cumsum(0)[ends].abs().max()) * math.sqrt(len(a) * len(b) / (len(a) + len(b)))


FAR = 2.9


@pytest.mark.parametrize("name", BUILDS)
def test_parameters_have_pytorchs_laws(name: str) -> None:
    """Each parameter against plain PyTorch's: the same constants; random ones by two-sample Kolmogorov-Smirnov, of five seeds.

    At 1e-7 a comparison, of which there are about 300: false alarms 3e-5. In 50,000 values it finds a standard deviation that is
    off by 10 %, fan_out for fan_in, a uniform in place of a normal (`test_wrong_laws_are_found`).
    """
    samples = [[maker(name, seed) for seed in range(5)] for maker in (ours, theirs)]
    assert samples[0][0].keys() == samples[1][0].keys()
    for key in samples[0][0]:
        mine, peers = (torch.cat([sample[key].flatten() for sample in each]) for each in samples)
        if torch.equal(samples[1][0][key], samples[1][1][key]):
            assert torch.equal(mine, peers), f"{key} is a constant"
            continue
        assert len(mine.unique()) > 0.9 * len(mine) - 200, f"{key} repeats values"
        assert kolmogorov(mine, peers) < FAR, key
        assert mine.min() >= 1.5 * peers.min() - peers.std() and mine.max() <= 1.5 * peers.max() + peers.std(), key


def test_wrong_laws_are_found() -> None:
    """What the test above rejects, at the size of a small layer (five times 10,800 values)."""
    torch.manual_seed(1)
    peers = torch.empty(54_000).uniform_(-(90**-0.5), 90**-0.5).double()
    right = torch.empty(54_000).uniform_(-(90**-0.5), 90**-0.5).double()
    fan_out = torch.empty(54_000).uniform_(-(120**-0.5), 120**-0.5).double()
    wider = 1.1 * right
    normal = torch.empty(54_000).normal_(0, (270**-0.5)).double()
    assert kolmogorov(right, peers) < FAR
    assert min(kolmogorov(wrong, peers) for wrong in (fan_out, wider, normal)) > 1.5 * FAR


@pytest.mark.parametrize("name", BUILDS)
def test_runs_repeat_and_seeds_differ(name: str) -> None:
    """Whatever state PyTorch's generator is in, so no weight is left to it; another seed changes all that is random."""
    made = []
    for state, seed in ((1, 3), (2, 3), (1, 4)):
        torch.manual_seed(state)
        made.append(ours(name, seed))
    first, again, other = made
    assert all(torch.equal(first[key], again[key]) for key in first)
    plain, more = theirs(name, 0), theirs(name, 1)
    assert {key for key in first if torch.equal(first[key], other[key])} == {
        key for key in first if torch.equal(plain[key], more[key])
    }


def test_truncated_normals_of_vit() -> None:
    """As its own code asks for them: std 0.02 cut at +-2 absolute, so not cut in effect; plain normals would be those, so the
    bits tell which they are."""
    import gpuinit
    from gpuinit.torch import as_tensor

    calls = gpuinit.Key(3).fold_in("calls of gpuinit.torch.accelerate")
    with accelerate(3):
        model = vit()
    token = model.vit.embeddings.cls_token.detach()
    law = gpuinit.TruncatedNormal(0.0, 0.02, lower=-100.0, upper=100.0)
    made = [as_tensor(type(law)(0.0, 0.02, calls.draw(n), -100.0, 100.0)(tuple(token.shape), "float32")) for n in range(200)]
    assert sum(torch.equal(token, each) for each in made) == 1

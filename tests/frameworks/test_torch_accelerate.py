"""accelerate: what it takes over and with which bits, what it leaves alone, and that nothing outside of it changes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from conftest import POISON

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack  # noqa: E402

import gpuinit  # noqa: E402
import gpuinit.torch.tensors  # noqa: E402
from gpuinit import Key  # noqa: E402
from gpuinit.torch import accelerate  # noqa: E402

pytestmark = pytest.mark.frameworks

CALLS = Key(7).fold_in("calls of gpuinit.torch.accelerate")
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """After every test, those with exceptions and threads too, PyTorch is as it was."""
    before = dict(vars(torch.nn.init)), torch.Tensor.normal_, torch.Tensor.uniform_
    yield
    assert (dict(vars(torch.nn.init)), torch.Tensor.normal_, torch.Tensor.uniform_) == before
    assert _get_current_dispatch_mode_stack() == []
    torch.manual_seed(5)
    drawn = torch.empty(9).normal_(), torch.nn.init.trunc_normal_(torch.empty(9))
    torch.manual_seed(5)
    assert torch.equal(drawn[0], torch.randn(9)), "normal_ is not PyTorch's any more"


def poisoned(*shape: int, dtype: Any = torch.float32) -> Any:
    out = torch.empty(shape, dtype=dtype)
    out.view(torch.uint8).fill_(POISON) if out.ndim else out.fill_(-77)
    return out


def made(initializer: Any, key: Key, shape: tuple[int, ...], dtype: Any = torch.float32) -> Any:
    """What the core makes, as a tensor."""
    return gpuinit.torch.tensors.as_tensor(type(initializer).from_config({**initializer.get_config(), "seed": key})(shape, dtype))


NORMAL = gpuinit.RandomNormal
UNIFORM = gpuinit.RandomUniform

CASES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "normal_": (lambda t: t.normal_(), NORMAL(0.0, 1.0)),
    "normal_ by position": (lambda t: t.normal_(0.5, 0.02), NORMAL(0.5, 0.02)),
    "normal_ by name": (lambda t: t.normal_(std=0.02, mean=0.5), NORMAL(0.5, 0.02)),
    "normal_ of integers": (lambda t: t.normal_(1, 2, generator=None), NORMAL(1.0, 2.0)),
    "uniform_": (lambda t: t.uniform_(), UNIFORM(0.0, 1.0)),
    "uniform_ by position": (lambda t: t.uniform_(-0.25, 0.5), UNIFORM(-0.25, 0.5)),
    "uniform_ by name": (lambda t: t.uniform_(to=0.5, **{"from": -0.25}), UNIFORM(-0.25, 0.5)),
    "init.normal_": (lambda t: torch.nn.init.normal_(t, 0.5, 0.02), NORMAL(0.5, 0.02)),
    "init.uniform_": (lambda t: torch.nn.init.uniform_(t, -0.25, 0.5), UNIFORM(-0.25, 0.5)),
    "init.kaiming_uniform_": (lambda t: torch.nn.init.kaiming_uniform_(t, a=5**0.5), UNIFORM(-((1 / 6) ** 0.5), (1 / 6) ** 0.5)),
    "init.kaiming_normal_": (lambda t: torch.nn.init.kaiming_normal_(t, nonlinearity="relu"), NORMAL(0.0, (2 / 6) ** 0.5)),
    "init.xavier_normal_": (lambda t: torch.nn.init.xavier_normal_(t), NORMAL(0.0, (2 / 11) ** 0.5)),
    "init.trunc_normal_": (lambda t: torch.nn.init.trunc_normal_(t), gpuinit.TruncatedNormal(0.0, 1.0)),
    "init.trunc_normal_ of its own": (
        lambda t: torch.nn.init.trunc_normal_(t, 1.0, 0.5, 0.0, b=3.0),
        gpuinit.TruncatedNormal(1.0, 0.5, lower=-2.0, upper=4.0),
    ),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", CASES)
def test_values_are_the_cores(name: str, dtype: Any) -> None:
    """Each call draws the next number; the same tensor comes back, its version counter has gone on by one."""
    call, initializer = CASES[name]
    out = [poisoned(5, 6, dtype=dtype) for _ in range(3)]
    versions = [tensor._version for tensor in out]
    with accelerate(7):
        assert all(call(tensor) is tensor for tensor in out)
    for number, tensor in enumerate(out):
        expected = made(initializer, CALLS.draw(number), (5, 6), dtype)
        if "kaiming" in name or "xavier" in name:  # their scale is computed in another order of roundings
            torch.testing.assert_close(tensor, expected, rtol=4 * torch.finfo(dtype).eps, atol=0)
        else:
            assert torch.equal(tensor, expected)
    assert [tensor._version - before for tensor, before in zip(out, versions, strict=True)] == [1, 1, 1]


@pytest.mark.parametrize("name", ["normal_", "uniform_", "init.normal_"])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex(name: str, dtype: Any) -> None:
    call, initializer = CASES[name]
    out = torch.zeros(5, 6, dtype=dtype)
    with accelerate(7):
        call(out)
    assert torch.equal(out, made(initializer, CALLS, (5, 6), dtype))


def test_strides_and_what_lies_between() -> None:
    memory = poisoned(14, 10)
    with accelerate(7):
        memory[::2, 1:-1].T.normal_()
    assert torch.equal(memory[::2, 1:-1].T, made(NORMAL(0.0, 1.0), CALLS, (8, 7)))
    memory[::2, 1:-1] = poisoned(7, 8)
    assert torch.equal(memory.view(torch.uint8), poisoned(14, 10).view(torch.uint8))


@pytest.mark.parametrize("a", [-2.0, 0.1, 1 / 3, -1e-3, 2.0**-30])
@pytest.mark.parametrize("dtype", FLOATS)
def test_truncated_values_stay_inside(a: float, dtype: Any) -> None:
    """As the bounds are given, not as (a - mean) / std gives them back; the values fill at least 95 % of the interval."""
    out = torch.empty(40_000, dtype=dtype)
    for mean, std in ((0.1, 0.3), (a, 1.0), (-0.7, 1.1)):
        with accelerate(7):
            torch.nn.init.trunc_normal_(out, mean, std, a, a + 0.2)
        values = out.double()
        assert values.min() >= a and values.max() <= a + 0.2
        assert values.max() - values.min() >= 0.19


@pytest.mark.parametrize("seed", [7, Key(7), np.int64(7)])
def test_seeds(seed: Any) -> None:
    with accelerate(seed):
        out = torch.empty(4, 5).normal_()
    assert torch.equal(out, made(NORMAL(0.0, 1.0), CALLS, (4, 5)))


def test_without_a_seed_manual_seed_governs() -> None:
    def drawn(seed: int) -> Any:
        torch.manual_seed(seed)
        out = torch.empty(2, 20)
        for row in out:
            with accelerate():
                row.normal_()
        return out

    first = drawn(1)
    assert torch.equal(first, drawn(1)) and not torch.equal(first, drawn(2))
    assert not torch.equal(first[0], first[1]), "each entering draws a seed of its own"


def test_every_entering_begins_anew() -> None:
    @accelerate(7)
    def build(size: int, *, more: int = 0) -> Any:
        """Builds."""
        return torch.empty(size + more).normal_()

    assert build.__name__ == "build" and build.__doc__ == "Builds."
    assert torch.equal(build(9), build(4, more=5)) and torch.equal(build(9), made(NORMAL(0.0, 1.0), CALLS, (9,)))


def test_what_runs_in_steps_is_not_decorated() -> None:
    def steps() -> Any:
        yield

    async def coroutine() -> None: ...

    async def both() -> Any:
        yield

    for function in (steps, coroutine, both):
        with pytest.raises(TypeError, match=r"runs in steps.*use `with accelerate"):
            accelerate(7)(function)
    for other in (torch.nn.Linear, 3):
        with pytest.raises(TypeError, match="is not a function: decorate what makes the model"):
            accelerate(7)(other)  # type: ignore[type-var]


def test_bad_arguments() -> None:
    for seed in (-1, 2**64, 1.5, True, "7", gpuinit.SeedGenerator(1)):
        with pytest.raises((TypeError, ValueError), match="seed="):
            accelerate(seed)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"module is a list: it must be a torch\.nn\.Module or None"):
        accelerate(7, module=[])  # type: ignore[arg-type]


def as_without(call: Callable[[], Any]) -> None:
    """Inside, a call gives what it gives outside: the same bits from PyTorch's generator, or the same error."""
    results = []
    for context in (None, accelerate(7)):
        torch.manual_seed(3)
        try:
            if context is None:
                result = call()
            else:
                with context:
                    result = call()
        except Exception as error:
            results.append((type(error), str(error)))
        else:
            results.append(result)
    outside, inside = results
    if isinstance(outside, torch.Tensor) and not outside.is_meta and outside.layout == torch.strided:
        assert torch.equal(inside, outside)
    elif isinstance(outside, torch.Tensor):
        assert (inside.shape, inside.device, inside.layout) == (outside.shape, outside.device, outside.layout)
    else:
        assert inside == outside


def generator() -> Any:
    return torch.Generator().manual_seed(11)


LEFT: dict[str, Callable[[], Any]] = {
    "normal_ with a generator": lambda: torch.empty(9).normal_(generator=generator()),
    "uniform_ with a generator": lambda: torch.nn.init.uniform_(torch.empty(9), generator=generator()),
    "trunc_normal_ with a generator": lambda: torch.nn.init.trunc_normal_(torch.empty(99), generator=generator()),
    "randn": lambda: torch.randn(9),
    "rand": lambda: torch.rand(9),
    "randn_like": lambda: torch.randn_like(torch.empty(9)),
    "torch.normal": lambda: torch.normal(0.0, 1.0, (9,)),
    "randperm": lambda: torch.randperm(9),
    "exponential_": lambda: torch.empty(9).exponential_(),
    "bernoulli_": lambda: torch.empty(9).bernoulli_(),
    "dropout": lambda: torch.nn.functional.dropout(torch.ones(99)),
    "integers, normal_": lambda: torch.empty(9, dtype=torch.int64).normal_(),
    "integers, uniform_": lambda: torch.empty(9, dtype=torch.int64).uniform_(),
    "integers, random_": lambda: torch.empty(9, dtype=torch.int64).random_(),
    "bool": lambda: torch.empty(9, dtype=torch.bool).normal_(),
    "complex32": lambda: torch.empty(9, dtype=torch.complex32).normal_().view(torch.float16),
    "meta, normal_": lambda: torch.empty(9, device="meta").normal_(),
    "meta, trunc_normal_": lambda: torch.nn.init.trunc_normal_(torch.empty(9, device="meta")),
    "sparse": lambda: torch.eye(3).to_sparse().normal_(),
    "expanded": lambda: torch.empty(1).expand(9).normal_(),
    "expanded, trunc_normal_": lambda: torch.nn.init.trunc_normal_(torch.empty(1).expand(9)),
    "negative std": lambda: torch.empty(9).normal_(0.0, -1.0),
    "nan": lambda: torch.empty(9).normal_(0.0, float("inf")).isnan(),
    "from above to": lambda: torch.empty(9).uniform_(1.0, 0.0),
    "beyond the dtype": lambda: torch.empty(9, dtype=torch.float16).uniform_(0.0, 1e6),
    "std 0, trunc_normal_": lambda: torch.nn.init.trunc_normal_(torch.empty(9), std=0.0),
    "a leaf that requires grad": lambda: torch.empty(9, requires_grad=True).normal_(),
    "a view of one": lambda: torch.empty(9, requires_grad=True)[:4].uniform_(),
    "too many arguments": lambda: torch.empty(9).normal_(0.0, 1.0, 2.0),
    "a complex mean": lambda: torch.empty(9, dtype=torch.complex64).normal_(1j),
    "inference tensor": lambda: inference_tensor().normal_(),
    "inference tensor, trunc_normal_": lambda: torch.nn.init.trunc_normal_(inference_tensor()),
    "vmap that allows no randomness": lambda: torch.func.vmap(lambda row: row.normal_())(torch.zeros(3, 4)),
}


def inference_tensor() -> Any:
    with torch.inference_mode():
        return torch.empty(9)


@pytest.mark.parametrize("name", LEFT)
@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental:UserWarning")
def test_what_is_pytorchs_stays_pytorchs(name: str) -> None:
    as_without(LEFT[name])


def test_calls_that_are_left_draw_no_number() -> None:
    with accelerate(7):
        for call in LEFT.values():
            try:
                call()
            except Exception:
                continue
        torch.empty(0).normal_()
        out = torch.empty(9).normal_()
    [number] = [n for n in range(60) if torch.equal(out, made(NORMAL(0.0, 1.0), CALLS.draw(n), (9,)))]
    assert number == 0


def test_autograd_is_as_outside() -> None:
    """A change in place is recorded, and backward raises where what was there before is needed, as by PyTorch's own call."""
    for context in (None, accelerate(7)):
        leaf = torch.ones(4, requires_grad=True)
        squared = leaf * 2
        needed = squared * squared
        if context is None:
            squared.normal_()
        else:
            with context:
                squared.normal_()
        assert squared.grad_fn.name() == "NormalBackward0"
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            needed.sum().backward()
        squared.sum().backward()
        assert torch.equal(leaf.grad, torch.zeros(4))


def test_inference_mode() -> None:
    with torch.inference_mode(), accelerate(7):
        out = [torch.empty(9).normal_(), torch.nn.init.trunc_normal_(torch.empty(9))]
    assert torch.equal(out[0].clone(), made(NORMAL(0.0, 1.0), CALLS, (9,)))
    assert torch.equal(out[1].clone(), made(gpuinit.TruncatedNormal(0.0, 1.0), CALLS.draw(1), (9,)))


def test_subclasses() -> None:
    """One that adds a name alone is a tensor; one that has a dispatch of its own is left to that."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    class Named(torch.Tensor):
        pass

    with accelerate(7):
        for kind in (Named, torch.nn.Parameter, torch.nn.Buffer):
            torch.nn.init.normal_(torch.empty(9).as_subclass(Named) if kind is Named else kind(torch.empty(9)))
        with FakeTensorMode() as fake:
            assert type(torch.nn.init.normal_(torch.empty(9))) is type(fake.from_tensor(torch.empty(1)))
        after = torch.empty(9).normal_()
    assert torch.equal(after, made(NORMAL(0.0, 1.0), CALLS.draw(3), (9,)))
    with FakeTensorMode(), accelerate(7):
        assert torch.empty(9).normal_().shape == (9,)


def test_other_modes_above_and_below() -> None:
    class Counts(TorchDispatchMode):
        calls = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.calls += func is torch.ops.aten.normal_.default
            return func(*args, **(kwargs or {}))

    expected = made(NORMAL(0.0, 1.0), CALLS, (9,))
    with accelerate(7), Counts() as counts:
        assert torch.equal(torch.empty(9).normal_(), expected) and counts.calls == 1
    with Counts() as counts, accelerate(7):
        assert torch.equal(torch.empty(9).normal_(), expected) and counts.calls == 0
    with torch.device("meta"), accelerate(7):
        assert torch.nn.Linear(3, 4).weight.is_meta
        assert torch.equal(torch.empty(9, device="cpu").normal_(), expected)


def test_nested_contexts() -> None:
    outer, inner = Key(1).fold_in("calls of gpuinit.torch.accelerate"), CALLS
    with accelerate(1):
        out = [torch.empty(9).normal_()]
        with accelerate(7):
            out += [torch.empty(9).normal_(), torch.empty(9).normal_(generator=generator())]
        out.append(torch.empty(9).normal_())
    for tensor, key in zip((out[0], out[1], out[3]), (outer, inner, outer.draw(1)), strict=True):
        assert torch.equal(tensor, made(NORMAL(0.0, 1.0), key, (9,)))
    assert torch.equal(out[2], torch.empty(9).normal_(generator=generator()))


def test_one_object_inside_itself() -> None:
    context = accelerate(7)
    with context:
        first = torch.empty(9).normal_()
        with context:
            again = torch.empty(9).normal_()
        second = torch.empty(9).normal_()
    assert torch.equal(first, again) and torch.equal(second, made(NORMAL(0.0, 1.0), CALLS.draw(1), (9,)))
    with pytest.raises(RuntimeError, match="is being left, and was not entered"):
        context.__exit__(None, None, None)


def test_exceptions_leave_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError), accelerate(7), accelerate(8):
        torch.nn.init.trunc_normal_(torch.empty(3), std=0.0)
    with pytest.raises(KeyError), accelerate(7):
        raise KeyError


def test_left_in_the_wrong_order() -> None:
    """A generator that is closed late leaves from the middle of the stack; the modes above stay."""
    first, second = accelerate(1), accelerate(7)
    with torch.utils._python_dispatch.TorchDispatchMode.__new__(_Passing) as passing:
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.equal(torch.empty(9).normal_(), made(NORMAL(0.0, 1.0), CALLS, (9,)))
        with _Passing() as above:
            second.__exit__(None, None, None)
            assert _get_current_dispatch_mode_stack() == [passing, above]


class _Passing(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def in_thread(function: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def test_other_threads_are_as_before() -> None:
    def drawn() -> list[Any]:
        torch.manual_seed(3)
        return [torch.empty(9).normal_(), torch.nn.init.trunc_normal_(torch.empty(9)), torch.nn.Linear(3, 4).weight]

    expected = drawn()
    with accelerate(7):
        found = in_thread(drawn)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_threads_enter_and_leave_in_any_order() -> None:
    """Each has its own streams, and the last one that leaves, first or not, takes the patch away."""
    steps = [threading.Event() for _ in range(4)]
    results: dict[str, Any] = {}

    def one() -> None:
        with accelerate(1):
            steps[0].set()
            assert steps[1].wait(30)
            results["one"] = torch.nn.init.trunc_normal_(torch.empty(9))
        steps[2].set()

    def two() -> None:
        assert steps[0].wait(30)
        with accelerate(7):
            steps[1].set()
            assert steps[2].wait(30)
            results["two"] = torch.nn.init.trunc_normal_(torch.empty(9))

    threads = [threading.Thread(target=each) for each in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, key in (("one", Key(1).fold_in("calls of gpuinit.torch.accelerate")), ("two", CALLS)):
        assert torch.equal(results[name], made(gpuinit.TruncatedNormal(0.0, 1.0), key, (9,)))


def test_left_in_another_thread() -> None:
    context = accelerate(7)

    def enters() -> Any:
        context.__enter__()
        before = torch.empty(9).normal_()
        with pytest.raises(RuntimeError, match="left in another thread than it was entered in"):
            in_thread_raising(lambda: context.__exit__(None, None, None))
        torch.manual_seed(3)
        return before, torch.empty(9).normal_()

    before, after = in_thread(enters)
    torch.manual_seed(3)
    assert torch.equal(before, made(NORMAL(0.0, 1.0), CALLS, (9,))) and torch.equal(after, torch.empty(9).normal_())


def in_thread_raising(function: Callable[[], Any]) -> None:
    errors: list[BaseException] = []

    def caught() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    in_thread(caught)
    if errors:
        raise errors[0]


def test_tasks_of_one_thread() -> None:
    """While a task that is inside awaits, others draw as before; two that are inside have streams of their own."""

    async def inside(seed: int, turn: asyncio.Barrier) -> Any:
        with accelerate(seed):
            await turn.wait()
            first = torch.empty(9).normal_()
            await turn.wait()
            return first, torch.nn.init.trunc_normal_(torch.empty(9))

    async def outside(turn: asyncio.Barrier) -> Any:
        await turn.wait()
        torch.manual_seed(3)
        drawn = torch.empty(9).normal_(), torch.nn.init.trunc_normal_(torch.empty(9))
        await turn.wait()
        return drawn

    async def run() -> Any:
        turn = asyncio.Barrier(3)
        return await asyncio.gather(inside(7, turn), outside(turn), inside(1, turn))

    seven, other, one = asyncio.run(run())
    for drawn, key in ((seven, CALLS), (one, Key(1).fold_in("calls of gpuinit.torch.accelerate"))):
        assert torch.equal(drawn[0], made(NORMAL(0.0, 1.0), key, (9,)))
        assert torch.equal(drawn[1], made(gpuinit.TruncatedNormal(0.0, 1.0), key.draw(1), (9,)))
    torch.manual_seed(3)
    assert torch.equal(other[0], torch.empty(9).normal_())
    assert torch.equal(other[1], torch.nn.init.trunc_normal_(torch.empty(9)))


def test_a_thread_that_copies_the_context() -> None:
    """asyncio.to_thread takes the context variables along, and the thread is another all the same."""

    async def run() -> Any:
        with accelerate(7):
            return await asyncio.to_thread(torch.nn.init.trunc_normal_, torch.empty(9))

    torch.manual_seed(3)
    drawn = asyncio.run(run())
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.nn.init.trunc_normal_(torch.empty(9)))


def test_somebody_elses_patch() -> None:
    """What is put over ours meanwhile stays, goes on working, and is worked with by the next entering."""
    theirs = torch.nn.init._no_grad_trunc_normal_
    with accelerate(7):
        ours = torch.nn.init._no_grad_trunc_normal_
        torch.nn.init._no_grad_trunc_normal_ = lambda *args, **named: ours(*args, **named)
    try:
        torch.manual_seed(3)
        drawn = torch.nn.init.trunc_normal_(torch.empty(9))
        patched = torch.nn.init._no_grad_trunc_normal_
        with accelerate(7):
            inside = torch.nn.init.trunc_normal_(torch.empty(9))
        assert torch.nn.init._no_grad_trunc_normal_ is patched is not theirs
    finally:
        torch.nn.init._no_grad_trunc_normal_ = theirs
    assert torch.equal(inside, made(gpuinit.TruncatedNormal(0.0, 1.0), CALLS, (9,)))
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.nn.init.trunc_normal_(torch.empty(9)))


def test_what_is_taken_over_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, PyTorch has moved what `trunc_normal_` calls: gpuinit/torch/patches.py must be looked at."""
    assert "_no_grad_trunc_normal_" in torch.nn.init.trunc_normal_.__code__.co_names
    monkeypatch.delattr(torch.nn.init, "_no_grad_trunc_normal_")
    with pytest.raises(RuntimeError, match=r"has no torch\.nn\.init\._no_grad_trunc_normal_"), accelerate(7):
        pass
    monkeypatch.undo()


def test_compiled_functions() -> None:
    """A function under torch.compile runs as it is written while a mode is there, so its draws are taken over too."""
    compiled = torch.compile(lambda: torch.empty(9).normal_(), backend="eager")
    with accelerate(7):
        assert torch.equal(compiled(), made(NORMAL(0.0, 1.0), CALLS, (9,)))

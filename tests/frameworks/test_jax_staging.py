"""gpuinit.jax inside jit, vmap, scan, grad and eval_shape: the same bits, made when the program runs and not before."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from conftest import same_bits

import gpuinit
from gpuinit import dtypes
from gpuinit.backends import cpu

jax = pytest.importorskip("jax")
import gpuinit.jax  # noqa: E402

pytestmark = [pytest.mark.frameworks, pytest.mark.usefixtures("poisoned_memory")]

KEY = jax.random.key(5)
KEYS = jax.random.split(KEY, 4)
SHAPE = (24, 40)
INIT = gpuinit.jax.normal(0.05)
EAGER = np.asarray(INIT(KEY, SHAPE))

INITS = {
    "normal": INIT,
    "he_normal": gpuinit.jax.he_normal(),
    "uniform": gpuinit.jax.uniform(0.5),
    "geometric": gpuinit.jax.variance_scaling(2.0, "fan_geo_avg", "uniform"),
    "orthogonal": gpuinit.jax.orthogonal(2.0),
    "by rows": gpuinit.jax.orthogonal(2.0, column_axis=0),
    "zeros": gpuinit.jax.zeros,
    "constant": gpuinit.jax.constant(0.1),
    "array": gpuinit.jax.constant(np.arange(40) / 7),
    "identity": gpuinit.jax.KeyedInitializer("identity"),
}


@pytest.fixture
def fills(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of elements of the fills that the CPU backend does."""
    sizes: list[int] = []
    fill = cpu.CPU.fill

    def noted(self: Any, out: Any, *rest: Any) -> None:
        sizes.append(out.size)
        fill(self, out, *rest)

    monkeypatch.setattr(cpu.CPU, "fill", noted)
    return sizes


@pytest.mark.parametrize("name", INITS)
@pytest.mark.parametrize("key", [KEY, jax.random.PRNGKey(7), jax.random.key(7, impl="rbg")], ids=["typed", "words", "rbg"])
def test_jit_gives_the_bits_that_there_are_outside(name: str, key: Any) -> None:
    made = jax.jit(lambda key: INITS[name](key, SHAPE))(key)
    assert same_bits(np.asarray(made), np.asarray(INITS[name](key, SHAPE)))


@pytest.mark.parametrize("dtype", [*dtypes.RANDOM, "int32", "bool"])
def test_jit_in_every_dtype(dtype: str) -> None:
    with jax.enable_x64(True):
        init = INIT if dtypes.is_random(dtypes.canonical(dtype)) else gpuinit.jax.ones
        made = jax.jit(lambda key: init(key, SHAPE, dtype))(KEY)
        assert same_bits(np.asarray(made), np.asarray(init(KEY, SHAPE, dtype)))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,)])
def test_odd_shapes(shape: tuple[int, ...]) -> None:
    for init in (INIT, gpuinit.jax.ones):
        made = jax.jit(lambda key, init=init: init(key, shape))(KEY)
        assert same_bits(np.asarray(made), np.asarray(init(KEY, shape)))


@pytest.mark.parametrize("key", [KEY, jax.random.PRNGKey(5), np.array([0, 5], np.uint32), gpuinit.Key(5)])
def test_a_key_from_outside_is_no_reason_to_draw_while_tracing(key: Any, fills: list[int]) -> None:
    """Else the tensor would be a constant of the program, in its text and in its memory."""
    program = jax.jit(lambda: INIT(key, SHAPE)).lower()
    assert fills == [] and len(program.as_text()) < 10_000
    assert same_bits(np.asarray(program.compile()()), EAGER)
    assert fills == [EAGER.size]


def test_eval_shape_makes_nothing(fills: list[int]) -> None:
    for init in INITS.values():
        shaped = jax.eval_shape(lambda key, init=init: init(key, (24, 40), "bfloat16"), KEY)
        assert (shaped.shape, shaped.dtype) == ((24, 40), "bfloat16")
    huge = jax.eval_shape(lambda: INIT(KEY, (2**31, 2**31)))
    assert huge.shape == (2**31, 2**31) and [size for size in fills if size > 1] == []


def test_bad_arguments_are_named_while_tracing() -> None:
    for shape, dtype, match in (((3, -1), None, "dimensions must be >= 0"), (SHAPE, "int32", "draws random numbers")):
        with pytest.raises(ValueError, match=match):
            jax.eval_shape(lambda key, shape=shape, dtype=dtype: INIT(key, shape, dtype), KEY)
    with pytest.raises(ValueError, match=r"key has shape \(4,\): it must be one key"):
        jax.eval_shape(lambda keys: INIT(keys, SHAPE), KEYS)


def test_shapes_are_static() -> None:
    with pytest.raises(TypeError):
        jax.jit(lambda n: INIT(KEY, (n, 3)))(4)


@pytest.mark.parametrize("jit", [False, True])
def test_vmap_over_keys(jit: bool) -> None:
    mapped = jax.vmap(lambda key: INIT(key, (4, 5)))
    made = np.asarray((jax.jit(mapped) if jit else mapped)(KEYS))
    expected = np.stack([np.asarray(INIT(key, (4, 5))) for key in KEYS])
    assert same_bits(made, expected)
    twice = jax.vmap(mapped)(KEYS.reshape(2, 2))
    assert same_bits(np.asarray(twice), expected.reshape(2, 2, 4, 5))


def test_vmap_over_something_else_draws_once(fills: list[int]) -> None:
    made = jax.vmap(lambda x: x * INIT(KEY, SHAPE))(np.ones(3, np.float32))
    assert same_bits(np.asarray(made[2]), EAGER) and fills == [EAGER.size]


def test_scan_over_keys() -> None:
    _, made = jax.lax.scan(lambda carry, key: (carry, INIT(key, (4, 5))), 0, KEYS)
    assert same_bits(np.asarray(made), np.stack([np.asarray(INIT(key, (4, 5))) for key in KEYS]))


def test_gradients_pass_by_what_is_drawn() -> None:
    def total(factor: Any, keys: Any) -> Any:
        return jax.lax.scan(lambda carry, key: (carry + (factor * INIT(key, (4, 5))).sum(), None), 0.0, keys)[0]

    expected = sum(float(np.asarray(INIT(key, (4, 5)), np.float64).sum()) for key in KEYS)
    for function in (total, jax.checkpoint(total), jax.jit(total)):
        assert float(jax.grad(function)(1.0, KEYS)) == pytest.approx(expected, rel=1e-5)
    assert float(jax.grad(lambda x: (x * INIT(KEY, SHAPE)).sum())(1.0)) == pytest.approx(float(EAGER.sum()), rel=1e-4)


def test_control_flow() -> None:
    made = jax.jit(lambda flag: jax.lax.cond(flag, lambda: INIT(KEY, SHAPE), lambda: gpuinit.jax.ones(KEY, SHAPE)))
    assert same_bits(np.asarray(made(True)), EAGER) and (np.asarray(made(False)) == 1).all()


def test_a_jitted_function_is_traced_once() -> None:
    traces: list[int] = []

    @jax.jit
    def draw(key: Any) -> Any:
        traces.append(1)
        return INIT(key, SHAPE)

    for key in KEYS:
        assert same_bits(np.asarray(draw(key)), np.asarray(INIT(key, SHAPE)))
    assert len(traces) == 1


def test_threads_draw_in_jit_at_once() -> None:
    draw = jax.jit(lambda key: INIT(key, (300, 400)))
    expected = [np.asarray(INIT(key, (300, 400))) for key in KEYS]
    found: dict[int, np.ndarray[Any, Any]] = {}

    def work(number: int) -> None:
        for _ in range(5):
            found[number] = np.asarray(draw(KEYS[number]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(same_bits(found[number], expected[number]) for number in range(4))


def test_make_sharded_says_where_it_belongs() -> None:
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    with pytest.raises(
        ValueError, match=r"make_sharded stands inside jax\.jit: call an initializer of gpuinit\.jax with out_sharding="
    ):
        jax.jit(lambda key: gpuinit.jax.make_sharded(INIT, SHAPE, place, key=key))(KEY)
    with pytest.raises(
        TypeError, match=r"is a SingleDeviceSharding: inside jax\.jit it must be a NamedSharding or a PartitionSpec"
    ):
        jax.jit(lambda key: INIT(key, SHAPE, out_sharding=place))(KEY)


def test_a_program_with_a_callback_is_not_exported() -> None:
    """If this fails, JAX has learnt it: docs/jax.md says that it has not."""
    with pytest.raises(NotImplementedError, match="serialization of host_callbacks is not yet implemented"):
        jax.export.export(jax.jit(lambda key: INIT(key, SHAPE)))(KEY)


def test_without_jit() -> None:
    with jax.disable_jit():
        assert same_bits(np.asarray(jax.jit(lambda key: INIT(key, SHAPE))(KEY)), EAGER)

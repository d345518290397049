"""What test_jax_sharding.py runs in a process of its own, where JAX has eight CPU devices."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import numpy as np
import pytest
from conftest import same_bits
from jax.sharding import AxisType, NamedSharding, PartitionSpec, SingleDeviceSharding

import gpuinit
import gpuinit.jax
from gpuinit.backends import cpu

pytestmark = [pytest.mark.frameworks, pytest.mark.usefixtures("poisoned_memory")]

P = PartitionSpec
KEY = jax.random.key(5)
SHAPE = (16, 24)
INIT = gpuinit.jax.normal(0.05)
WHOLE = gpuinit.RandomNormal(0.0, 0.05, seed=5)(SHAPE)
SPECS = [P(), P("a"), P(None, "a"), P("a", "b"), P("b", "a"), P(("a", "b")), P(None, ("b", "a")), P("b"), P(None, None)]
MESHES = [jax.make_mesh((4, 2), ("a", "b"), axis_types=(kind,) * 2) for kind in (AxisType.Auto, AxisType.Explicit)]
EACH = list(itertools.product(MESHES, SPECS))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the arrays that the CPU backend allocates."""
    shapes: list[tuple[int, ...]] = []
    empty = cpu.CPU.empty

    def noted(self: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        shapes.append(shape)
        return empty(self, shape, dtype)

    monkeypatch.setattr(cpu.CPU, "empty", noted)
    return shapes


def check(array: Any, sharding: Any, whole: np.ndarray[Any, Any]) -> None:
    """The array has this sharding, and every shard, replicas among them, the bits of its part of the whole."""
    assert array.sharding.is_equivalent_to(sharding, array.ndim), array.sharding
    assert array.shape == whole.shape and array.dtype == whole.dtype
    assert len(array.addressable_shards) == len(sharding.device_set)
    for shard in array.addressable_shards:
        assert shard.data.devices() == {shard.device}
        assert same_bits(np.ascontiguousarray(shard.data), np.ascontiguousarray(whole[shard.index]))


def test_there_are_eight_devices() -> None:
    assert jax.device_count() == 8


@pytest.mark.parametrize(("mesh", "spec"), EACH)
def test_any_axes_give_the_bits_of_the_whole(mesh: Any, spec: Any, made: list[tuple[int, ...]]) -> None:
    sharding = NamedSharding(mesh, spec)
    part = sharding.shard_shape(SHAPE)
    different = len({str(index) for index in sharding.devices_indices_map(SHAPE).values()})
    for init, key in ((INIT, KEY), (INIT, gpuinit.Key(5)), (gpuinit.RandomNormal(0.0, 0.05, seed=5), None)):
        made.clear()
        check(gpuinit.jax.make_sharded(init, SHAPE, sharding, key=key), sharding, WHOLE)
        assert made == [part] * different, "a shard was made of something larger, or twice"
    made.clear()
    check(INIT(KEY, SHAPE, out_sharding=sharding), sharding, WHOLE)
    assert made == [part] * different


@pytest.mark.parametrize(("mesh", "spec"), EACH)
def test_the_same_inside_jit(mesh: Any, spec: Any, made: list[tuple[int, ...]]) -> None:
    """Every device's callback makes that device's block: no device holds the whole."""
    sharding = NamedSharding(mesh, spec)
    draw = jax.jit(lambda key: INIT(key, SHAPE, out_sharding=sharding))
    check(draw(KEY), sharding, WHOLE)
    assert made == [sharding.shard_shape(SHAPE)] * 8
    filled = jax.jit(lambda: gpuinit.jax.constant(0.1)(None, SHAPE, out_sharding=sharding))()
    check(filled, sharding, np.full(SHAPE, 0.1, np.float32))


@pytest.mark.parametrize(("mesh", "spec"), EACH)
def test_a_partition_spec_is_one_of_the_mesh_that_is_set(mesh: Any, spec: Any) -> None:
    sharding = NamedSharding(mesh, spec)
    with jax.set_mesh(mesh):
        check(INIT(KEY, SHAPE, out_sharding=spec), sharding, WHOLE)
        check(gpuinit.jax.make_sharded(INIT, SHAPE, spec, key=KEY), sharding, WHOLE)
        check(jax.jit(lambda key: INIT(key, SHAPE, out_sharding=spec))(KEY), sharding, WHOLE)


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("replicated", [False, True])
def test_jit_that_knows_no_sharding(mesh: Any, replicated: bool, made: list[tuple[int, ...]]) -> None:
    """In a mesh, with out_shardings, with a key on all devices: one callback makes the whole, and JAX distributes it."""
    key = jax.device_put(KEY, NamedSharding(mesh, P())) if replicated else KEY
    sharding = NamedSharding(mesh, P("a"))
    for options in ({}, {"out_shardings": sharding}):
        draw = jax.jit(lambda key: INIT(key, SHAPE), **options)
        made.clear()
        assert same_bits(np.asarray(draw(key)), WHOLE)
        with jax.set_mesh(mesh):
            assert same_bits(np.asarray(draw(key)), WHOLE)
        assert made == [SHAPE] * 2


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "complex64", "float16"])
def test_dtypes(dtype: str) -> None:
    sharding = NamedSharding(MESHES[0], P("a", "b"))
    whole = gpuinit.RandomNormal(0.0, 0.05, seed=5)(SHAPE, dtype)
    check(gpuinit.jax.make_sharded(INIT, SHAPE, sharding, key=KEY, dtype=dtype), sharding, whole)
    check(jax.jit(lambda key: INIT(key, SHAPE, dtype, sharding))(KEY), sharding, whole)


@pytest.mark.parametrize("column_axis", [0, 1, 2])
def test_what_must_be_made_whole_is_made_once_and_cut(column_axis: int, made: list[tuple[int, ...]]) -> None:
    init = gpuinit.jax.orthogonal(2.0, column_axis)
    shape, sharding = (4, 6, 8), NamedSharding(MESHES[0], P("a", None, "b"))
    whole = np.asarray(init(KEY, shape))
    made.clear()
    check(gpuinit.jax.make_sharded(init, shape, sharding, key=KEY), sharding, whole)
    assert sum(sorted(found) == sorted(shape) for found in made) == 1
    check(jax.jit(lambda key: init(key, shape, out_sharding=sharding))(KEY), sharding, whole)


def test_structures_and_other_initializers() -> None:
    sharding = NamedSharding(MESHES[0], P("a", "b"))
    for init in ("identity", gpuinit.Constant(np.arange(24)), gpuinit.HeNormal(seed=3), gpuinit.Sparse(0.25, seed=3)):
        check(gpuinit.jax.make_sharded(init, SHAPE, sharding), sharding, gpuinit.get(init)(SHAPE))
    generator = gpuinit.RandomNormal(0.0, 0.05, seed=gpuinit.SeedGenerator(5))
    check(gpuinit.jax.make_sharded(generator, SHAPE, sharding), sharding, WHOLE)
    assert not same_bits(np.asarray(gpuinit.jax.make_sharded(generator, SHAPE, sharding)), WHOLE)


def test_every_shard_is_aliased_and_replicas_share_memory() -> None:
    """device_put takes NumPy's memory as that of any CPU device: nothing is copied on any of the eight."""
    array = gpuinit.jax.make_sharded(INIT, SHAPE, NamedSharding(MESHES[0], P("a")), key=KEY)
    places = [shard.data.unsafe_buffer_pointer() for shard in array.addressable_shards]
    assert len(set(places)) == 4 and all(place % 64 == 0 for place in places)
    for device in jax.devices():
        taken = gpuinit.RandomNormal(seed=5)(SHAPE)
        put = gpuinit.jax.from_array(taken, SingleDeviceSharding(device))
        assert put.unsafe_buffer_pointer() == taken.ctypes.data and put.devices() == {device}


def test_donated_replicas_do_not_write_into_each_other() -> None:
    sharding = NamedSharding(MESHES[0], P())
    array = gpuinit.jax.make_sharded(INIT, SHAPE, sharding, key=KEY)
    copies = [shard.data for shard in array.addressable_shards]
    moved = jax.jit(lambda x: x + 1, donate_argnums=0)(copies[0])
    assert not same_bits(np.asarray(moved), WHOLE)
    assert all(same_bits(np.asarray(each), WHOLE) for each in copies[1:])


def test_a_committed_key_says_where() -> None:
    device = jax.devices()[3]
    there = INIT(jax.device_put(KEY, device), SHAPE)
    assert there.devices() == {device} and there.committed and same_bits(np.asarray(there), WHOLE)
    for mesh in MESHES:
        everywhere = NamedSharding(mesh, P())
        check(INIT(jax.device_put(KEY, everywhere), SHAPE), everywhere, WHOLE)
        check(INIT(jax.device_put(jax.random.PRNGKey(5), everywhere), SHAPE), everywhere, WHOLE)


@pytest.mark.parametrize("kind", ["pinned_host", "unpinned_host"])
def test_kinds_of_memory(kind: str) -> None:
    sharding = NamedSharding(MESHES[0], P("a"), memory_kind=kind)
    array = gpuinit.jax.make_sharded(INIT, SHAPE, sharding, key=KEY)
    assert array.sharding.memory_kind == kind
    check(array, sharding, WHOLE)


def test_inside_shard_map_every_device_draws_from_its_own_key() -> None:
    keys = jax.random.split(KEY, 8)
    draw = jax.shard_map(lambda key: INIT(key[0], (4, 5))[None], mesh=MESHES[0], in_specs=P(("a", "b")), out_specs=P(("a", "b")))
    for made in (draw(keys), jax.jit(draw)(keys)):
        assert same_bits(np.asarray(made), np.stack([np.asarray(INIT(key, (4, 5))) for key in keys]))


def test_the_default_device_is_heeded() -> None:
    for device in jax.devices()[::3]:
        with jax.default_device(device):
            found = INIT(KEY, SHAPE)
            assert found.devices() == {device} and same_bits(np.asarray(found), WHOLE)
    with jax.default_device("cpu"):
        assert INIT(KEY, SHAPE).devices() == {jax.devices()[0]}


def test_some_devices_in_another_order() -> None:
    mesh = jax.sharding.Mesh(np.array(jax.devices())[[6, 1, 3]], "x")
    shape = (6, 9)
    whole = gpuinit.RandomNormal(0.0, 0.05, seed=5)(shape)
    for spec in (P("x"), P(None, "x"), P()):
        sharding = NamedSharding(mesh, spec)
        check(gpuinit.jax.make_sharded(INIT, shape, sharding, key=KEY), sharding, whole)
        check(jax.jit(lambda key, sharding=sharding: INIT(key, shape, out_sharding=sharding))(KEY), sharding, whole)


def test_bad_shardings_are_named() -> None:
    sharding = NamedSharding(MESHES[0], P("a"))
    cases = (
        (lambda shape: gpuinit.jax.make_sharded(INIT, shape, sharding, key=KEY), "sharding"),
        (lambda shape: INIT(KEY, shape, out_sharding=sharding), "out_sharding"),
        (lambda shape: jax.jit(lambda key: INIT(key, shape, out_sharding=sharding))(KEY), "out_sharding"),
    )
    for case, name in cases:
        with pytest.raises(ValueError, match=rf"^{name}=Named.* cuts shape=\(7, 3\) into \(4, 1\) parts, which do not divide it"):
            case((7, 3))
        with pytest.raises(ValueError, match=rf"^{name}=Named.* has 1 entries, and shape=\(\) only 0 axes"):
            case(())
    with pytest.raises(ValueError, match=r"out_sharding=P.*'a'.*: a PartitionSpec needs a mesh; enter one by jax\.set_mesh"):
        INIT(KEY, SHAPE, out_sharding=P("a"))
    with pytest.raises(ValueError, match=r"out_sharding=P.*'a'.*: a PartitionSpec needs a mesh; enter one by jax\.set_mesh"):
        jax.jit(lambda key: INIT(key, SHAPE, out_sharding=P("a")))(KEY)
    with jax.set_mesh(MESHES[0]), pytest.raises(ValueError, match="'z' is no axis of the mesh, which has"):
        jax.jit(lambda key: INIT(key, SHAPE, out_sharding=P("z")))(KEY)
    with pytest.raises(ValueError, match="key=None: KeyedInitializer.* takes its key when it is called"):
        gpuinit.jax.make_sharded(INIT, SHAPE, sharding)

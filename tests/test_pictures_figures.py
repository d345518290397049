"""What stands on the pictures, taken from their Figures, is right; they are the same at every call, and leave no trace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpuinit
from gpuinit import pictures
from gpuinit.pictures.exhibit import exhibit
from gpuinit.pictures.laws import law_of

matplotlib = pytest.importorskip("matplotlib", reason="pictures need matplotlib: pip install 'gpuinit[plots]'")

DTYPES = ("float32", "float16", "bfloat16", "float8_e4m3fn", "complex64")
BLUE, ORANGE = "#56B4E9", "#D55E00"


def axes_of(figure: Any) -> list[Any]:
    return list(figure.get_axes())


def labelled(axes: Any, label: str) -> Any:
    """The artist of that label."""
    [found] = [artist for artist in axes.get_children() if artist.get_label() == label]
    return found


def text_of(figure: Any) -> str:
    """Everything that is written on a figure."""
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bars_are_the_data(dtype: str) -> None:
    """Heights times widths times the number are the counts, by NumPy's count of the same tensor; both panels show the same."""
    init = gpuinit.HeNormal(seed=3)
    values = np.asarray(init((256, 256), dtype).real, np.float64)
    plain, logarithmic = axes_of(pictures.histogram(init, (256, 256), dtype))
    heights, edges, _ = labelled(plain, "drawn").get_data()
    assert (heights * np.diff(edges) * values.size).round(6).tolist() == np.histogram(values, edges)[0].tolist()
    assert np.array_equal(labelled(logarithmic, "drawn").get_data().values, heights)
    assert logarithmic.get_yscale() == "log" and plain.get_yscale() == "linear"


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_curve_is_the_density(dtype: str) -> None:
    """scipy.stats' truncated normal, of standard deviation 1/0.8796.. that of He; in complex64 each part's."""
    from scipy import stats

    plain, logarithmic = axes_of(pictures.histogram("he_normal", (512, 512), dtype))
    std = np.sqrt(2 / 512 / (2 if dtype == "complex64" else 1)) / 0.87962566103423978
    for axes in (plain, logarithmic):
        x, y = labelled(axes, "law").get_data()
        inside = np.abs(x) < 2 * std * (1 - 1e-9)
        assert y[inside] == pytest.approx(stats.truncnorm.pdf(x[inside], -2, 2, scale=std), rel=1e-9)
        assert inside.sum() > 700
    ends = [line.get_xdata()[0] for line in plain.get_lines() if line.get_label() != "law"]
    assert sorted(ends) == pytest.approx([-2 * std, 2 * std], rel=1e-12)


def test_the_band_of_the_tails() -> None:
    """A bin's binomial quantiles, as scipy.stats has them; drawn down to bins that are to have less than one element."""
    from scipy import stats

    _, axes = axes_of(pictures.histogram("random_normal", (512, 512)))
    high, edges, low = labelled(axes, "band").get_data()
    chances = np.diff(stats.norm.cdf(edges, scale=0.05))
    unit = 1 / (512 * 512 * np.diff(edges))
    assert high == pytest.approx(np.maximum(stats.binom.ppf(0.995, 512 * 512, chances) * unit, low.min()), rel=1e-9)
    shown = stats.binom.ppf(0.005, 512 * 512, chances) * unit
    assert low[shown > 0] == pytest.approx(shown[shown > 0], rel=1e-9)
    assert axes.get_ylim()[0] < unit.min() and chances.min() * 512 * 512 < 1


def test_a_law_that_is_not_that_of_the_values_is_called_so() -> None:
    """A table whose elements were scaled by 1.02 after drawing."""
    from gpuinit.pictures import canvas, densities
    from gpuinit.pictures.exhibit import Exhibit
    from gpuinit.pictures.reading import Memory

    values = gpuinit.RandomNormal(seed=1)((512, 512))
    for factor, message in ((1.0, "its values follow their law"), (1.02, "its values do not follow their law")):
        shown = Exhibit("scaled", Memory(values * factor), gpuinit.RandomNormal().distribution((512, 512)))
        with canvas.style():
            figure = canvas.blank(3)
            densities.draw(figure, shown)
        assert message in text_of(figure)


def test_order_statistics_are_the_tensors() -> None:
    init = gpuinit.RandomNormal(0.5, 2.0, seed=3)
    left, right = axes_of(pictures.qq(init, (100, 100)))
    exact, drawn = labelled(left, "drawn").get_data()
    ordered = np.sort(init((100, 100)).ravel().astype(np.float64))
    ranks = np.searchsorted(ordered, drawn)
    assert np.array_equal(ordered[ranks], drawn) and {0, 9999} <= set(ranks.tolist())
    law = law_of(init.distribution((100, 100)), np.dtype(np.float32))
    assert law is not None and exact == pytest.approx(law.quantile((ranks + 0.5) / 10_000), rel=1e-6)
    _, deviations = labelled(right, "drawn").get_data()
    assert len(deviations) == len(drawn) and np.abs(deviations).max() <= 3


def test_singular_values_are_numpys() -> None:
    """And the curve is the density of Marchenko and Pastur: it integrates to 1 and has the mean square n v of the trace."""
    init = gpuinit.LecunNormal(seed=3)
    [axes] = axes_of(pictures.singular_values(init, (300, 100)))
    values = np.linalg.svd(init((300, 100)).astype(np.float64), compute_uv=False)
    edges = np.array([bar.get_x() for bar in axes.patches] + [axes.patches[-1].get_x() + axes.patches[-1].get_width()])
    heights = np.array([bar.get_height() for bar in axes.patches])
    assert heights * np.diff(edges) * 100 == pytest.approx(np.histogram(values, edges)[0], abs=1e-6)
    s, density = labelled(axes, "law").get_data()
    assert np.trapezoid(density, s) == pytest.approx(1, abs=2e-3)
    assert np.trapezoid(density * s**2, s) == pytest.approx(300 / 300, abs=5e-3)
    assert [line.get_xdata()[0] for line in axes.get_lines()[1:]] == pytest.approx([1 - 3**-0.5, 1 + 3**-0.5])


def test_a_square_matrix_has_the_quarter_circle() -> None:
    [axes] = axes_of(pictures.singular_values("lecun_normal", (200, 200)))
    s, density = labelled(axes, "law").get_data()
    inside = s < 2
    assert density[inside] == pytest.approx(np.sqrt(4 - s[inside] ** 2) / np.pi, abs=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("shape", "arguments"), [((64, 64), {}), ((9, 5, 5), {"batch_axes": (0,)}), ((300, 40), {"gain": 3.0})])
def test_orthogonal_matrices_have_one_singular_value(shape: Any, arguments: Any, dtype: str) -> None:
    figure = pictures.singular_values(gpuinit.Orthogonal(seed=1, **arguments), shape, dtype)
    gain = arguments.get("gain", 1.0)
    x = labelled(axes_of(figure)[0], "singular values").get_xdata()[1:-1]
    assert len(x) == (45 if "batch_axes" in arguments else min(shape))
    assert x == pytest.approx(gain, rel=1e-5 if dtype == "float32" else 0.02)
    assert f"all singular values are {gain:.3g}, but for rounding" in " ".join(text_of(figure).split())


def test_the_heat_map_shows_elements_at_their_places() -> None:
    """A large matrix of its own indices: the blocks that are shown, and what the ticks say of them."""
    rows, columns = 1000, 400
    numbers = np.arange(rows * columns, dtype=np.float64).reshape(rows, columns)
    axes, corner, *_ = axes_of(pictures.heat_map(numbers))
    shown = np.asarray(axes.images[0].get_array())
    assert shown.shape == (192, 192)
    down = [(rows - 24) * k // 7 for k in range(8)]
    along = [(columns - 24) * k // 7 for k in range(8)]
    assert np.array_equal(shown, np.block([[numbers[r : r + 24, c : c + 24] for c in along] for r in down]))
    assert [text.get_text() for text in axes.get_yticklabels()] == [f"{down[k]:,}" for k in (0, 2, 4, 7)]
    assert np.array_equal(corner.images[0].get_array(), numbers[:16, :16])
    low, high = axes.images[0].get_clim()
    assert low == -high and high > 0


def test_a_diagonal_is_seen_however_large_the_matrix_is() -> None:
    """Blocks would miss it: every row of the picture has its dot."""
    [axes, _] = axes_of(pictures.heat_map(gpuinit.Identity(2.0), (3000, 1500)))
    shown = np.asarray(axes.images[0].get_array())
    assert shown.shape == (192, 192) and set(np.unique(shown)) == {0.0, 2.0}
    assert (shown.max(axis=0) == 2).all()


def test_a_structures_negative_elements_are_seen() -> None:
    [axes, _] = axes_of(pictures.heat_map(gpuinit.Identity(-2.0), (300, 300)))
    assert np.asarray(axes.images[0].get_array()).min() == -2


@pytest.mark.parametrize("name", gpuinit.registry.names())
def test_every_initializer_has_a_page(name: str) -> None:
    """Without a warning, in one of the dtypes in turn, and every axis that has numbers has a name."""
    dtype = ["float32", "float8_e5m2", "complex64"][gpuinit.registry.names().index(name) % 3]
    shape = {"stft": (16, 1, 9), "delta_orthogonal": (3, 3, 8, 8), "dirac": (3, 3, 8, 8)}.get(name, (40, 24))
    arguments = {"sparse": {"sparsity": 0.5}}.get(name, {})
    init = gpuinit.registry.find(name)(**arguments)
    figure = pictures.page(init, shape, dtype)
    assert pictures.png(figure).startswith(b"\x89PNG")
    for axes in axes_of(figure):
        if axes.get_label() == "<colorbar>":
            assert axes.get_ylabel()
        elif len(axes.get_xticks()):
            assert axes.get_xlabel() and axes.get_ylabel()


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (1, 1), (0, 3), (2, 3, 4), (1, 400), (400, 1)])
def test_odd_shapes(shape: tuple[int, ...]) -> None:
    """A histogram of anything; what is empty or no matrix is refused by name."""
    assert pictures.png(pictures.histogram("he_normal", shape))
    for kind, refused in (("heat_map", 0 in shape), ("singular_values", len(shape) < 2 or 0 in shape), ("qq", 0 in shape)):
        if refused:
            with pytest.raises(ValueError, match=kind):
                pictures.page("he_normal", shape, kinds=[kind])
        else:
            assert pictures.png(pictures.page("he_normal", shape, kinds=[kind]))


@pytest.mark.parametrize(
    "values", [[], [np.nan, np.nan], [np.inf, 1.0], [5.0], [2, 2, 2], [True, False], [1e-300, 1e300], [1j, 2.0]]
)
def test_odd_data(values: list[Any]) -> None:
    """What is not finite is counted in the note, and does not stand in the way of the rest."""
    figure = pictures.histogram(np.array(values))
    assert pictures.png(figure) and "No law is known to compare with" in text_of(figure)
    missing = sum(not np.isfinite(value) for value in values)
    assert (f"{missing} not finite" in text_of(figure)) == (missing > 0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pictures.histogram("he_normal"), ValueError, r"shape=None"),
        (lambda: pictures.histogram("no_such", (2, 2)), ValueError, r"no_such"),
        (lambda: pictures.histogram(np.ones(3), (3,)), ValueError, r"shape=\(3,\) does not go with an array"),
        (
            lambda: pictures.histogram(gpuinit.Table((3, 3)), dtype="float16"),
            ValueError,
            r"dtype='float16' does not go with a Table",
        ),
        (lambda: pictures.histogram("missing.npy"), OSError, r"'missing.npy' cannot be read: No such file"),
        (lambda: pictures.histogram(object()), TypeError, r"what"),
        (lambda: pictures.qq("zeros", (3, 3)), ValueError, r"qq: Zeros, 3 x 3, float32 has no law"),
        (lambda: pictures.page("he_normal", (3, 3), kinds=["pie"]), ValueError, r"what='pie': it must be one of histogram, qq"),
        (lambda: pictures.page("he_normal", (3, 3), kinds=[]), ValueError, r"it must name one or more of histogram"),
        (lambda: pictures.page(np.ones((3, 3)), kinds=["variance"]), ValueError, r"variance: nobody knows what made array"),
        (lambda: pictures.singular_values(np.array([[np.nan]])), ValueError, r"not finite"),
        (lambda: pictures.variance(["he_normal"], "gelu"), ValueError, r"activation='gelu': it must be relu or tanh or selu"),
        (lambda: pictures.variance([]), ValueError, r"initializers=\[\]"),
        (lambda: pictures.variance("he_normal"), ValueError, r"sequence of one or more names"),
        (lambda: pictures.variance(["he_normal"], depth=0), ValueError, r"depth=0: it must be an integer >= 1"),
        (
            lambda: pictures.save(pictures.qq("he_normal", (3, 3)), "x.gif"),
            ValueError,
            r"suffix must be .png or .svg or .pdf",
        ),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_keras_like_initializer_is_shown_without_a_law() -> None:
    """It overrides __call__ alone."""

    class Ramp(gpuinit.Initializer):
        def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
            return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)

    assert "No law is known" in text_of(pictures.page(Ramp(), (20, 30)))


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_the_same_bytes_at_every_call(form: str, tmp_path: Path) -> None:
    made = []
    for number in range(2):
        path = tmp_path / f"{number}.{form}"
        pictures.save(pictures.page("he_normal", (64, 64), "bfloat16"), path)
        made.append(path.read_bytes())
    assert made[0] == made[1] and len(made[0]) > 10_000
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"0.{form}", f"1.{form}"]


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"mine")
    figure = pictures.histogram("he_normal", (8, 8))
    with pytest.raises(FileExistsError, match="exists already"):
        pictures.save(figure, path)
    assert path.read_bytes() == b"mine"
    pictures.save(figure, path, force=True)
    assert path.read_bytes() == pictures.png(figure)


def test_an_instance_has_its_own_seed_and_a_name_the_one_given() -> None:
    named = [exhibit("he_normal", (8, 8), seed=seed).sample for seed in (4, 5)]
    own = exhibit(gpuinit.HeNormal(seed=4), (8, 8), seed=5).sample
    assert np.array_equal(own, named[0]) and not np.array_equal(*named)
    assert np.array_equal(own, gpuinit.HeNormal(seed=4)((8, 8)).ravel())


def test_no_setting_of_the_users_matters_or_changes() -> None:
    """Nor is pyplot loaded, which would look for a display. The user's size of type, colours, TeX, .. stay in his own figures."""

    def settings() -> dict[str, Any]:
        return {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}  # asking would choose one

    before = settings()
    expected = pictures.png(pictures.page("he_normal", (32, 32)))
    assert settings() == before
    with matplotlib.rc_context(
        {"font.size": 31, "axes.grid": True, "lines.linewidth": 9, "savefig.dpi": 30, "axes.facecolor": "red"}
    ):
        mine = settings()
        assert pictures.png(pictures.page("he_normal", (32, 32))) == expected
        assert settings() == mine
    code = (
        "import sys; from gpuinit import pictures; assert 'matplotlib' not in sys.modules;"
        "pictures.png(pictures.histogram('he_normal', (8, 8))); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_without_matplotlib_an_error_says_what_to_install() -> None:
    code = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError("No module named 'matplotlib'")
sys.meta_path.insert(0, Missing())
from gpuinit import pictures
from gpuinit.cli import main
try:
    pictures.histogram("he_normal", (8, 8))
except ImportError as error:
    print(error)
print(main(["show", "he_normal", "--out", sys.argv[1] + "/x.png"]))
"""
    result = subprocess.run([sys.executable, "-c", code, "/tmp"], capture_output=True, text=True, check=True, timeout=120)
    message = "pictures need matplotlib: pip install 'gpuinit[plots]' (No module named 'matplotlib')"
    assert result.stdout.splitlines() == [message, "1"]
    assert result.stderr == f"gpuinit: error: {message}\n"


def test_texts_lie_inside_the_picture_and_not_on_each_other() -> None:
    """Of the pages of all kinds: every text is within the figure, and titles, notes and axis names do not overlap."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    whole = pictures.page("he_normal", (300, 300), kinds=pictures.KINDS)
    for figure in (whole, pictures.page("stft", (64, 1, 33)), pictures.variance(depth=20)):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        width, height = figure.bbox.width, figure.bbox.height
        ticks = {text for axes in axes_of(figure) for axis in (axes.xaxis, axes.yaxis) for text in axis.findobj(Text)}
        ticks -= {axis.label for axes in axes_of(figure) for axis in (axes.xaxis, axes.yaxis)}
        boxes = []
        for text in figure.findobj(Text):
            if text.get_text().strip() and text not in ticks:
                box = text.get_window_extent(renderer)
                assert min(box.x0, box.y0) >= -2 and box.x1 <= width + 2 and box.y1 <= height + 2, text.get_text()
                boxes.append((text.get_text(), box))
        for place, (one, box) in enumerate(boxes):
            for other, second in boxes[:place]:
                apart = box.x1 <= second.x0 + 1 or second.x1 <= box.x0 + 1 or box.y1 <= second.y0 + 1 or second.y1 <= box.y0 + 1
                assert apart, f"{one!r} lies on {other!r}"
